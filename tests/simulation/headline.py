"""Simulation checks of the headline: coverage, size and power of the declared figures, by the analysis that users run.

Raters and features as protocol and `app.study.power` suppose them: latent normal, crossed, SD .8 / .5 / .8.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

from app.study.analysis.design import Design
from app.study.analysis.headline import Core, assess
from app.study.analysis.outcome import CUT, Grid
from app.study.power import CROWD
from app.study.power import Scores as Powered
from app.study.power import scores as promised
from app.study.simulated.arrays import Scores, scores
from app.study.simulated.truth import Truth
from tests.simulation.checks import FULL, RESAMPLES, Check, least, most, share

DESIGN = Design.given("trained", "random", "null")
BATCH = 100  # studies held at a time


def truth(trained: float, random: float, null: float = 0.12, by_arm: float = 0.0) -> Truth:
    return Truth({"trained": trained, "random": random, "null": null}, rater_by_arm=by_arm)


def analysed(
    of: Truth, features: int, raters: int, replicates: int, seed: int, design: Design = DESIGN
) -> Iterator[tuple[Core, Scores, int]]:
    """Each simulated study's declared figures, with the batch that it comes from and its place there."""
    rng = np.random.default_rng(seed)
    for start in range(0, replicates, BATCH):
        batch = scores(of, features, raters, min(BATCH, replicates - start), rng)
        for place in range(min(BATCH, replicates - start)):
            grids = {arm: Grid.of(arm, batch.answers[arm][place]) for arm in of.arms}
            yield assess(grids, design, rng, RESAMPLES), batch, place


def panel_coverage(replicates: int, seed: int) -> Iterator[Check]:
    """Three raters who are fixed: the truth is these raters', over all features."""
    held = above = gate = 0
    for core, batch, place in analysed(truth(0.5, 0.424), 80, 3, replicates, seed):
        trained, random, null = (batch.rates[arm][place] for arm in ("trained", "random", "null"))
        held += core.difference.low <= random - trained <= core.difference.high
        above += core.retention.low <= random - 0.8 * trained - 0.2 * null
        gate += core.gate.low <= trained - null
    setting = "3-rater panel, 80 features an arm"
    yield share(f"{setting}: coverage of the 95% interval of π_R − π_T", held, replicates, 0.935, 0.965)
    yield share(f"{setting}: coverage of the lower 95% bound of ψ", above, replicates, 0.935, 0.965)
    yield share(f"{setting}: coverage of the lower 95% bound of π_T − π_0", gate, replicates, 0.935, 0.965)


def crowd_coverage(replicates: int, seed: int) -> Iterator[Check]:
    """Ten raters drawn from many, who differ in what they make of an arm: the truth is all raters'."""
    of = truth(0.5, 0.424, by_arm=0.3)
    gap = of.rate("random") - of.rate("trained")
    held = sum(
        core.difference.low <= gap <= core.difference.high for core, *_ in analysed(of, 80, CROWD, replicates, seed)
    )
    what = "10 raters, rater × arm SD .3, 80 an arm: two-way coverage of the 95% interval of π_R − π_T"
    yield least(what, held, replicates, 0.93)


def retention_size(replicates: int, seed: int) -> Iterator[Check]:
    hits = sum(core.retained() for core, *_ in analysed(truth(0.5, 0.424), 200, 3, replicates, seed))
    yield most("ψ = 0 at (.5, .424, .12), 200 an arm: retention shown", hits, replicates, 0.065)


def retention_power(replicates: int, seed: int) -> Iterator[Check]:
    """Of one design: retention, and equivalence beside it."""
    retained = equivalent = 0
    for core, *_ in analysed(truth(0.5, 0.5), 250, 3, replicates, seed):
        retained += core.retained()
        equivalent += core.equivalent(DESIGN)
    setting = "(.5, .5, .12), 250 an arm"
    yield share(f"{setting}: retention shown", retained, replicates, 0.836 - 0.025, 0.836 + 0.025, ".836 ± .025")
    yield share(f"{setting}: equivalence within ±.10 shown", equivalent, replicates, 0.86, 0.92, ".89 ± .03")


