"""Whether raters could tell arms apart: by their guesses after the close, and by what pages look like unread.

    blinding(rows, items, design, raters, rng)

Bang's index (Bang, Ni & Davis 2004) breaks down where clear pages are taken for trained ones: no leak is needed for
that. So the verdict uses the association of guess and arm within each rater's own score level: pages that one rater
scored alike are compared, and the guesses counted that are right beyond what their numbers alone would give.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from app.errors import UserError
from app.study.analysis.design import Design
from app.study.analysis.figures import Figure, missing, percentile, symmetric
from app.study.analysis.parts import Blinding, GuessArm, Leak
from app.study.analysis.tables import Row
from app.study.answers import UNKNOWN
from app.study.content import Page
from app.study.imbalance import FIGURES, LEAST, LEVEL, TEXT, separation

NO_ROUND = "There was no guessing round, or nobody took part."
TINY = 1e-9
UNASSESSED = "Not assessed: there was no guessing round, or nobody took part."


@dataclass(frozen=True, slots=True)
class Guess:
    """One guess: the page's item, its arm, the arm guessed or UNKNOWN, and the rater's own score of it (None: skipped)."""

    item: str
    rater: str
    arm: str
    guessed: str
    score: int | None


def blinding(
    rows: Sequence[Row],
    items: Iterable[Row],
    design: Design,
    raters: Sequence[str],
    rng: np.random.Generator,
    resamples: int,
) -> Blinding:
    """Indices of the guessing round, their verdict, and leaks between pages of the arms compared."""
    found = guesses(rows, raters)
    level = 1 - design.alpha
    names = [name for name in design.names if any(one.arm == name for one in found)]
    arms = tuple(_bang(name, found, max(len(design.arms), 2), level, rng, resamples) for name in names)
    within = conditional(found, level)
    return Blinding(arms, within, _verdict(found, within), leaks(items, design))


def guesses(rows: Iterable[Row], raters: Sequence[str]) -> list[Guess]:
    """The guesses with the scores that the same raters gave the same pages."""
    kept = [row for row in rows if row["purpose"] == "guess" and row["rater"] in raters]
    scores = {
        (row["rater"], row["item"]): None if row["value"] is None else int(str(row["value"]))
        for row in kept
        if row["task"] == "page-score"
    }
    return [
        Guess(
            str(row["item"]),
            str(row["rater"]),
            str(row["arm"]),
            str(row["value"]),
            scores.get((row["rater"], row["item"])),
        )
        for row in kept
        if row["task"] == "guess" and row["value"] is not None
    ]


def _bang(
    name: str, found: Sequence[Guess], arms: int, level: float, rng: np.random.Generator, resamples: int
) -> GuessArm:
    """One arm's index; pages are the clusters."""
    own = [one for one in found if one.arm == name]
    right = sum(one.guessed == name for one in own)
    unknown = sum(one.guessed == UNKNOWN for one in own)
    wrong = len(own) - right - unknown
    by_page: dict[str, list[float]] = {}
    for one in own:
        worth = 1.0 if one.guessed == name else 0.0 if one.guessed == UNKNOWN else -1 / (arms - 1)
        by_page.setdefault(one.item, []).append(worth)
    pages = np.array([(sum(worth), len(worth)) for worth in by_page.values()])
    picked = rng.integers(0, len(pages), (resamples, max(len(pages) - 1, 1)))
    total = pages[picked].sum(1)
    index = (right - wrong / (arms - 1)) / len(own)
    figure = percentile(index, total[:, 0] / total[:, 1], level, len(own), "guesses")
    if len(pages) < 2:
        figure = Figure(index, n=len(own), unit="guesses", warning="One page alone: it has no interval.")
    return GuessArm(name, len(own), right, wrong, unknown, figure)


