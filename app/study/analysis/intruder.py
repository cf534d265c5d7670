"""Intruder trials: each feature's share of intruders found, averaged over the thirds of its range; chance is one in five.

    trials = trial_grids(tables, design, raters)
    intruder_results(trials, design, rng, resamples)

Features are the clusters, and raters too from ten on, as for solo pages. A skipped trial counts as not found.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.study.analysis.bootstrap import Resampling, mean, point
from app.study.analysis.design import Design
from app.study.analysis.figures import Criterion, Figure, Floats, finite, missing, percentile, sentence
from app.study.analysis.headline import FEW, LEAST, criterion, inside
from app.study.analysis.outcome import Ints, Unit, is_first, strata_numbers
from app.study.analysis.parts import IntruderArm, Intruders
from app.study.analysis.tables import Row
from app.study.answers import PIECES
from app.study.intruders import THIRDS

CHANCE = 1 / PIECES
ALONE = "One feature alone: it has no interval."


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """One arm's first answers, `found[third, feature, rater]` of `asked[third, feature, rater]` trials, `skipped` of them."""

    arm: str
    found: Floats
    asked: Floats
    skipped: Floats
    stratum: Ints
    weight: Floats
    units: tuple[Unit, ...] = ()

    def only(self, chosen: NDArray[np.bool_]) -> "Trials":
        """Some of the features, in one stratum."""
        count = int(chosen.sum())
        units = tuple(unit for unit, kept in zip(self.units, chosen, strict=True) if kept)
        parts = (self.found[:, chosen], self.asked[:, chosen], self.skipped[:, chosen])
        return Trials(self.arm, *parts, np.zeros(count, np.int64), np.ones(min(count, 1)), units)

    def answered(self) -> "Trials":
        """The trials that were not skipped."""
        return replace(self, asked=self.asked - self.skipped, skipped=np.zeros_like(self.skipped))

    def third(self, place: int) -> "Trials":
        part = slice(place, place + 1)
        return replace(self, found=self.found[part], asked=self.asked[part], skipped=self.skipped[part])

    def shares(self, plan: Resampling) -> Floats:
        """Each feature's share of intruders found, averaged over the thirds with an answer, `[1 or draw, feature]`."""
        thirds = [plan.means(found, asked) for found, asked in zip(self.found, self.asked, strict=True)]
        return mean(np.stack(thirds, axis=-1))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An arm's mean share of intruders found, and its draws."""

    value: float
    draws: Floats
    features: int


def trial_grids(
    rows: Iterable[Row], known: Mapping[str, dict[str, Any]], arms: Sequence[str], raters: Sequence[str], parts: int
) -> dict[str, Trials]:
    """The arms' trials by these raters; arms without any left out. `known` are the strata of the items."""
    place = {rater: number for number, rater in enumerate(raters)}
    answers: dict[str, dict[Unit, list[tuple[int, int, bool | None]]]] = {}
    for row in rows:
        if is_first(row, "intruder-pick") and row["arm"] in arms and row["rater"] in place:
            of = known.get(str(row["item"]), {})
            third = THIRDS.index(row["third"]) if row["third"] in THIRDS else 0
            told = None if row["skip"] is not None else bool(row["right"])
            own = answers.setdefault(str(row["arm"]), {})
            own.setdefault(_unit(row, of), []).append((third, place[str(row["rater"])], told))
    return {arm: _trials(arm, answers[arm], len(raters), parts) for arm in arms if arm in answers}


def _unit(row: Row, of: Mapping[str, Any]) -> Unit:
    """The feature of a trial; of a control, what it copies or plants, or else the trial itself."""
    if row["feature"] is not None:
        name = f"{row['dictionary']}/{row['feature']}"
        return Unit(name, str(row["dictionary"]), int(row["feature"]), of.get("decile"), of.get("single_token"))
    return Unit(str(of.get("copies") or of.get("planted") or row["item"]))


def _trials(
    arm: str, answers: Mapping[Unit, Sequence[tuple[int, int, bool | None]]], raters: int, parts: int
) -> Trials:
    units = sorted(answers, key=lambda unit: unit.item)
    found, asked, skipped = (np.zeros((len(THIRDS), len(units), raters)) for _ in range(3))
    for number, unit in enumerate(units):
        for third, rater, told in answers[unit]:
            asked[third, number, rater] += 1
            found[third, number, rater] += bool(told)
            skipped[third, number, rater] += told is None
    decile = np.array([-1 if unit.decile is None else unit.decile for unit in units], np.int64)
    return Trials(arm, found, asked, skipped, *strata_numbers(decile, parts), tuple(units))


