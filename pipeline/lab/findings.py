"""What machine scores say of random and trained directions: means over features with bootstrap intervals, arm by arm.

An arm is a family of dictionaries, all of equal weight. Intervals are percentiles of a bootstrap of features within each
dictionary; where an arm has at least five dictionaries, of dictionaries too, so that they speak for other seeds. Below that
they speak for these dictionaries alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pipeline.hashing import derive
from pipeline.scores.read import ScoredDictionary

RESAMPLES = 2000
SEEDS = 5  # dictionaries from which on they are drawn, too
LEVEL = 0.95
LEAST = 10  # features, below which a figure says nothing
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the ends of its interval; `features` that it was taken over."""

    value: float
    low: float
    high: float
    features: int

    @property
    def known(self) -> bool:
        return bool(np.isfinite([self.value, self.low, self.high]).all())


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """Dictionaries that differ in nothing but their seed, with the resampled means of every measure.

    `mean[measure]` and `null[measure]` hold the mean itself, then RESAMPLES resampled ones.
    """

    family: str
    title: str
    dictionaries: tuple[ScoredDictionary, ...]
    features: dict[str, int]
    mean: dict[str, Values]
    null: dict[str, Values]

    @property
    def m(self) -> int:
        return self.dictionaries[0].m

    @property
    def expansion(self) -> float:
        return self.m / self.dictionaries[0].width

    @property
    def fve(self) -> float | None:
        known = [one.fve for one in self.dictionaries if one.fve is not None]
        return float(np.mean(known)) if known else None

    @property
    def live(self) -> float:
        """Share of the features that can fill a page."""
        return float(np.mean([one.states.get("live", 0) / one.m for one in self.dictionaries]))

    @property
    def frequency(self) -> float:
        """Mean over its scored features."""
        return float(np.mean([one.frequency.mean() for one in self.dictionaries]))

    @property
    def single_token(self) -> float:
        return float(np.mean([one.single_token.mean() for one in self.dictionaries]))

    def of(self, measure: str) -> Estimate:
        return estimate(self.mean.get(measure), self.features.get(measure, 0))

    def gain(self, measure: str) -> Values | None:
        """The mean less that of random contexts."""
        mean, null = self.mean.get(measure), self.null.get(measure)
        return None if mean is None or null is None else mean - null

    def gained(self, measure: str) -> Estimate:
        return estimate(self.gain(measure), self.features.get(measure, 0))


Chosen = Callable[[ScoredDictionary], NDArray[np.bool_]]


def everything(one: ScoredDictionary) -> NDArray[np.bool_]:
    """All scored features."""
    return np.ones(len(one.index), bool)


def estimate(values: Values | None, features: int) -> Estimate:
    """Of a value and its resampled ones: NaN where there are none, or too few features."""
    if values is None or features < LEAST or not np.isfinite(values[0]):
        return Estimate(np.nan, np.nan, np.nan, 0)
    low, high = np.nanquantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values[0]), float(low), float(high), features)


def kept(arm: Arm, trained: Sequence[Arm], measure: str) -> Estimate:
    """The share of the trained arms' gain over random contexts that an arm has, too; trained arms count equally.

    NaN where the trained gain itself cannot be told from none: a share of nothing says nothing.
    """
    gain, theirs = arm.gain(measure), [one.gain(measure) for one in trained]
    known = [one for one in theirs if one is not None]
    if gain is None or not known:
        return estimate(None, 0)
    whole = np.mean(known, axis=0)
    there = estimate(whole, LEAST)
    if not there.known or there.low <= 0 <= there.high:
        return estimate(None, 0)
    return estimate(gain / whole, arm.features.get(measure, 0))


def less(arm: Arm, other: Arm, measure: str) -> Estimate:
    """The difference of two arms' means."""
    mine, theirs = arm.mean.get(measure), other.mean.get(measure)
    values = None if mine is None or theirs is None else mine - theirs
    return estimate(values, min(arm.features.get(measure, 0), other.features.get(measure, 0)))


def arms(dictionaries: Sequence[ScoredDictionary], seed: int, chosen: Chosen = everything) -> list[Arm]:
    """In the order of the store; only features that are `chosen`."""
    return [_arm(list(group), seed, chosen) for _, group in groupby(dictionaries, lambda one: one.family)]


def _arm(members: Sequence[ScoredDictionary], seed: int, chosen: Chosen) -> Arm:
    measures = sorted({name for one in members for name in one.value})
    sides: list[dict[str, Values]] = []
    features: dict[str, int] = dict.fromkeys(measures, 0)
    parts = [_resampled(one, measures, chosen(one), derive(seed, "findings", one.site, one.name)) for one in members]
    for one in members:
        for name, values in one.value.items():
            features[name] += int(np.isfinite(values[chosen(one)]).sum())
    lot = _dictionaries(len(members), derive(seed, "dictionaries", members[0].site, members[0].family))
    for side in range(2):
        means = np.stack([part[side] for part in parts])  # [dictionary, measure, 1 + resample]
        with np.errstate(invalid="ignore"):
            own = _nanmean(means[:, :, :1])
            drawn = _nanmean(np.take_along_axis(means[:, :, 1:], lot[:, None], 0))
        whole = np.concatenate([own, drawn], axis=1)
        sides.append({name: whole[place] for place, name in enumerate(measures) if np.isfinite(whole[place, 0])})
    title = members[0].title.rsplit(", seed", 1)[0] if len(members) > 1 else members[0].title
    return Arm(members[0].family, title, tuple(members), features, sides[0], sides[1])


def _resampled(
    one: ScoredDictionary, measures: Sequence[str], chosen: NDArray[np.bool_], seed: int
) -> tuple[Values, Values]:
    """`[measure, 1 + RESAMPLES]` means over the chosen features, and of their nulls: the means themselves first."""
    number = int(chosen.sum())
    random = np.random.Generator(np.random.Philox(seed))
    weights = np.ones((1 + RESAMPLES, max(number, 1)))
    if number:
        weights[1:] = random.multinomial(number, np.full(number, 1 / number), RESAMPLES)
    found = []
    for columns in (one.value, one.null):
        values = np.stack([columns.get(name, np.full(len(chosen), np.nan))[chosen] for name in measures])
        there = np.isfinite(values)
        if not number:
            found.append(np.full((len(measures), 1 + RESAMPLES), np.nan))
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append((np.where(there, values, 0) @ weights.T) / (there.astype(float) @ weights.T))
    return found[0], found[1]


def _dictionaries(number: int, seed: int) -> NDArray[np.int64]:
    """`[place, resample]`: which dictionary stands at each place of an arm, the same ones always where they are few."""
    if number < SEEDS:
        return np.repeat(np.arange(number)[:, None], RESAMPLES, axis=1)
    return np.random.Generator(np.random.Philox(seed)).integers(0, number, (number, RESAMPLES))


def _nanmean(values: Values) -> Values:
    """Over the first axis; NaN where nothing is known."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Values = np.where(there, values, 0).sum(0) / there.sum(0)
    return mean


def undiluted(auroc: Values, frequency: float) -> Values:
    """The AUROC against places where the feature does not fire, from that against random ones, where it does at times.

    A share `frequency` of the random places are hits themselves, and as likely below as above another hit:
    A = (1 − f) A₀ + f/2.
    """
    pure: Values = (auroc - frequency / 2) / (1 - frequency)
    return pure
