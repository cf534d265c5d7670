"""The declared figures: assay gate, retention, difference, equivalence, and the ratio by Fieller.

    core = assess(grids, design, rng)  # grids: {"trained": Grid, …} by arm
    core.code(design)

With π the mean over an arm's features of the mean over raters of Y = (score ≥ 4): the gate is π_T − π_0, retention is
ψ = π_R − r π_T − (1 − r) π_0, the difference π_R − π_T. Bounds are percentiles of bootstrap draws (bootstrap.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.study.analysis.bootstrap import RESAMPLES, Resampling, mean, point, ratio
from app.study.analysis.design import Design
from app.study.analysis.figures import NORMAL, Criterion, Figure, Floats, finite, missing, percentile, sentence
from app.study.analysis.outcome import CUT, Grid
from app.study.analysis.report import Code, RaterContrast

LEAST = 10  # pages an arm, for an interval that means anything
MANY = 10  # dictionaries of an arm, from which on how they vary can be seen
FEW = 20  # pages an arm, below which the interval is known to be somewhat too narrow


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """An arm's π and its bootstrap draws."""

    value: float
    draws: Floats
    features: int
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Core:
    """The headline's figures, without what they were to meet. `reason` says why there are none, where there are none."""

    gate: Figure
    retention: Figure
    difference: Figure
    equivalence: Figure
    ratio: Figure
    reason: str | None = None

    def gate_met(self, design: Design) -> bool:
        return self.gate.low is not None and self.gate.low > design.gate

    def retained(self) -> bool:
        return self.retention.low is not None and self.retention.low > 0

    def differs(self) -> bool:
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and (low > 0 or high < 0)

    def equivalent(self, design: Design) -> bool:
        return inside(self.equivalence, design.equivalence)

    def code(self, design: Design) -> Code:
        """The verdict: what is shown is said by the strongest word for it."""
        if not self.gate_met(design):
            return "not-assessable"
        if self.equivalent(design):
            return "equivalent"
        if self.retained():
            return "retained"
        return "different" if self.differs() else "undecided"


def assess(
    grids: Mapping[str, Grid],
    design: Design,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    cut: int = CUT,
    drop_skips: bool = False,
    dictionaries: bool = False,
) -> Core:
    """The declared figures of solo pages. What keeps them from being had is said in `reason`."""
    reason = unassessable(grids, design)
    if reason:
        none = missing(reason)
        return Core(none, none, none, none, none, reason)
    names = (str(design.trained), str(design.random), str(design.null))
    found = shares([grids[name] for name in names], rng, resamples, cut, drop_skips, dictionaries)
    trained, random, null = found
    r, alpha = design.retention, design.alpha
    warning = sentence([share.warning or "" for share in found] + [few(found)])

    def contrast(weights: tuple[float, float, float], level: float, low_only: bool = False) -> Figure:
        used = [(weight, share) for weight, share in zip(weights, found, strict=True) if weight]
        return percentile(
            sum(weight * share.value for weight, share in used),
            np.sum([weight * share.draws for weight, share in used], axis=0),
            level,
            sum(share.features for _, share in used),
            "features",
            "low" if low_only else "both",
            warning,
        )

    core = Core(
        gate=contrast((1, 0, -1), 1 - alpha, True),
        retention=contrast((-r, 1, r - 1), 1 - alpha, True),
        difference=contrast((-1, 1, 0), 1 - alpha),
        equivalence=contrast((-1, 1, 0), 1 - 2 * alpha),
        ratio=missing("The ratio is given only where the gate passes."),
    )
    if not core.gate_met(design):
        return core
    return Core(core.gate, core.retention, core.difference, core.equivalence, _ratio(trained, random, null, 1 - alpha))


def unassessable(grids: Mapping[str, Grid], design: Design) -> str | None:
    """Why there can be no headline, in one sentence; None where there can."""
    roles = (("trained", design.trained), ("random", design.random), ("null", design.null))
    for role, name in roles:
        if name is None:
            return f"nobody declared which is the {role} arm ([estimand] of the study file)."
        if name not in grids:
            return f"no solo page of the {role} arm “{name}” has an answer that counts."
        if grids[name].features < LEAST:
            return (
                f"{grids[name].features} solo pages of the {role} arm “{name}” have answers; "
                f"an interval needs {LEAST} or more of each arm."
            )
    return None


