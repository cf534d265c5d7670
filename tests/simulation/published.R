# Prints what test_published.py expects of R: Rscript tests/simulation/published.R
# Debian: apt install r-base-core r-cran-ordinal r-cran-bradleyterry2 r-cran-gnm
library(ordinal)
print(summary(clm(rating ~ temp + contact, data = wine)))

library(BradleyTerry2)
library(gnm)
clubs <- c("Ars", "Che", "Liv", "MnC", "MnU", "Tot")
matches <- subset(football, home %in% clubs & away %in% clubs)
matches$home <- factor(matches$home, levels = clubs)
matches$away <- factor(matches$away, levels = clubs)
print(table(matches$home, matches$away, matches$result))
long <- expandCategorical(matches, "result", idvar = "match")
model <- gnm(
  count ~ GenDavidson(
    result == 1, result == 0, result == -1, home, away, home.adv = ~1,
    at.home1 = rep(TRUE, length(result)), at.home2 = rep(FALSE, length(result))
  ) - 1,
  eliminate = match, family = poisson, data = long, trace = FALSE
)
worths <- grep("adv|max", names(coef(model)), invert = TRUE)
print(coef(model)[-worths])
print(coef(model)[worths] - coef(model)[worths][1])
