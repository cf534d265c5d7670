"""What a report of results is made of: sections of sentences, charts and tables. The page, the HTML file and the Markdown say it.

A cell holds the exact value, and each way of showing it makes text of it, so that the page rounds and the CSV does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from app.codebook import Cell
from app.study.analysis.figures import Figure

Form = Literal["text", "code", "whole", "share", "points", "figure", "seconds", "flag"]
"""How a value is written; of an estimate, how each of its numbers is. `share`: in percent; `points`: a "
"difference of two."""


@dataclass(frozen=True, slots=True)
class Place:
    """A feature, by which its page is linked; a control has none."""

    dictionary: str | None
    feature: int | None

    @property
    def address(self) -> str | None:
        """Of the feature's page, on this server."""
        if self.dictionary is None or self.feature is None:
            return None
        return f"/dictionaries/{self.dictionary}/features/{self.feature}"


Value = Cell | Figure | Place


@dataclass(frozen=True, slots=True)
class Column:
    """`name`: in the CSV, where an estimate takes three columns and a place two; `heading`: on the page."""

    name: str
    heading: str
    form: Form = "text"

    @property
    def is_number(self) -> bool:
        return self.form not in ("text", "code", "flag")


@dataclass(frozen=True, slots=True)
class Table:
    """`name` stands in addresses; `long` ones are shown on a page of their own."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    long: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A Vega-Lite specification with its data in it, what it shows in words, and the table behind it.

    Colours are written `token:ink`: the name of a custom property of static/css, which each theme sets.
    """

    name: str
    title: str
    summary: str
    spec: dict[str, Any]
    table: Table


@dataclass(frozen=True, slots=True)
class Section:
    """`id` is its anchor. Paragraphs first, then charts, tables, and what to beware of."""

    id: str
    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value, with a few words; `code` where it is a hash."""

    name: str
    value: str
    note: str = ""
    code: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is said of a revealed study."""

    study: str
    title: str
    headline: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    methods: tuple[str, ...]
    seed: int
    version: str

    def charts(self) -> Iterator[Chart]:
        for section in self.sections:
            yield from section.charts

    def tables(self) -> Iterator[Table]:
        """Those behind charts as well; each once."""
        for section in self.sections:
            yield from (chart.table for chart in section.charts)
            yield from section.tables
