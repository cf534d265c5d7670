"""Each figure of `dartboard lab toy` beside the truth, theory and what was published, and whether they agree."""

import math
import statistics

from pipeline.lab import theory
from pipeline.lab.checks import Check
from pipeline.lab.superposition import TOP
from pipeline.lab.toy_arms import Arm
from pipeline.lab.toy_plan import FULL, KNOWN_ALPHAS
from pipeline.lab.toy_run import Run

FOUND = 0.1  # MMCS is within this of 1: above .9
NEAR = 0.1  # estimates are within this share of the truth
FLOORS = {4096: 0.224, 32_768: 0.255}
# Mean purity and monosemantic share, of dead features too
PURITIES: dict[str, tuple[float, float]] = {
    "true features": (1, 1), "trained TopK, m = h": (0.94, 0.91), "data points": (0.80, 0.58), "random sign": (0.27, 0),
    "neurons": (0.27, 0), "random samples": (0.12, 0),
}  # fmt: skip


def checks(run: Run) -> list[Check]:
    """All checks; published values only at the sizes that they were published for."""
    return [*_found(run), *_floors(run), *_estimates(run), *_purities(run), *_needed(run)]


def _found(run: Run) -> list[Check]:
    sizes, world = run.sizes, run.world
    table = f"MMCS of ReLU dictionaries with {world.h} true features in {world.n} dimensions; above {1 - FOUND:g}"
    return [
        Check(table, f"α = {one.alpha:g}, J = {one.m}", (one.mmcs or 0.0,), 1, None, FOUND, f"{one.found} found")
        for one in run.grid
        if one.alpha in KNOWN_ALPHAS and one.m >= sizes.h
    ]


def _floors(run: Run) -> list[Check]:
    n, h = run.sizes.n, run.sizes.h
    published = FLOORS if n == FULL.n else {}
    return [
        Check(
            f"Random directions against {h} known features in {n} dimensions",
            f"MMCS of {count} random directions",
            (value,),
            theory.expected_nearest_uniform(n, count),
            published.get(count),
            0.001 + 4 * 0.35 / math.sqrt(n * h),
        )
        for count, value in run.floors.items()
    ]


def _estimates(run: Run) -> list[Check]:
    known = [one for one in run.estimates if one.alpha in KNOWN_ALPHAS]
    ways = {
        "dead neurons": [one.dead for one in known],
        "loss stickiness": [one.stickiness for one in known],
        "MMCS against a larger dictionary": [one.larger for one in known],
    }
    table = "Estimates of the number of features; median over α"
    rows = []
    for way, found in ways.items():
        short = way == "dead neurons" and not run.sizes.long
        truth, by_alpha = run.world.h, "by α: " + ", ".join(f"{value:.0f}" for value in found)
        note = f"{by_alpha}; too short a training for this one" if short else by_alpha
        rows.append(
            Check(table, way, (statistics.median(found),), None if short else truth, None, NEAR * truth, note, 0)
        )
    return rows


def _purities(run: Run) -> list[Check]:
    """What is published, and the null, which has a formula where all features are alike."""
    rows = []
    for arm in run.arms:
        world = arm.world
        same = run.sizes == FULL and (world.h, world.frequencies) == (FULL.h, "uniform")
        mean, share = PURITIES.get(arm.kind, (None, None)) if same else (None, None)
        null = None
        if arm.kind == "random samples" and world.frequencies == "uniform":
            null = theory.expected_purity(world.h, world.active / world.h, TOP)
        title = f"Purity of top {TOP} samples; {world.h} features, {world.frequencies}, in {world.n} dimensions"
        if mean is not None or null is not None:
            note = _of_alive(arm, arm.purity.mean)
            rows.append(Check(title, f"purity: {arm.kind}", (arm.whole.mean,), null, mean, 0.02, note))
        if share is not None:
            note = _of_alive(arm, arm.purity.monosemantic)
            rows.append(Check(title, f"monosemantic: {arm.kind}", (arm.whole.monosemantic,), None, share, 0.05, note))
    return rows


def _of_alive(arm: Arm, value: float) -> str:
    return f"{value:.3f} of the {arm.alive} alive, of {arm.m}" if arm.alive < arm.m else ""


def _needed(run: Run) -> list[Check]:
    return [
        Check(
            "Random directions for one with a cosine, log₁₀ of their number",
            f"cosine ≥ {one.cosine:g}, n = {one.n}",
            (one.simulated,),
            one.theory,
            None,
            0.01 + 4 * 0.434 / math.sqrt(one.seen),
            f"{one.seen:,} seen",
        )
        for one in run.needed
        if one.simulated is not None
    ]
