"""How people's scores go together with scores that need no person: rank correlations over features.

agreement_with_machines(grids, features, design)
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from app.study.analysis.design import Design
from app.study.analysis.figures import NORMAL, Figure, finite, missing
from app.study.analysis.outcome import SKIPPED, Grid
from app.study.analysis.parts import MachineAgreement
from app.study.analysis.tables import Cell, Row

PREFIX = "score_"  # of a machine score's column
FACTS = ("frequency", "peak_entropy", "decile_slope", "second_stability")  # as good as scores, where there are none
LEAST = 5  # features


def agreement_with_machines(
    grids: Mapping[str, Grid], features: Sequence[Row], design: Design
) -> tuple[MachineAgreement, ...]:
    """Every measure of the features table against the mean human score, in all arms with features and in each."""
    if not features:
        return ()
    facts = [name for name in FACTS if f"{PREFIX}{name}" not in features[0]]
    columns = [name for name in features[0] if name.startswith(PREFIX) or name in facts]
    machine = {(row["dictionary"], row["feature"]): row for row in features}
    arms = [arm.name for arm in design.arms if arm.kind == "features" and arm.name in grids]
    found = []
    for column in columns:
        pairs = {arm: list(_pairs(grids[arm], machine, column)) for arm in arms}
        every = [pair for own in pairs.values() for pair in own]
        if every:
            for name, own in (("", every), *pairs.items()):
                correlation = spearman(own, 1 - design.alpha)
                found.append(MachineAgreement(column.removeprefix(PREFIX), name, correlation))
    return tuple(found)


def _pairs(grid: Grid, machine: Mapping[tuple[Cell, Cell], Row], column: str) -> Iterable[tuple[float, float]]:
    for unit, scores in zip(grid.units, grid.score, strict=True):
        given = scores[scores > SKIPPED]
        if unit.dictionary is not None and unit.feature is not None and len(given):
            value = machine.get((unit.dictionary, unit.feature), {}).get(column)
            if isinstance(value, int | float) and finite(value) is not None:
                yield float(given.mean()), float(value)


def spearman(pairs: Sequence[tuple[float, float]], level: float) -> Figure:
    """Spearman's ρ with Fisher's interval, of the standard error of Bonett & Wright (2000)."""
    from scipy.stats import spearmanr

    n = len(pairs)
    if n < LEAST:
        return missing(f"It needs {LEAST} features or more.", n, "features")
    human, machine = np.array(pairs).T
    if np.ptp(human) == 0 or np.ptp(machine) == 0:
        return missing("All values are alike, so there is no correlation.", n, "features")
    value = float(np.clip(spearmanr(human, machine).statistic, -1, 1))
    if abs(value) == 1:
        return Figure(value, n=n, unit="features", warning="The ranks agree without exception: it has no interval.")
    z = NORMAL.inv_cdf((1 + level) / 2) * np.sqrt((1 + value**2 / 2) / (n - 3))
    centre = np.arctanh(value)
    return Figure(value, float(np.tanh(centre - z)), float(np.tanh(centre + z)), level, n, "features")