def conditional(found: Sequence[Guess], level: float) -> Figure:
    """(right − expected) / (most − expected), summed over the pages that one rater scored alike, as Cohen's κ is made.

    In a set of n such pages, of which a_k are of arm k and g_k were guessed to be, Σ a_k g_k / n guesses are right by
    chance, and n − Σ a_k g_k / n more could be. Expected is exact: the index is 0 on average whenever guesses
    follow scores alone. The interval is of the sum's linear form, pages its clusters.
    """
    from scipy.stats import t as student

    sets: dict[tuple[str, int | None], list[Guess]] = {}
    for one in found:
        if one.guessed != UNKNOWN:
            sets.setdefault((one.rater, one.score), []).append(one)
    told = [group for group in sets.values() if len({one.arm for one in group}) > 1]
    n = sum(map(len, told))
    if not n:
        why = "No rater scored pages of two arms alike and guessed." if found else NO_ROUND
        return missing(why, 0, "guesses")
    beyond, most = 0.0, 0.0
    by_page: dict[str, float] = {}
    for group in told:
        size = len(group)
        arms, named = Counter(one.arm for one in group), Counter(one.guessed for one in group)
        chance = sum(arms[name] * named[name] for name in named) / size
        right = sum(one.arm == one.guessed for one in group)
        beyond += right - chance
        most += size - chance
        for one in group:
            # (guess − its mean) · (arm − its mean), summed over arms; n/(n − 1) of its square, since both means are its own
            part: float = (one.arm == one.guessed) - (arms[one.guessed] + named[one.arm]) / size
            part += sum(arms[name] * named[name] for name in named) / size**2
            by_page[one.item] = by_page.get(one.item, 0.0) + part * math.sqrt(size / (size - 1))
    if not most:
        return missing("Every guess was right by its numbers alone.", n, "guesses")
    error = math.sqrt(sum(part**2 for part in by_page.values())) / most
    if error < TINY:
        return missing(
            "No rater told pages apart that they scored alike: their guesses were all the same.", n, "guesses"
        )
    times = float(student.ppf((1 + level) / 2, max(len(by_page) - 1, 1)))
    return symmetric(beyond / most, error, times, level, n, "guesses")


def _verdict(found: Sequence[Guess], within: Figure) -> str:
    if not found:
        return UNASSESSED
    if within.low is None or within.high is None:
        return f"Can't be told. {within.warning or ''}".strip()
    if within.low > 0:
        return "Raters told arms apart beyond what their scores say: the blinding leaked."
    if within.high < 0:
        return "Raters guessed wrong more often than by chance, beyond what their scores say."
    return f"No sign that raters told arms apart beyond what their scores say (an index above {within.high:.2f} is ruled out)."


def leaks(items: Iterable[Row], design: Design) -> tuple[Leak, ...]:
    """Areas under the curve of a classifier that does not read, for the trained, random and null arms' solo pages."""
    wanted = [name for name in (design.trained, design.random, design.null) if name]
    pages: Mapping[str, list[Page]] = {name: [] for name in wanted}
    for row in items:
        if row["task"] == "page" and row["purpose"] == "main" and row["arm"] in pages and row["content"]:
            pages[str(row["arm"])].append(_page(row))
    found = []
    for first, second in combinations(wanted, 2):
        for what, figures in (("text", TEXT), ("all", FIGURES)):
            auc = separation(pages[first], pages[second], figures=figures)
            n = len(pages[first]) + len(pages[second])
            if auc is None:
                none = missing(f"A classifier needs {LEAST} pages of each arm, with their content.", n, "pages")
                found.append(Leak(first, second, what, none, ""))
            else:
                figure = Figure(auc.value, auc.low, auc.high, LEVEL, n, "pages")
                found.append(Leak(first, second, what, figure, auc.figure))
    return tuple(found)


def _page(row: Row) -> Page:
    try:
        return Page.from_json(json.loads(str(row["content"])))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"items: the content of item {row['item']} is no page; analyse the export as it was written."
        ) from error
