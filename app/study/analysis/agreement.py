"""How far raters agree: ordinal Krippendorff α among them (Krippendorff 2019), and each with themselves on repeats.

    agreement(rows, grids, level, rng, resamples)

Pages are the units that the bootstrap draws.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from app.study.analysis.figures import NORMAL, Figure, Floats, finite, missing, percentile, symmetric
from app.study.analysis.outcome import CUT, Grid
from app.study.analysis.parts import Agreement
from app.study.analysis.tables import Row
from app.study.answers import HIGHEST

DRAWS = 1000  # of α, which the library computes one at a time
ALONE = "No page was scored by two raters."
ALIKE = "All scores are the same: agreement means nothing then."
NONE = "No page was scored twice by the same rater."


def agreement(
    rows: Iterable[Row],
    grids: Mapping[str, Grid],
    raters: Sequence[str],
    level: float,
    rng: np.random.Generator,
    resamples: int,
) -> Agreement:
    """Among raters, of all arms' solo pages together and by arm; with themselves, on hidden repeats."""
    tables = {arm: value_counts(grid.score) for arm, grid in grids.items()}
    together = np.concatenate([*tables.values(), np.zeros((0, HIGHEST))])
    draws = min(resamples, DRAWS)
    pairs = retests(rows, raters)
    twice = np.array(pairs, np.int64).reshape(-1, 2)
    return Agreement(
        alpha=alpha(together, level, rng, draws),
        by_arm=tuple((arm, alpha(table, level, rng, draws)) for arm, table in tables.items()),
        repeats=len(pairs),
        same=_share(twice[:, 0] == twice[:, 1], level, rng, resamples),
        within_one=_share(np.abs(twice[:, 0] - twice[:, 1]) <= 1, level, rng, resamples),
        same_side=_share((twice[:, 0] >= CUT) == (twice[:, 1] >= CUT), level, rng, resamples),
        retest_alpha=alpha(value_counts(twice.astype(np.int8)), level, rng, draws, NONE),
        kappa=_kappa(twice, level),
    )


def value_counts(score: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> Floats:
    """How often each score was given to each page, `[page, score − 1]`; skips are no scores."""
    return np.stack([(score == value).sum(1) for value in range(1, HIGHEST + 1)], axis=1).astype(np.float64)


def alpha(table: Floats, level: float, rng: np.random.Generator, draws: int, alone: str = ALONE) -> Figure:
    """Ordinal α of `table[page, score − 1]` with its percentile interval."""
    shared = table[table.sum(1) >= 2]
    n = len(shared)
    if not n:
        return missing(alone, 0, "pages")
    if (shared.sum(0) > 0).sum() < 2:
        return missing(ALIKE, n, "pages")
    drawn = np.array([_alpha(shared[rng.integers(0, n, n)]) for _ in range(draws)])
    return percentile(_alpha(shared), drawn, level, n, "pages")


def _alpha(table: Floats) -> float:
    """NaN where all scores are alike."""
    import krippendorff

    if (table.sum(0) > 0).sum() < 2:
        return float("nan")
    return float(krippendorff.alpha(value_counts=table.astype(int), level_of_measurement="ordinal"))


def retests(rows: Iterable[Row], raters: Sequence[str]) -> list[tuple[int, int]]:
    """First and second score of each solo page that came to the same rater twice."""
    first: dict[tuple[str, str], int] = {}
    again: dict[tuple[str, str], int] = {}
    for row in rows:
        counts = row["task"] == "page-score" and row["purpose"] == "main" and row["value"] is not None
        if counts and row["rater"] in raters:
            kept = again if row["repeat"] else first
            kept[str(row["rater"]), str(row["item"])] = int(str(row["value"]))
    return [(first[key], again[key]) for key in sorted(again) if key in first]


def _share(
    true: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], level: float, rng: np.random.Generator, draws: int
) -> Figure:
    """A share of repeats; Jeffreys' interval where the bootstrap would see no spread."""
    n = len(true)
    if not n:
        return missing(NONE, 0, "repeats")
    drawn = (
        rng.binomial(n, true.mean(), draws) / n
        if 0 < true.mean() < 1
        else rng.beta(true.sum() + 0.5, n - true.sum() + 0.5, draws)
    )
    return percentile(float(true.mean()), drawn, level, n, "repeats")


def _kappa(twice: np.ndarray[tuple[int, ...], np.dtype[np.int64]], level: float) -> Figure:
    """Cohen's κ with quadratic weights (Cohen 1968) and its asymptotic interval (Fleiss, Cohen & Everitt 1969)."""
    from statsmodels.stats.inter_rater import cohens_kappa

    if not len(twice):
        return missing(NONE, 0, "repeats")
    if len(set(twice.ravel().tolist())) < 2:
        return missing(ALIKE, len(twice), "repeats")
    table = np.zeros((HIGHEST, HIGHEST))
    np.add.at(table, (twice[:, 0] - 1, twice[:, 1] - 1), 1)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = cohens_kappa(table, wt="quadratic")
    value, error = finite(found.kappa), finite(found.std_kappa)
    if value is None:
        return missing(ALIKE, len(twice), "repeats")
    if not error:
        return Figure(value, n=len(twice), unit="repeats", warning="No disagreement is seen: it has no interval.")
    return symmetric(value, error, NORMAL.inv_cdf((1 + level) / 2), level, len(twice), "repeats")
