"""Bootstrap draws of an arm's mean: features within strata for a panel of raters, features and raters from CROWD on.

    draws = Resampling.plan(rng, resamples=4000, raters=3)
    draws.mean(rng, y, stratum, weight)  # [draw]

Of n features in a stratum, n − 1 are drawn with replacement: a mean of them then varies as a mean of n does (Rao & Wu
1988), where drawing n would fall short by 1/n. Raters likewise. Features and raters together are the pigeonhole
bootstrap (Owen 2007): both are drawn by themselves, and an answer counts as often as its feature times as often as its rater.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.study.analysis.figures import Floats
from app.study.power import CROWD

RESAMPLES = 4000
CHUNK = 4_000_000  # numbers held at a time


@dataclass(frozen=True, slots=True, eq=False)
class Resampling:
    """How often each rater counts in each draw, `raters[draw, rater]`; None for a panel, whose raters are fixed.

    One resampling serves all arms, so that a rater who is drawn twice is so in all of them.
    """

    resamples: int
    raters: Floats | None

    @classmethod
    def plan(cls, rng: np.random.Generator, resamples: int, raters: int) -> "Resampling":
        """A panel below CROWD raters, else raters drawn too."""
        if raters < CROWD:
            return cls(resamples, None)
        drawn = rng.integers(0, raters, (resamples, raters - 1))
        return cls(resamples, counts(drawn, raters))

    def means(self, total: Floats, number: Floats) -> Floats:
        """Each feature's share, `[1 or draw, feature]`, of sums and counts `[feature, rater]`; NaN where none answered."""
        if self.raters is None:
            return ratio(total.sum(1), number.sum(1))[None]
        return ratio(self.raters @ total.T, self.raters @ number.T)

    def mean(self, rng: np.random.Generator, y: Floats, stratum: NDArray[np.int64], weight: Floats) -> Floats:
        """Draws of an arm's mean, `[draw]`, of answers `y[feature, rater]` that are NaN where not asked."""
        seen = np.isfinite(y)
        of_feature = self.means(np.where(seen, y, 0.0), seen.astype(np.float64))
        return self.of_features(rng, of_feature, mean(y), stratum, weight)

    def of_features(
        self,
        rng: np.random.Generator,
        of_feature: Floats,
        once: Floats,
        stratum: NDArray[np.int64],
        weight: Floats,
    ) -> Floats:
        """Draws of Σ weight[stratum] · mean over the stratum's features, `[draw]`, of their means `[1 or draw, feature]`.

        `once[feature]` are the means without drawing. Strata without an answer in a draw are left out of it. Where the
        means are all 0, or all 1, draws come from the Beta(s + ½, n − s + ½) of Jeffreys' interval: the bootstrap would
        see no spread.
        """
        known = once[np.isfinite(once)]
        if len(known) and (known == known[0]).all() and known[0] in (0.0, 1.0):
            successes = len(known) * known[0]
            return rng.beta(successes + 0.5, len(known) - successes + 0.5, self.resamples)
        total, share = np.zeros(self.resamples), np.zeros(self.resamples)
        for number, part in enumerate(weight):
            found = self._stratum(rng, of_feature[:, stratum == number])
            has = np.isfinite(found)
            total += part * np.where(has, found, 0.0)
            share += part * has
        return ratio(total, share)

    def _stratum(self, rng: np.random.Generator, values: Floats) -> Floats:
        """Means of n − 1 features drawn of n, `[draw]`, of `values[1 or draw, feature]`."""
        count = values.shape[1]
        found = np.empty(self.resamples)
        size = max(count - 1, 1)
        step = max(1, CHUNK // size)
        for start in range(0, self.resamples, step):
            end = min(start + step, self.resamples)
            picked = rng.integers(0, count, (end - start, size))
            several = len(values) > 1
            drawn = np.take_along_axis(values[start:end], picked, axis=1) if several else values[0][picked]
            found[start:end] = mean(drawn)
        return found


def ratio(total: Floats, number: Floats) -> Floats:
    """Quotients; NaN where divided by nothing."""
    found: Floats = np.full(np.shape(total), np.nan)
    np.divide(total, number, out=found, where=number > 0)
    return found


def mean(values: Floats) -> Floats:
    """Means over the last axis of what is there; NaN where nothing is."""
    seen = np.isfinite(values)
    if seen.all():
        return np.asarray(values.mean(-1))
    number = seen.sum(-1).astype(np.float64)
    total = np.where(seen, values, 0.0).sum(-1)
    return ratio(total, number)


def point(of_feature: Floats, stratum: NDArray[np.int64], weight: Floats) -> float:
    """Σ weight[stratum] · mean over the stratum's features of their means; NaN where there is none."""
    parts = np.array([mean(of_feature[stratum == number]) for number in range(len(weight))])
    has = np.isfinite(parts)
    return float((weight[has] * parts[has]).sum() / weight[has].sum()) if has.any() else float("nan")


def counts(drawn: NDArray[np.int64], size: int) -> Floats:
    """How often each of `size` was drawn, `[draw, size]`, of `drawn[draw, …]`."""
    draws = len(drawn)
    flat = (drawn + size * np.arange(draws)[:, None]).ravel()
    return np.bincount(flat, minlength=draws * size).reshape(draws, size).astype(np.float64)
