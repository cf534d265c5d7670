"""What a design can find out, by simulation: every figure is the share of seeded, simulated studies that reach a verdict.

    scores(Scores(features=250, raters=3)).retention  # ≈ .84

The model of scores is latent and normal, crossed: a rater's answer on a feature's page counts as interpretable where
mean(arm) + feature + rater + residual > 0, with standard deviations SPREAD. `mean(arm)` is set so that the share of
interpretable answers is the arm's π. A panel's raters are fixed and the same in all arms; what varies from study to study
is which features are drawn, so bounds come from the spread of the features' means (as the bootstrap of features does). From
CROWD raters on, raters are drawn too: the spread of their contrasts is added, and that of single answers once more, since the
pigeonhole bootstrap that the analysis uses counts it three times (Owen 2007, theorem 1).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CROWD = 10  # raters from which on a claim is about raters at large
BATCH = 50  # studies simulated at a time
STUDIES = 2000  # simulated for each figure: its standard error is .011 at most
DRAWS = 100_000  # of figures that need two numbers a study
WANTED = 0.8  # power at which a number of items is said to be enough
NORMAL = NormalDist()
Progress = Callable[[int], None]  # told how many more studies are simulated


def _ignore(_: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True, slots=True)
class Scores:
    """A design of solo pages, and what is supposed of its arms: the shares of interpretable pages.

    Standard deviations are on the latent scale; `rater_by_arm` is how much raters differ in what they make of an arm.
    """

    features: int  # an arm
    raters: int
    trained: float = 0.5
    random: float = 0.5
    null: float = 0.12
    retention: float = 0.8
    gate: float = 0.1
    equivalence: float = 0.1
    alpha: float = 0.05
    feature_sd: float = 0.8
    rater_sd: float = 0.5
    rater_by_arm: float = 0.0
    residual_sd: float = 0.8

    @property
    def spread(self) -> float:
        return math.hypot(self.feature_sd, self.rater_sd, self.rater_by_arm, self.residual_sd)


@dataclass(frozen=True, slots=True)
class Power:
    """Shares of simulated studies in which the assay gate passes, retention is shown, and equivalence is."""

    gate: float
    retention: float
    equivalence: float


def scores(design: Scores, studies: int = STUDIES, seed: int = 0, progress: Progress = _ignore) -> Power:
    """Simulate the primary task: the gate π_T − π_0 > gate, ψ = π_R − r π_T − (1−r) π_0 > 0, and |π_R − π_T| < margin."""
    rng = np.random.default_rng(seed)
    z = NORMAL.inv_cdf(1 - design.alpha)
    passed = np.zeros(3)
    for start in range(0, studies, BATCH):
        batch = min(BATCH, studies - start)
        trained, random, null = (
            _arm(rng, design, share, rater)
            for rater in [rng.normal(0, design.rater_sd, (batch, 1, design.raters))]
            for share in (design.trained, design.random, design.null)
        )
        gain = _Contrast.of(design, [(1.0, trained), (-1.0, null)])
        kept = _Contrast.of(design, [(1.0, random), (-design.retention, trained), (design.retention - 1, null)])
        gap = _Contrast.of(design, [(1.0, random), (-1.0, trained)])
        passed += [
            (gain.mean - z * gain.error > design.gate).sum(),
            (kept.mean - z * kept.error > 0).sum(),
            (np.abs(gap.mean) + z * gap.error < design.equivalence).sum(),
        ]
        progress(batch)
    return Power(*(passed / studies).tolist())


def _arm(rng: np.random.Generator, design: Scores, share: float, rater: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whether each answer is an interpretable one: `[study, feature, rater]`."""
    batch, _, raters = rater.shape
    latent = rng.normal(NORMAL.inv_cdf(share) * design.spread, design.feature_sd, (batch, design.features, 1)) + rater
    if design.rater_by_arm:
        latent = latent + rng.normal(0, design.rater_by_arm, rater.shape)
    latent = latent + rng.normal(0, design.residual_sd, (batch, design.features, raters))
    return (latent > 0).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Contrast:
    """A weighted sum of arms' means and its standard error, one a simulated study."""

    mean: NDArray[np.float64]
    error: NDArray[np.float64]

    @classmethod
    def of(cls, design: Scores, arms: list[tuple[float, NDArray[np.float64]]]) -> "_Contrast":
        features = sum(weight**2 * arm.mean(2).var(1, ddof=1) / design.features for weight, arm in arms)
        by_rater = np.asarray(sum(weight * arm.mean(1) for weight, arm in arms))
        variance = np.asarray(features)
        if design.raters >= CROWD:
            answers = sum(weight**2 * _single(arm) for weight, arm in arms)
            variance = variance + by_rater.var(1, ddof=1) / design.raters + answers
        return cls(by_rater.mean(1), np.sqrt(variance))


