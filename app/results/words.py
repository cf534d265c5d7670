"""Values as text: of a page, of Markdown, of a CSV. What there is not is a dash or an empty cell, and never NaN."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from app.codebook import Cell
from app.export import finite
from app.render import NONE, figure, percent, whole
from app.results.records import Column, Form, Place, Table, Value
from app.study.analysis.figures import Figure


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell as a page shows it. `address`: where it leads; `note`: what to beware of."""

    text: str
    number: bool = False
    code: bool = False
    address: str | None = None
    note: str | None = None


def number(value: float | None, form: Form) -> str:
    """A number in its form; a dash for none."""
    if value is None or not math.isfinite(value):
        return NONE
    match form:
        case "share":
            return percent(value, 0 if abs(value) >= 0.995 else 1)
        case "points":
            return f"{'+' if value > 0 else ''}{100 * value:.1f}".replace("-", "−")
        case "seconds":
            return f"{figure(value, 3)} s"
        case "whole":
            return whole(round(value))
        case _:
            return fixed(value)


def fixed(value: float) -> str:
    """Two decimals, or three digits where they would say nothing."""
    if value and abs(value) < 0.1:
        return f"{value:.3f}".replace("-", "−")
    return f"{value:.2f}".replace("-", "−")


def estimate(found: Figure, form: Form) -> str:
    """“52.0% (45.1% to 58.7%)”; a one-sided bound as “(at least 45.1%)”."""
    unit = " points" if form == "points" else ""
    text = number(found.value, form)
    if found.value is None or found.low is None:
        return f"{text}{unit}" if found.value is not None else text
    if found.high is None:
        return f"{text} (at least {number(found.low, form)}){unit}"
    return f"{text} ({number(found.low, form)} to {number(found.high, form)}){unit}"


def shown(value: Value, column: Column) -> Shown:
    """A cell of a page."""
    match value:
        case Figure():
            return Shown(estimate(value, column.form), number=True, note=value.warning)
        case Place():
            text = NONE if value.dictionary is None else f"{value.dictionary} {value.feature}"
            return Shown(text, address=value.address)
        case None:
            return Shown(NONE, number=column.is_number)
        case bool():
            return Shown("yes" if value else "no")
        case int() | float():
            return Shown(number(value, column.form), number=True)
        case str():
            return Shown(value, code=column.form == "code")


def shown_rows(table: Table) -> Iterator[tuple[Shown, ...]]:
    for row in table.rows:
        yield tuple(shown(value, column) for value, column in zip(row, table.columns, strict=True))


def columns(table: Table) -> list[str]:
    """The names of a table's columns in its CSV."""
    return [name for place, column in enumerate(table.columns) for name, _ in _flat(table, place, column, None)]


def cells(table: Table) -> Iterator[dict[str, Cell]]:
    """The rows of a table for its CSV, exact."""
    for row in table.rows:
        yield {
            name: cell
            for place, (column, value) in enumerate(zip(table.columns, row, strict=True))
            for name, cell in _flat(table, place, column, value)
        }


def _flat(table: Table, place: int, column: Column, value: Value) -> list[tuple[str, Cell]]:
    """A cell as one or several of a CSV; what a column holds is seen from its rows."""
    kinds = {type(row[place]) for row in table.rows}
    if Figure in kinds:
        found = value if isinstance(value, Figure) else Figure(None)
        parts = {"": found.value, "_low": found.low, "_high": found.high, "_level": found.level, "_n": found.n}
        return [(f"{column.name}{end}", finite(part)) for end, part in parts.items()]
    if Place in kinds:
        at = value if isinstance(value, Place) else Place(None, None)
        return [("dictionary", at.dictionary), ("feature", at.feature)]
    assert not isinstance(value, Figure | Place)
    return [(column.name, finite(value))]