def found_shares(trials: Sequence[Trials], rng: np.random.Generator, resamples: int) -> list[Found]:
    """Arms' mean shares of intruders found, with draws that have their raters in common."""
    raters = np.any([(one.asked > 0).any((0, 1)) for one in trials], axis=0)
    plan, once = Resampling.plan(rng, resamples, int(raters.sum())), Resampling(1, None)
    result = []
    for one in trials:
        own = replace(one, found=one.found[..., raters], asked=one.asked[..., raters])
        [value] = own.shares(once)
        draws = plan.of_features(rng, own.shares(plan), value, one.stratum, one.weight)
        result.append(Found(point(value, one.stratum, one.weight), draws, int(np.isfinite(value).sum())))
    return result


def figure(found: Found, level: float) -> Figure:
    """An arm's share with its interval."""
    if found.features < 2:
        return Figure(finite(found.value), n=found.features, unit="features", warning=ALONE)
    return percentile(found.value, found.draws, level, found.features, "features")


def gap(first: Found, second: Found, level: float) -> Figure:
    """The first arm's share less the second's."""
    features = first.features + second.features
    if min(first.features, second.features) < 2:
        return Figure(finite(first.value - second.value), n=features, unit="features", warning=ALONE)
    return percentile(first.value - second.value, first.draws - second.draws, level, features, "features")


def intruder_results(
    grids: Mapping[str, Trials], design: Design, rng: np.random.Generator, resamples: int
) -> tuple[Intruders | None, Criterion | None]:
    """What the trials say, and the criterion of the headline: the 1 − 2α interval of R − T within ±margin.

    Both None where nobody was asked; the criterion is there, and can't be told, where an arm is missing.
    """
    if not grids:
        asked = criterion(missing("No intruder trial has an answer that counts."), design.intruder, False)
        return None, asked if design.asks_intruders else None
    level = 1 - design.alpha
    names = list(grids)
    found = dict(zip(names, found_shares(list(grids.values()), rng, resamples), strict=True))
    arms = tuple(_arm(grids[name], found[name], level, rng, resamples) for name in names)
    null = None
    warnings = []
    if design.null and design.null in grids:
        [answered] = found_shares([grids[design.null].answered()], rng, resamples)
        chance = figure(answered, level)
        holds = chance.low is not None and chance.high is not None and chance.low <= CHANCE <= chance.high
        null = Criterion(chance, CHANCE, None if chance.low is None else holds)
        if null.met is False:
            warnings.append(
                f"Of the null arm's trials {chance.value:.0%} were found, where chance is {CHANCE:.0%}: something other than "
                "meaning gives intruders away, or keeps them hidden."
            )
    trained, random = found.get(str(design.trained)), found.get(str(design.random))
    if trained is None or random is None:
        none = missing("An arm of the comparison has no intruder trial with an answer.")
        return Intruders(arms, none, null, tuple(warnings)), criterion(none, design.intruder, False)
    warning = _few(trained, random)
    narrow = gap(random, trained, 1 - 2 * design.alpha).warned(warning)
    enough = min(trained.features, random.features) >= LEAST
    asked = criterion(narrow, design.intruder, enough and inside(narrow, design.intruder))
    return Intruders(arms, gap(random, trained, level).warned(warning), null, tuple(warnings)), asked


def _few(*found: Found) -> str | None:
    least = min(one.features for one in found)
    if least < LEAST:
        return f"An arm has only {least} features with trials; a margin is met with {LEAST} or more."
    return sentence(
        [f"An arm has only {least} features with trials: the interval is somewhat too narrow."] * (least < FEW)
    )


def _arm(trials: Trials, found: Found, level: float, rng: np.random.Generator, resamples: int) -> IntruderArm:
    thirds = []
    for place, name in enumerate(THIRDS):
        if trials.asked[place].any():
            [part] = found_shares([trials.third(place)], rng, resamples)
            thirds.append((str(name), figure(part, level)))
    answers, skips = int(trials.asked.sum()), int(trials.skipped.sum())
    return IntruderArm(trials.arm, found.features, answers, skips, figure(found, level), tuple(thirds))