def _single(arm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The variance of an arm's mean that single answers bring, beyond feature and rater: `[study]`."""
    _, features, raters = arm.shape
    rest = arm - arm.mean(2, keepdims=True) - arm.mean(1, keepdims=True) + arm.mean((1, 2), keepdims=True)
    return np.asarray((rest**2).sum((1, 2)) / ((features - 1) * (raters - 1)) / (features * raters))


def pairs(number: int, margin: float, sd: float = 1.03, alpha: float = 0.05, seed: int = 0) -> float:
    """Share of studies of so many pairs, of scores with this SD and no true difference, whose interval is within ±margin.

    The interval has the level 1 − 2α (two one-sided t-tests, Schuirmann 1987).
    """
    rng = np.random.default_rng(seed)
    mean = rng.normal(0, sd / math.sqrt(number), DRAWS)
    error = sd * np.sqrt(rng.chisquare(number - 1, DRAWS) / (number - 1) / number)
    return float((np.abs(mean) + _t(1 - alpha, number - 1) * error < margin).mean())


def decisive(number: int, share: float = 0.7, alpha: float = 0.05) -> float:
    """Power of the exact two-sided sign test on so many decisive pairs, of which this share prefers one arm."""
    rejects = np.flatnonzero(_upper(number, 0.5) <= alpha / 2)
    if not len(rejects):
        return 0.0
    least = int(rejects[0])
    return float(_upper(number, share)[least] + _upper(number, 1 - share)[least])


def decisive_needed(share: float = 0.7, alpha: float = 0.05, most: int = 400) -> int | None:
    """The number of decisive pairs from which on the power never falls below WANTED again: it goes up and down with parity."""
    short = [number for number in range(1, most + 1) if decisive(number, share, alpha) < WANTED]
    return short[-1] + 1 if short[-1] < most else None


def _upper(number: int, share: float) -> NDArray[np.float64]:
    """The chance of so many wins or more, `[wins]`, of a binomial count."""
    wins = np.arange(number + 1)
    factorial = np.r_[0.0, np.cumsum(np.log(np.arange(1, number + 1)))]
    logs = factorial[number] - factorial - factorial[::-1] + wins * math.log(share) + wins[::-1] * math.log1p(-share)
    return np.asarray(np.cumsum(np.exp(logs)[::-1])[::-1])


@dataclass(frozen=True, slots=True)
class Intruders:
    """A design of intruder trials: features' chances of being found have this SD around their arm's, Beta-distributed."""

    features: int  # an arm
    gap: float = 0.1
    trials: int = 6
    feature_sd: float = 0.3
    centre: float = 0.5  # half-way between the two arms
    alpha: float = 0.05


def intruders(design: Intruders, studies: int = STUDIES, seed: int = 0, progress: Progress = _ignore) -> float:
    """Share of studies in which the two-sided test of the arms' mean proportions correct finds the gap."""
    rng = np.random.default_rng(seed)
    limit = _t(1 - design.alpha / 2, 2 * design.features - 2)
    found = 0
    for start in range(0, studies, BATCH):
        batch = min(BATCH, studies - start)
        arms = []
        for mean in (design.centre + design.gap / 2, design.centre - design.gap / 2):
            size = mean * (1 - mean) / design.feature_sd**2 - 1
            chance = rng.beta(mean * size, (1 - mean) * size, (batch, design.features))
            arms.append(rng.binomial(design.trials, chance) / design.trials)
        error = np.sqrt(sum(arm.var(1, ddof=1) for arm in arms) / design.features)
        found += int((np.abs(arms[0].mean(1) - arms[1].mean(1)) > limit * error).sum())
        progress(batch)
    return found / studies


def caught(planted: int, instructed: int, allowed: int) -> float:
    """The chance that a rater who answers at random gets more than so many wrong of the pages with a known answer.

    Of five scores a planted page takes two for right, an instructed one a single score.
    """
    return _wrong(np.r_[np.full(planted, 3 / 5), np.full(instructed, 4 / 5)], allowed)


def slipped(pages: int, allowed: int, slip: float) -> float:
    """The same of a careful rater, who gets each wrong with a chance of `slip`."""
    return _wrong(np.full(pages, slip), allowed)


def _wrong(chances: NDArray[np.float64], allowed: int) -> float:
    """The chance that more than so many of independent events happen."""
    counts = np.ones(1)
    for chance in chances.tolist():
        counts = np.convolve(counts, [1 - chance, chance])
    return float(counts[allowed + 1 :].sum())


def needed(power: Callable[[int], float], most: int = 4096) -> int | None:
    """The smallest number from which on the power is at least WANTED, by halving; None where `most` is not enough.

    `power` should grow with the number; where it goes up and down a little, one number near the smallest is found.
    """
    low, high = 1, most
    if power(most) < WANTED:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= WANTED else (middle, high)
    return high


def _t(level: float, freedom: int) -> float:
    """Quantile of Student's t, by the expansion of Fisher & Cornish (1960) about the normal one."""
    z = NORMAL.inv_cdf(level)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