def equivalence_size(replicates: int, seed: int) -> Iterator[Check]:
    hits = sum(core.equivalent(DESIGN) for core, *_ in analysed(truth(0.5, 0.4), 200, 3, replicates, seed))
    yield most("π_R − π_T = −.10, 200 an arm: equivalence within ±.10 shown", hits, replicates, 0.065)


def equivalence_power(replicates: int, seed: int) -> Iterator[Check]:
    """Of one design: equivalence, and beside it what `study check` promises of retention and equivalence."""
    equivalent = retained = 0
    for core, *_ in analysed(truth(0.5, 0.5), 200, 3, replicates, seed):
        equivalent += core.equivalent(DESIGN)
        retained += core.retained()
    what = "(.5, .5, .12), 200 an arm: equivalence within ±.10 shown"
    yield share(what, equivalent, replicates, 0.75, 0.81, ".78 ± .03")
    yield from _promised(200, 3, retained, equivalent, replicates)


def gate_size(replicates: int, seed: int) -> Iterator[Check]:
    passed = sum(core.gate_met(DESIGN) for core, *_ in analysed(truth(0.12, 0.12), 80, 3, replicates, seed))
    yield most("π_T = π_0 = .12, 80 an arm: the assay gate passes", passed, replicates, 0.065)
    # Raters alike, so that these raters' own gain is .10 too; where they differ, a panel's gain lies around it.
    alike = replace(truth(0.22, 0.22), rater_sd=0.0)
    edge = sum(core.gate_met(DESIGN) for core, *_ in analysed(alike, 80, 3, replicates, seed + 1))
    yield most("π_T − π_0 = .10, the gate's own limit, raters alike, 80 an arm: it passes", edge, replicates, 0.065)


def promises(replicates: int, seed: int) -> Iterator[Check]:
    """Designs of other sizes: what `dartboard study check` promises is what the analysis reaches."""
    for features, raters in ((100, 3), (120, 5), (80, CROWD)):
        retained = equivalent = 0
        for core, *_ in analysed(truth(0.5, 0.5), features, raters, replicates, seed + raters):
            retained += core.retained()
            equivalent += core.equivalent(DESIGN)
        yield from _promised(features, raters, retained, equivalent, replicates)


def _promised(features: int, raters: int, retained: int, equivalent: int, replicates: int) -> Iterator[Check]:
    said = promised(Powered(features, raters), FULL, seed=1)
    for name, hits, power in (("retention", retained, said.retention), ("equivalence", equivalent, said.equivalence)):
        what = f"{features} an arm, {raters} raters: {name} shown, as `study check` promises"
        yield share(what, hits, replicates, max(0.0, power - 0.04), min(1.0, power + 0.04), f"{power:.3f} ± .04")


def per_rater(replicates: int, seed: int) -> Iterator[Check]:
    """What is not done, and why: a t-interval of the raters' own contrasts takes the features for all there are."""
    of = truth(0.5, 0.424)
    gap = of.rate("random") - of.rate("trained")
    for raters in (CROWD, 3 * CROWD):
        rng = np.random.default_rng(seed + raters)
        held = 0
        for start in range(0, replicates, BATCH):
            batch = scores(of, 80, raters, min(BATCH, replicates - start), rng).answers
            own = (batch["random"] >= CUT).mean(1) - (batch["trained"] >= CUT).mean(1)
            reach = student.ppf(0.975, raters - 1) * own.std(1, ddof=1) / np.sqrt(raters)
            held += int((np.abs(own.mean(1) - gap) <= reach).sum())
        what = f"not done: coverage of a 95% t-interval of {raters} raters' own contrasts, 80 an arm"
        yield share(what, held, replicates, 0, 0.75, "fails: ≤ .75")


RUNS = (
    *(panel_coverage, crowd_coverage, retention_size, retention_power, equivalence_size, equivalence_power),
    *(gate_size, promises, per_rater),
)
