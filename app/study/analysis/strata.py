"""Trained and random features in parts: by single token, firing frequency, words in the second text, third of the range.

    strata(grids, trials, features, design, rng, resamples)

They describe: no verdict hangs on them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.study.analysis.compare import figure, gap
from app.study.analysis.design import Design
from app.study.analysis.figures import finite, missing
from app.study.analysis.headline import shares
from app.study.analysis.intruder import Trials, found_shares
from app.study.analysis.intruder import figure as found_figure
from app.study.analysis.intruder import gap as found_gap
from app.study.analysis.outcome import Grid, Unit
from app.study.analysis.report import By, Stratum
from app.study.analysis.tables import Cell, Row
from app.study.intruders import THIRDS

Mask = NDArray[np.bool_]
Part = tuple[By, str, list[Mask]]  # by what, which part, and which pages of each of the two arms are in it
STABILITY = "second_stability"  # how much alike a feature's peak tokens in the site's two texts are


def strata(
    grids: Mapping[str, Grid],
    trials: Mapping[str, Trials],
    features: Iterable[Row],
    design: Design,
    rng: np.random.Generator,
    resamples: int,
) -> tuple[Stratum, ...]:
    """Trained and random in parts of the pages, and of the trials. `features`: rows of the features table, if there are."""
    found: list[Stratum] = []
    names = [name for name in (design.trained, design.random) if name]
    pages = [grids[name] for name in names if name in grids]
    if len(pages) == 2:
        parts = (*_single_token(pages), *_frequency(pages), *_corpus(pages, features))
        there = [part for part in parts if any(mask.any() for mask in part[2])]
        found += [_of_pages(part, pages, design, rng, resamples) for part in there]
    asked = [trials[name] for name in names if name in trials]
    if len(asked) == 2:
        for place, third in enumerate(THIRDS):
            both = [one.third(place) for one in asked]
            if all(one.asked.any() for one in both):
                found.append(_of_trials(third, both, design, rng, resamples))
    return tuple(found)


def _single_token(pages: Sequence[Grid]) -> Iterator[Part]:
    values = [[unit.single_token for unit in grid.units] for grid in pages]
    for flag in (False, True):
        yield "single token", "yes" if flag else "no", [np.array([one is flag for one in own]) for own in values]


def _frequency(pages: Sequence[Grid]) -> Iterator[Part]:
    """Part 1 holds the rarest features."""
    values = [[unit.decile for unit in grid.units] for grid in pages]
    for decile in sorted({one for own in values for one in own if one is not None}):
        yield "frequency", str(decile + 1), [np.array([one == decile for one in own]) for own in values]


def _corpus(pages: Sequence[Grid], features: Iterable[Row]) -> Iterator[Part]:
    """Both arms' pages above and below their median stability: whether a feature is about the same words in another text."""
    known = {(row["dictionary"], row["feature"]): row.get(STABILITY) for row in features}
    values = [np.array([_number(known.get(_name(unit))) for unit in grid.units]) for grid in pages]
    there = np.concatenate(values)
    there = there[np.isfinite(there)]
    middle = float(np.median(there)) if len(there) else 0.0
    if (there > middle).any():
        yield "corpus", f"stability to {middle:.2f}", [own <= middle for own in values]
        yield "corpus", f"… above {middle:.2f}", [own > middle for own in values]


def _name(unit: Unit) -> tuple[Cell, Cell]:
    return unit.dictionary, unit.feature


def _number(cell: Cell) -> float:
    value = finite(cell) if isinstance(cell, int | float) else None
    return float("nan") if value is None else value


def _of_pages(part: Part, pages: Sequence[Grid], design: Design, rng: np.random.Generator, resamples: int) -> Stratum:
    by, name, masks = part
    level = 1 - design.alpha
    parts = [grid.only(mask) for grid, mask in zip(pages, masks, strict=True)]
    there = [one for one in parts if one.features]
    made = iter(shares(there, rng, resamples))
    trained, random = (next(made) if one.features else None for one in parts)
    none = missing("No page of this arm is in this part.")
    return Stratum(
        by,
        name,
        "page",
        figure(trained, level) if trained else none,
        figure(random, level) if random else none,
        gap(random, trained, level) if trained and random else none,
    )


def _of_trials(
    third: str, trials: Sequence[Trials], design: Design, rng: np.random.Generator, resamples: int
) -> Stratum:
    level = 1 - design.alpha
    trained, random = found_shares(trials, rng, resamples)
    figures = (found_figure(trained, level), found_figure(random, level), found_gap(random, trained, level))
    return Stratum("third", third, "intruder", *figures)
