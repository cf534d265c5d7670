"""A report as Markdown: words, tables, and figures by their paths, for a repository or a paper's supplement."""

import re
from collections.abc import Iterator

from app.results.records import Report, Section, Table
from app.results.words import shown_rows

SPECIAL = re.compile(r"([\\`*_\[\]<>|])")


def markdown(report: Report, base: str) -> str:
    """The whole text."""
    return "\n\n".join(_blocks(report, base)) + "\n"


def _blocks(report: Report, base: str) -> Iterator[str]:
    yield f"# Results of {escaped(report.study)}"
    yield escaped(report.title)
    yield f"**{escaped(report.headline)}**"
    yield from (escaped(note) for note in report.notes)
    if report.warnings:
        yield "\n".join(f"> - {escaped(warning)}" for warning in report.warnings)
    for section in report.sections:
        yield from _section(section, base)
    yield "## Methods"
    yield from (escaped(paragraph) for paragraph in report.methods)
    yield "## What this is bound to"
    yield "\n".join(
        f"- {fact.name}: {f'`{fact.value}`' if fact.code else escaped(fact.value)}"
        + (f" ({escaped(fact.note)})" if fact.note else "")
        for fact in report.facts
    )


def _section(section: Section, base: str) -> Iterator[str]:
    yield f"## {escaped(section.title)}"
    yield from (escaped(paragraph) for paragraph in section.paragraphs)
    if section.warnings:
        yield "\n".join(f"> - {escaped(warning)}" for warning in section.warnings)
    for chart in section.charts:
        yield f"![{escaped(chart.summary)}](figures/{chart.name}.svg)"
        yield _table(chart.table, base)
    for table in section.tables:
        if table.long:
            yield f"{escaped(table.title)}: [data/{table.name}.csv](data/{table.name}.csv)"
        else:
            yield _table(table, base)


def _table(table: Table, base: str) -> str:
    """A pipe table under its title; numbers to the right."""
    lines = [
        f"*{escaped(table.title)}* ([CSV](data/{table.name}.csv))",
        "",
        "| " + " | ".join(escaped(column.heading) for column in table.columns) + " |",
        "|" + "|".join("---:" if column.is_number else "---" for column in table.columns) + "|",
    ]
    for row in shown_rows(table):
        found = []
        for cell in row:
            text = f"`{cell.text}`" if cell.code else escaped(cell.text)
            found.append(f"[{text}]({base}{cell.address})" if cell.address else text)
        lines.append("| " + " | ".join(found) + " |")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text of which Markdown makes nothing."""
    return SPECIAL.sub(r"\\\1", text)
