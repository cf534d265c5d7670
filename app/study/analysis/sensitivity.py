"""The headline under other rules: other cuts, skips otherwise, exclusions off, staff left out, the other view of raters.

    variants(tables, grids, core, design, quality, rng, resamples)

Each gives gate, retention and difference anew, and the verdict that these would be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from app.study.analysis.design import Design
from app.study.analysis.headline import MANY, Core, assess, many_dictionaries
from app.study.analysis.outcome import CUT, Grid, page_grids, raters_in
from app.study.analysis.parts import RaterQuality
from app.study.analysis.report import Variant
from app.study.analysis.tables import Tables


def variants(
    tables: Tables,
    grids: Mapping[str, Grid],
    core: Core,
    design: Design,
    quality: Sequence[RaterQuality],
    rng: np.random.Generator,
    resamples: int,
) -> tuple[Variant, ...]:
    """The declared figures first, then each with one rule changed. Rules that change nothing here are left out."""
    counted = [one.rater for one in quality if not one.excluded]
    raters = raters_in(grids.values())

    def of(name: str, title: str, found: Core, count: int = raters) -> Variant:
        code = None if found.reason else found.code(design)
        return Variant(name, title, count, found.gate, found.retention, found.difference, code)

    def again(among: Mapping[str, Grid], cut: int = CUT, drop_skips: bool = False, dictionaries: bool = False) -> Core:
        return assess(among, design, rng, resamples, cut, drop_skips, dictionaries)

    found = [
        of("declared", "As declared", core),
        of("cut-3", "Interpretable from a score of 3 on", again(grids, 3)),
        of("cut-5", "Interpretable at a score of 5 only", again(grids, 5)),
    ]
    if any(grid.skips for grid in grids.values()):
        found.append(of("skips-dropped", "Skipped pages left out, not counted as 0", again(grids, drop_skips=True)))
    others = [
        ("exclusions-off", "Nobody left out", [one.rater for one in quality], len(counted) < len(quality)),
        (
            "staff-out",
            "Raters with a login left out, too",
            [one.rater for one in quality if not one.excluded and not one.staff],
            any(one.staff and not one.excluded for one in quality),
        ),
    ]
    for name, title, kept, changes in others:
        if changes:
            among = page_grids(tables, design.names, kept, design.strata)
            found.append(of(name, title, again(among), raters_in(among.values())))
    if any(len(grid.weight) > 1 for grid in grids.values()):
        merged = {name: grid.merged() for name, grid in grids.items()}
        found.append(of("unstratified", "All pages weigh alike, strata or not", again(merged)))
    if any(many_dictionaries(grid) for grid in grids.values()):
        title = f"Dictionaries drawn, not features, in arms with {MANY} or more"
        found.append(of("dictionaries-drawn", title, again(grids, dictionaries=True)))
    return tuple(found)


def others(grids: Mapping[str, Grid], design: Design, rng: np.random.Generator, resamples: int) -> tuple[Variant, ...]:
    """Each other arm with features in the place of the random arm. They were not declared as the comparison."""
    found = []
    for arm in design.arms if design.random else ():
        if arm.kind == "features" and arm.role == "other" and arm.name in grids:
            own = replace(design, random=arm.name)
            core = assess(grids, own, rng, resamples)
            code = None if core.reason else core.code(own)
            title = f"“{arm.name}” in the place of “{design.random}”"
            count = raters_in(grids.values())
            found.append(Variant(arm.name, title, count, core.gate, core.retention, core.difference, code))
    return tuple(found)
