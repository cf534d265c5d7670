# The headline of a study, from its export alone, in base R: no package, nothing of dartboard.
#
#   Rscript docs/headline.R demo-export
#
# Shares and differences are those of `dartboard analyse` to the last digit; bounds come from bootstrap draws of its own
# and differ by their noise (about .002). headline.ipynb does the same in Python and says why each step is taken.

folder <- c(commandArgs(trailingOnly = TRUE), "demo-export")[1]
table_of <- function(name) {
  read.csv(file.path(folder, name), colClasses = "character", na.strings = character(), encoding = "UTF-8")
}
ratings <- table_of("ratings.csv")
items <- table_of("items.csv")
protocol <- paste(readLines(file.path(folder, "protocol.json"), warn = FALSE, encoding = "UTF-8"), collapse = "")
if (any(table_of("raters.csv")$source == "simulated")) {
  cat("These raters are simulated: no person gave these answers.\n")
}

# What was declared: the canonical JSON has sorted keys and no spaces, so that patterns can read it.
section <- function(name) regmatches(protocol, regexpr(sprintf('"%s":\\{[^}]*\\}', name), protocol))
field <- function(text, name) {
  sub('"$', "", sub(sprintf('^"%s":"?', name), "", regmatches(text, regexpr(sprintf('"%s":("[^"]*"|[^,}]*)', name), text))))
}
aim <- section("estimand")
number <- function(name) as.numeric(field(aim, name))
trained <- field(aim, "trained")
random <- field(aim, "random")
null <- field(aim, "null")
if (null == "null") {
  null <- field(regmatches(protocol, regexpr('\\{"control":"null"[^}]*\\}', protocol)), "name")
}
alpha <- number("alpha")
keep <- number("retention")
parts <- as.numeric(field(section("sampling"), "strata"))

# Whose answers count: whole raters are left out, by known answers and by pace.
asked <- c("page-score", "pair-choice", "intruder-pick", "guess")
questions <- subset(ratings, task %in% asked & purpose %in% c("main", "catch"))
pace <- tapply(as.numeric(questions$server_ms) / 1000, questions$rater, median)
wrong <- tapply(with(questions, purpose == "catch" & repeat. == "0" & right == "false"), questions$rater, sum)
rules <- section("exclusions")
out <- names(pace)[wrong > as.numeric(field(rules, "catch_wrong")) | pace < as.numeric(field(rules, "median_seconds"))]
cat(sprintf("%d raters, %d left out\n", length(pace), length(out)))

# The outcome: 1 where the first score of a solo page is 4 or 5; a skip counts 0.
pages <- subset(ratings, task == "page-score" & purpose == "main" & repeat. == "0" & !(rater %in% out))
pages$y <- as.numeric(pages$value %in% c("4", "5"))
compared <- c(trained, random, null)
who <- sort(unique(pages$rater[pages$arm %in% compared]))
first <- subset(items, page == "a")
stratum <- setNames(first$stratum, first$item)

# An arm's answers y[feature, rater] (NA: not asked), each feature's stratum and each stratum's weight.
arm <- function(name) {
  own <- pages[pages$arm == name, ]
  item <- sort(unique(own$item))
  y <- matrix(NA_real_, length(item), length(who), dimnames = list(item, who))
  y[cbind(own$item, own$rater)] <- own$y
  text <- stratum[item]
  if (!all(grepl('"decile":[0-9]', text))) {
    return(list(y = y, stratum = rep(1, length(item)), weight = 1))
  }
  decile <- as.numeric(sub('.*"decile":([0-9]+).*', "\\1", text))
  place <- rep(1, length(item))
  weight <- c()
  waiting <- c()
  for (part in seq_len(max(parts, max(decile) + 1)) - 1) { # one with a single feature joins the next
    waiting <- c(waiting, part)
    if (sum(decile %in% waiting) >= 2) {
      weight <- c(weight, length(waiting))
      place[decile %in% waiting] <- length(weight)
      waiting <- c()
    }
  }
  if (length(waiting) && length(weight)) {
    place[decile %in% waiting] <- length(weight)
    weight[length(weight)] <- weight[length(weight)] + length(waiting)
  }
  if (!length(weight)) weight <- 1
  list(y = y, stratum = place, weight = weight / sum(weight))
}
share <- function(one) {
  of_feature <- rowMeans(one$y, na.rm = TRUE)
  sum(one$weight * tapply(of_feature, one$stratum, mean))
}
arms <- lapply(setNames(compared, compared), arm)
pi <- sapply(arms, share)

# Intervals: features are drawn within arm and stratum, n - 1 of n; from ten raters on raters are drawn too, the same in all arms.
set.seed(0)
draws <- 4000
count <- length(who)
times <- if (count < 10) {
  matrix(1, 1, count)
} else {
  t(replicate(draws, tabulate(sample.int(count, count - 1, replace = TRUE), count)))
}
bootstrap <- function(one) {
  seen <- !is.na(one$y)
  once <- rowMeans(one$y, na.rm = TRUE)
  if (all(once == once[1]) && once[1] %in% c(0, 1)) { # the spread of Jeffreys' interval
    hits <- length(once) * once[1]
    return(rbeta(draws, hits + 0.5, length(once) - hits + 0.5))
  }
  features <- (times %*% t(ifelse(seen, one$y, 0))) / (times %*% t(seen * 1))
  total <- numeric(draws)
  whole <- numeric(draws)
  for (part in seq_along(one$weight)) {
    own <- which(one$stratum == part)
    size <- max(length(own) - 1, 1)
    column <- matrix(own[sample.int(length(own), draws * size, replace = TRUE)], draws, size)
    row <- if (nrow(features) == 1) matrix(1, draws, size) else matrix(seq_len(draws), draws, size)
    mean_ <- rowMeans(matrix(features[cbind(c(row), c(column))], draws, size), na.rm = TRUE)
    has <- is.finite(mean_)
    total[has] <- total[has] + one$weight[part] * mean_[has]
    whole[has] <- whole[has] + one$weight[part]
  }
  total / whole
}
drawn <- lapply(arms, bootstrap)

# The headline.
contrast <- function(of) {
  list(
    gain = of[[trained]] - of[[null]],
    psi = of[[random]] - keep * of[[trained]] - (1 - keep) * of[[null]],
    gap = of[[random]] - of[[trained]]
  )
}
point <- contrast(as.list(pi))
spread <- contrast(drawn)
bound <- function(values, level) unname(quantile(values, level))
low <- c(
  bound(spread$gain, alpha), bound(spread$psi, alpha), bound(spread$gap, alpha / 2), bound(spread$gap, alpha)
)
high <- c(NA, NA, bound(spread$gap, 1 - alpha / 2), bound(spread$gap, 1 - alpha))
headline <- data.frame(
  value = c(point$gain, point$psi, point$gap, point$gap), low = low, high = high,
  row.names = c("gate", "retention", "difference", "equivalence")
)
margin <- number("equivalence")
code <- if (low[1] <= number("gate")) {
  "not-assessable"
} else if (low[4] > -margin && high[4] < margin) {
  "equivalent"
} else if (low[2] > 0) {
  "retained"
} else if (low[3] > 0 || high[3] < 0) {
  "different"
} else {
  "undecided"
}
cat(sprintf("%s: %s\n", code, if (count < 10) sprintf("for these %d raters", count) else "for raters at large"))
print(round(pi, 4))
print(round(headline, 4))