def shares(
    grids: Sequence[Grid],
    rng: np.random.Generator,
    resamples: int,
    cut: int = CUT,
    drop_skips: bool = False,
    dictionaries: bool = False,
) -> list[Share]:
    """Arms' shares of interpretable pages, with draws that have their raters in common.

    `dictionaries`: where an arm has MANY or more, they are drawn whole, in the place of features.
    """
    raters = np.any([(grid.score >= 0).any(0) for grid in grids], axis=0)
    plan = Resampling.plan(rng, resamples, int(raters.sum()))
    found = []
    for grid in grids:
        y = grid.binary(cut, drop_skips)[:, raters]
        if dictionaries and many_dictionaries(grid):
            draws = _of_dictionaries(plan, rng, y, grid)
        else:
            draws = plan.mean(rng, y, grid.stratum, grid.weight)
        found.append(
            Share(
                point(mean(y), grid.stratum, grid.weight), draws, int(np.isfinite(y).any(1).sum()), _alike(grid.arm, y)
            )
        )
    return found


def many_dictionaries(grid: Grid) -> bool:
    """Whether an arm has dictionaries enough to see how they vary."""
    return len({unit.dictionary for unit in grid.units if unit.dictionary}) >= MANY


def _of_dictionaries(plan: Resampling, rng: np.random.Generator, y: Floats, grid: Grid) -> Floats:
    """Draws of the arm's mean with dictionaries as clusters, all features alike."""
    names, place = np.unique([unit.dictionary or "" for unit in grid.units], return_inverse=True)
    member = (np.arange(len(names))[:, None] == place).astype(np.float64)
    seen = np.isfinite(y)
    total, number = member @ np.where(seen, y, 0.0), member @ seen.astype(np.float64)
    once = ratio(total.sum(1), number.sum(1))
    return plan.of_features(rng, plan.means(total, number), once, np.zeros(len(names), np.int64), np.ones(1))


def _alike(arm: str, y: Floats) -> str | None:
    """What to say where the bootstrap would see no spread."""
    known = mean(y)[np.isfinite(mean(y))]
    if len(known) > 1 and (known == known[0]).all():
        what = "None" if known[0] == 0 else "All" if known[0] == 1 else None
        if what:
            return f"{what} of the pages of “{arm}” count as interpretable: its spread is Jeffreys', not seen."
        return f"The pages of “{arm}” are all judged alike: no spread is seen, and the interval is too narrow."
    return None


def few(found: Sequence[Share]) -> str:
    """What to say of arms with few pages; empty where all have enough."""
    least = min(share.features for share in found)
    return f"An arm has only {least} pages: intervals are somewhat too narrow below {FEW}." if least < FEW else ""


def inside(figure: Figure, margin: float) -> bool:
    """Whether an interval lies within ±margin."""
    return figure.low is not None and figure.high is not None and -margin < figure.low and figure.high < margin


def _ratio(trained: Share, random: Share, null: Share, level: float) -> Figure:
    """(π_R − π_0)/(π_T − π_0) by Fieller (1954), with variances and covariance of the bootstrap draws."""
    n = trained.features + random.features + null.features
    above, below = random.value - null.value, trained.value - null.value
    found = np.cov(random.draws - null.draws, trained.draws - null.draws)
    return fieller(above, below, found, level, n)


def fieller(above: float, below: float, covariance: Floats, level: float, n: int = 0) -> Figure:
    """The ratio of two normal estimates with its interval; unbounded where the lower one may be 0."""
    z = NORMAL.inv_cdf((1 + level) / 2)
    a = below**2 - z**2 * covariance[1, 1]
    b = above * below - z**2 * covariance[0, 1]
    c = above**2 - z**2 * covariance[0, 0]
    if a <= 0 or b**2 < a * c:
        value = above / below if below else None
        return Figure(finite(value), level=level, n=n, unit="features", warning="The ratio has no bounded interval.")
    root = math.sqrt(b**2 - a * c)
    return Figure(finite(above / below), finite((b - root) / a), finite((b + root) / a), level, n, "features")


def criterion(figure: Figure, limit: float, met: bool) -> Criterion:
    return Criterion(figure, limit, met if figure.value is not None else None)


def by_rater(grids: Mapping[str, Grid], design: Design, raters: Sequence[str]) -> tuple[RaterContrast, ...]:
    """Each rater's own shares, and random less trained: features weigh alike."""
    names = (design.trained, design.random, design.null)
    found = []
    for place, rater in enumerate(raters):
        own: list[float | None] = []
        answers = 0
        for name in names:
            grid = grids.get(name) if name else None
            y = grid.binary()[:, place] if grid else np.array([])
            y = y[np.isfinite(y)]
            answers += len(y)
            own.append(float(y.mean()) if len(y) else None)
        trained, random, null = own
        gap = random - trained if random is not None and trained is not None else None
        found.append(RaterContrast(rater, trained, random, null, gap, answers))
    return tuple(found)
