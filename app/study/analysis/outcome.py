"""Solo pages as one grid an arm: who gave which page what score. Each page is one feature, and comes in no other task.

grids = page_grids(tables, design, raters)
grids["trained"].binary(4)  # [feature, rater]: 1, 0, NaN where not asked
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.study.analysis.figures import Floats
from app.study.analysis.tables import Row, Tables

CUT = 4  # a score from which on a page counts as interpretable
SKIPPED, NOT_ASKED = 0, -1
LEAST_IN_STRATUM = 2  # features, to see how they spread
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Unit:
    """One page: its item, and what it shows. A control has neither dictionary nor feature."""

    item: str
    dictionary: str | None = None
    feature: int | None = None
    decile: int | None = None
    single_token: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """One arm's first answers: `score[feature, rater]`, 1 to 5, SKIPPED or NOT_ASKED.

    `stratum[feature]` numbers the strata within which features were drawn, `weight[stratum]` are their shares of the
    arm; raters are the same, in the same order, in all grids of a study.
    """

    arm: str
    score: NDArray[np.int8]
    stratum: Ints
    weight: Floats
    units: tuple[Unit, ...] = ()

    @classmethod
    def of(cls, arm: str, score: NDArray[np.int8], decile: Ints | None = None, strata: int = 10) -> "Grid":
        """A grid of scores alone; `decile[feature]` says the stratum, -1 or None where there is none."""
        stratum, weight = strata_numbers(np.full(len(score), -1) if decile is None else decile, strata)
        return cls(arm, score, stratum, weight)

    @property
    def features(self) -> int:
        return len(self.score)

    @property
    def answers(self) -> int:
        return int((self.score != NOT_ASKED).sum())

    @property
    def skips(self) -> int:
        return int((self.score == SKIPPED).sum())

    def binary(self, cut: int = CUT, drop_skips: bool = False) -> Floats:
        """Y[feature, rater]: 1 where the score is at least `cut`, 0 below it and on a skip, NaN where not asked.

        `drop_skips`: a skip is as if not asked.
        """
        y = (self.score >= cut).astype(np.float64)
        y[self.score == NOT_ASKED] = np.nan
        if drop_skips:
            y[self.score == SKIPPED] = np.nan
        return y

    def only(self, chosen: NDArray[np.bool_]) -> "Grid":
        """The grid of some of its features: one stratum, since a part of the arm has no shares that were declared.

        Of all of them: the grid itself.
        """
        if chosen.all():
            return self
        units = tuple(unit for unit, kept in zip(self.units, chosen, strict=True) if kept)
        count = int(chosen.sum())
        return Grid(self.arm, self.score[chosen], np.zeros(count, np.int64), np.ones(min(count, 1)), units)

    def merged(self) -> "Grid":
        """The same features in one stratum."""
        return replace(self, stratum=np.zeros(self.features, np.int64), weight=np.ones(min(self.features, 1)))


def strata_numbers(decile: Ints, parts: int) -> tuple[Ints, Floats]:
    """`(stratum[feature], weight[stratum])`: equal parts of the arm's dictionaries, so each weighs 1/parts.

    A part with fewer than LEAST_IN_STRATUM features, in which no spread is seen, joins the next (the last the one
    before it), and so does its weight; features without a part make one stratum of all.
    """
    count = len(decile)
    if not count or (decile < 0).any():
        return np.zeros(count, np.int64), np.ones(min(count, 1))
    stratum = np.zeros(count, np.int64)
    weights: list[float] = []
    waiting: list[int] = []
    for part in range(max(parts, int(decile.max()) + 1)):
        waiting.append(part)
        here = np.isin(decile, waiting)
        if here.sum() >= LEAST_IN_STRATUM:
            stratum[here] = len(weights)
            weights.append(len(waiting))
            waiting = []
    if waiting:
        last = max(len(weights) - 1, 0)
        stratum[np.isin(decile, waiting)] = last
        weights = weights or [0.0]
        weights[last] += len(waiting)
    return stratum, np.array(weights) / sum(weights)


def page_grids(
    tables: Tables, arms: Sequence[str], raters: Sequence[str], strata: int = 10, rows: Iterable[Row] | None = None
) -> dict[str, Grid]:
    """The grids of the arms' solo pages, from first answers to main items by these raters; arms without any left out.

    `rows` are the ratings to use, where not all.
    """
    known = strata_of(tables.items)
    place = {rater: number for number, rater in enumerate(raters)}
    found: dict[str, dict[str, tuple[Row, dict[int, int]]]] = {arm: {} for arm in arms}
    for row in tables.ratings if rows is None else rows:
        if is_first(row, "page-score") and row["arm"] in found and row["rater"] in place:
            _, scores = found[str(row["arm"])].setdefault(str(row["item"]), (row, {}))
            scores[place[str(row["rater"])]] = SKIPPED if row["value"] is None else int(str(row["value"]))
    return {arm: _grid(arm, pages, known, len(raters), strata) for arm, pages in found.items() if pages}


def _grid(
    arm: str,
    pages: Mapping[str, tuple[Row, dict[int, int]]],
    known: Mapping[str, dict[str, Any]],
    raters: int,
    parts: int,
) -> Grid:
    score = np.full((len(pages), raters), NOT_ASKED, np.int8)
    units = []
    for number, (item, (row, scores)) in enumerate(sorted(pages.items())):
        for rater, value in scores.items():
            score[number, rater] = value
        of = known.get(item, {})
        feature = row["feature"]
        units.append(
            Unit(
                item,
                str(row["dictionary"]) if row["dictionary"] is not None else None,
                int(feature) if feature is not None else None,
                of.get("decile"),
                of.get("single_token"),
            )
        )
    decile = np.array([-1 if unit.decile is None else unit.decile for unit in units], np.int64)
    stratum, weight = strata_numbers(decile, parts)
    return Grid(arm, score, stratum, weight, tuple(units))


def strata_of(items: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """What the items table says of each item's first page: decile, single token, third."""
    return {str(row["item"]): json.loads(str(row["stratum"])) for row in items if row["page"] == "a" and row["stratum"]}


def is_first(row: Row, task: str, purpose: str = "main") -> bool:
    """Whether a row is a first answer to a task: hidden repeats tell consistency and nothing else."""
    return row["task"] == task and row["purpose"] == purpose and row["repeat"] == 0


def raters_of(rows: Iterable[Row], without: Collection[str] = ()) -> tuple[str, ...]:
    """Who answered a main item, in order of pseudonym, those in `without` left out."""
    found = {str(row["rater"]) for row in rows if row["purpose"] == "main"}
    return tuple(sorted(found - set(without)))


def raters_in(grids: Iterable[Grid]) -> int:
    """How many raters have an answer in any of the grids."""
    asked = [(grid.score != NOT_ASKED).any(0) for grid in grids]
    return int(np.any(asked, axis=0).sum()) if asked else 0
