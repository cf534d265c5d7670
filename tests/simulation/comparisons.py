"""Simulation checks of pairs and intruders, by the analysis that users run."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from app.study.analysis.figures import NORMAL
from app.study.analysis.headline import inside
from app.study.analysis.intruder import Trials, figure, found_shares, gap
from app.study.analysis.pairs import pair_results
from app.study.analysis.parts import Pairs
from app.study.answers import PIECES
from app.study.intruders import THIRDS
from app.study.power import Intruders
from app.study.power import decisive as promised_decisive
from app.study.power import intruders as promised_intruders
from app.study.simulated.arrays import LEFT, RIGHT, Choices, intruders, pairs
from app.study.simulated.truth import Truth
from tests.simulation.checks import FULL, Check, most, share
from tests.simulation.checks import RESAMPLES as OF_TRIALS
from tests.simulation.headline import DESIGN

RESAMPLES = 500  # bootstrap draws of each study's pairs
PAIRS = 100
RATERS = 2
WORDS = {LEFT: "left", RIGHT: "right"}


def rows(found: Choices, study: int) -> list[dict[str, Any]]:
    """One study's pairs of trained and random as rows of `ratings`."""
    made = []
    for pair, (sides, chosen) in enumerate(zip(found.first_left[study], found.choice[study], strict=True)):
        for rater, (first_left, choice) in enumerate(zip(sides.tolist(), chosen.tolist(), strict=True)):
            arm, other = ("trained", "random") if first_left else ("random", "trained")
            own = {"item": f"{pair:04}", "rater": str(rater), "arm": arm, "other_arm": other}
            said = {"task": "pair-choice", "side": "left", "value": WORDS.get(choice, "tie")}
            made.append({**own, **said, "purpose": "main", "repeat": 0})
    return made


def analysed(truth: Truth, number: int, raters: int, replicates: int, seed: int) -> Iterator[Pairs]:
    rng = np.random.default_rng(seed)
    names = [str(rater) for rater in range(raters)]
    found = pairs(truth, "trained", "random", number, raters, replicates, rng)
    for study in range(replicates):
        result = pair_results(rows(found, study), DESIGN, names, rng, RESAMPLES)
        assert result is not None
        yield result


def excludes_zero(figure: Any) -> bool:
    return figure.low is not None and (figure.low > 0 or figure.high < 0)


def pairs_size(replicates: int, seed: int) -> Iterator[Check]:
    """No preference, a strong pull of the left side."""
    truth = Truth({"trained": 0.5, "random": 0.5}, side=0.4, ties=0.8)
    beta = net = side = 0
    for found in analysed(truth, PAIRS, RATERS, replicates, seed):
        beta += excludes_zero(found.strengths[0].beta)
        net += excludes_zero(found.preferences[0].net)
        side += found.side.low <= truth.side <= found.side.high
    setting = f"β = 0, γ = .4, ν = .8; {PAIRS} pairs, {RATERS} raters"
    yield share(f"{setting}: the interval of β excludes 0", beta, replicates, 0.035, 0.065)
    yield share(f"{setting}: that of the net preference excludes 0", net, replicates, 0.035, 0.065)
    yield share(f"{setting}: coverage of the interval of γ", side, replicates, 0.93, 0.97)


def pairs_of_unlike_features(replicates: int, seed: int) -> Iterator[Check]:
    """Features of one arm differ: answers to one pair hang together."""
    truth = Truth({"trained": 0.5, "random": 0.5}, side=0.4, ties=0.8, strength_sd=0.7)
    net = sum(excludes_zero(found.preferences[0].net) for found in analysed(truth, PAIRS, RATERS, replicates, seed))
    what = "the same with features' own β of SD .7: the interval of the net preference excludes 0"
    yield share(what, net, replicates, 0.035, 0.065)


def pairs_chances(replicates: int, seed: int) -> Iterator[Check]:
    """What Davidson's model says of β = .8, from the generator, and β from the analysis."""
    truth = Truth({"trained": 0.5, "random": 0.5}, strengths={"trained": 0.8}, side=0.0, ties=0.8)
    found = pairs(truth, "trained", "random", PAIRS, RATERS, replicates, np.random.default_rng(seed))
    won = np.where(found.first_left, found.choice, -found.choice)
    for name, of, wanted in (("win", LEFT, 0.504), ("tie", 0, 0.270), ("loss", RIGHT, 0.226)):
        what = f"β = .8, γ = 0, ν = .8: P({name})"
        yield share(what, int((won == of).sum()), won.size, wanted - 0.01, wanted + 0.01, f"{wanted:.3f} ± .01")
    few = min(replicates, max(replicates // 2, 50))
    covered = sum(
        figure.low <= -0.8 <= figure.high
        for figure in (one.strengths[0].beta for one in analysed(truth, PAIRS, RATERS, few, seed))
    )
    yield share("the same: coverage of the 95% interval of β_R − β_T = −.8", covered, few, 0.92, 0.98)


def decisive(replicates: int, seed: int) -> Iterator[Check]:
    """A 70:30 preference without ties, in as many pairs as `study check` says are needed."""
    truth = Truth({"trained": 0.5, "random": 0.5}, strengths={"trained": float(np.log(0.7 / 0.3))}, ties=0.0)
    hits = sum(excludes_zero(found.preferences[0].net) for found in analysed(truth, 54, 1, replicates, seed))
    power = promised_decisive(54)
    what = "54 decisive pairs, 70:30: the net preference excludes 0, at least as `study check` promises"
    yield share(what, hits, replicates, power - 0.03, 1, f"≥ {power:.3f} − .03")


def trials(found: dict[str, np.ndarray[Any, Any]], study: int, each: int) -> dict[str, Trials]:
    """One study's arms; `found[arm][study, feature, third]`, so many trials of each third, by one rater."""
    made = {}
    for arm, every in found.items():
        right = every[study].T[..., None].astype(np.float64)
        stratum = np.zeros(right.shape[1], np.int64)
        made[arm] = Trials(arm, right, np.full_like(right, each), np.zeros_like(right), stratum, np.ones(1))
    return made


def drawn(truth: Truth, features: int, each: int, studies: int, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    return intruders(truth, features, each, studies, np.random.default_rng(seed), len(THIRDS))


def intruder_power(replicates: int, seed: int) -> Iterator[Check]:
    """The gap of .10 that 188 features an arm are for, and the gap of .20 that 48 are for."""
    for features, size, wanted in ((188, 0.1, 0.81), (48, 0.2, 0.81)):
        truth = Truth(
            {"trained": 0.5, "random": 0.5, "null": 0.12},
            found={"trained": 0.5 + size / 2, "random": 0.5 - size / 2},
        )
        found = drawn(truth, features, 2, replicates, seed)
        rng = np.random.default_rng(seed + 1)
        hits = 0
        for study in range(replicates):
            made = trials(found, study, 2)
            random, trained = found_shares([made["random"], made["trained"]], rng, OF_TRIALS)
            hits += excludes_zero(gap(random, trained, 0.95))
        what = f"{features} features an arm, feature SD .3, six trials, gap {size:.2f}: found"
        yield share(what, hits, replicates, wanted - 0.025, wanted + 0.025, f"{wanted:.2f} ± .025")
        power = promised_intruders(Intruders(features, size), FULL, seed=1)
        what = f"{features} features an arm: as `study check` promises"
        yield share(what, hits, replicates, power - 0.03, power + 0.03, f"{power:.3f} ± .03")


def intruder_null(replicates: int, seed: int) -> Iterator[Check]:
    """In the null arm nothing but luck finds an intruder; and the check that says so errs as it should."""
    truth = Truth({"trained": 0.5, "random": 0.5, "null": 0.12}, found={"trained": 0.6, "random": 0.6})
    found = drawn(truth, 188, 2, replicates, seed)
    right = int(found["null"].sum())
    yield share("null arm, 188 features: share found", right, replicates * 188 * 6, 0.19, 0.21, ".20 ± .01")
    rng = np.random.default_rng(seed + 1)
    alarms = equal = 0
    for study in range(replicates):
        made = trials(found, study, 2)
        [null] = found_shares([made["null"].answered()], rng, OF_TRIALS)
        bounds = figure(null, 0.95)
        alarms += not bounds.low <= 1 / PIECES <= bounds.high
        random, trained = found_shares([made["random"], made["trained"]], rng, OF_TRIALS)
        equal += inside(gap(random, trained, 0.9), DESIGN.intruder)
    yield most("the same: the 95% interval excludes one in five", alarms, replicates, 0.065)
    error = math.sqrt(2 * (0.3**2 + (0.6 * 0.4 - 0.3**2) / 6) / 188)  # of the gap: features, and six trials each
    power = 2 * NORMAL.cdf(DESIGN.intruder / error - NORMAL.inv_cdf(0.95)) - 1
    what = "equal arms of 188 features: shown to be within ±.10, as a normal approximation says"
    yield share(what, equal, replicates, power - 0.03, power + 0.03, f"{power:.3f} ± .03")


RUNS = (pairs_size, pairs_of_unlike_features, pairs_chances, decisive, intruder_power, intruder_null)
