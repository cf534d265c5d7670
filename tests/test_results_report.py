"""A report of results: whatever the ratings are, every page, table and file of it is whole, and holds no NaN."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from app.render import environment, template_variables
from app.results import specs
from app.results.achieved import TURNS, achieved
from app.results.build import Check, Circumstances, report
from app.results.figures import picture
from app.results.files import Files, files
from app.results.light import in_light, light_tokens
from app.results.markdown import escaped
from app.results.records import Chart, Column, Report, Table
from app.results.routes import ResultsPage
from app.results.words import cells, columns, estimate, number, shown_rows
from app.store.study import Study
from app.study.analysis.figures import Figure
from app.study.analysis.tables import Tables
from app.study.protocol import Protocol
from tests.test_analysis import BAD, analysed, scored, study

AROUND = Circumstances("Which is <clearer>?", "2026-01-01", "2026-01-02", "2026-01-03", (Check("all", ()),), ())
BASE = "http://127.0.0.1:8000"
NOT_NUMBERS = re.compile(r"\b(nan|NaN|None(?! of)|inf|-inf|Infinity|undefined)\b")
AT = datetime(2026, 1, 1, tzinfo=UTC)


def reported(tables: Tables) -> Report:
    return report(analysed(tables), powerless(tables.protocol or study().protocol), AROUND)


def powerless(protocol: Protocol | None) -> Protocol:
    """The protocol without the tasks whose power is simulated for seconds."""
    assert protocol is not None
    return protocol.model_copy(update={"tasks": protocol.tasks.model_copy(update={"page": None, "intruder": None})})


@cache
def whole() -> Report:
    return reported(scored())


@cache
def started() -> Report:
    return replace(whole(), sections=whole().sections[:3])


def page(found: Report) -> str:
    at = AT
    of = Study(1, found.study, "t", "revealed", "", {}, "h", "k", 1, at, at, None, at)
    rows = {table.name: tuple(shown_rows(table)) for table in found.tables() if not table.long}
    variables = template_variables(ResultsPage("Ada", "/results", of, found, rows)) | {"is_htmx": False}
    return environment().get_template("results/results.html").render(variables)


def words(text: str) -> str:
    """A page without its tags and its addresses."""
    return re.sub(r"<[^>]*>", " ", text)


QUICK = ("one arm", "everybody left out", "nothing but skips", "perfectly separated")
CASES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in BAD]


@pytest.mark.parametrize("name", ["everything", *CASES])
def test_every_report_is_whole_and_holds_no_nan(name: str) -> None:
    found = whole() if name == "everything" else reported(BAD[name][0]())
    text = page(found)
    assert not NOT_NUMBERS.search(words(text)), NOT_NUMBERS.search(words(text))
    assert found.headline in text.replace("&#34;", '"').replace("&#39;", "'")
    names = [chart.name for chart in found.charts()]
    assert len(set(names)) == len(names)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    for chart in found.charts():
        json.dumps(in_light(chart.spec), allow_nan=False)  # every colour is one of a theme's
        assert not NOT_NUMBERS.search(chart.summary)
    for table in found.tables():
        assert len({len(row) for row in table.rows} | {len(table.columns)}) == 1
        for row in cells(table):
            assert list(row) == columns(table)
            assert not {"nan", "inf"} & {str(cell) for cell in row.values()}


def test_a_report_says_what_the_analysis_says() -> None:
    found, analysis = whole(), analysed(study())
    assert found.headline == analysis.verdict.sentence
    by_name = {table.name: list(cells(table)) for table in found.tables()}
    assert [(row["arm"], row["interpretable"], row["interpretable_low"]) for row in by_name["arms"]] == [
        (arm.name, arm.interpretable.value, arm.interpretable.low) for arm in analysis.arms
    ]
    assert [row["estimate"] for row in by_name["criteria"]][:4] == [
        criterion.figure.value
        for criterion in (
            analysis.headline.gate,
            analysis.headline.retention,
            analysis.headline.difference,
            analysis.headline.equivalence,
        )
    ]
    assert len(by_name["pages"]) == sum(arm.pages for arm in analysis.arms)
    assert [row["excluded"] for row in by_name["raters"]] == [one.excluded for one in analysis.raters]
    sections = [section.id for section in found.sections]
    assert sections[:3] == ["verdict", "arms", "scores"]
    assert {"intruders", "pairs", "strata", "each", "sensitivity", "raters", "blinding", "power", "verified"} <= set(
        sections
    )
    assert analysis.protocol_hash in " ".join(found.methods)
    for name in ("trained (features of sae-a and sae-b)", "empty (the highlights of real features on random contexts)"):
        assert name in found.methods[0]


def figures_of(part: Any) -> Iterator[Figure]:
    """Every figure of a part of an analysis, however deep."""
    if isinstance(part, Figure):
        yield part
    elif isinstance(part, tuple):
        for one in part:
            yield from figures_of(one)
    elif is_dataclass(part):
        for field in fields(part):
            yield from figures_of(getattr(part, field.name))


def test_every_figure_of_the_analysis_stands_in_the_report() -> None:
    """In a table; three of them in a sentence."""
    analysis, found = analysed(scored()), whole()
    in_tables = {cell for table in found.tables() for row in table.rows for cell in row if isinstance(cell, Figure)}
    sentences = " ".join(text for section in found.sections for text in section.paragraphs)
    assert analysis.intruders is not None and analysis.intruders.null is not None
    forms = {analysis.headline.ratio: "share", analysis.intruders.difference: "points"}
    forms[analysis.intruders.null.figure] = "share"
    elsewhere = [figure for figure in figures_of(analysis) if figure not in in_tables]
    assert all(estimate(figure, forms[figure]) in sentences for figure in elsewhere)
    assert {"corpus", "third"} <= {row[0] for table in found.tables() if table.name == "strata" for row in table.rows}


def test_power_says_where_raters_took_turns() -> None:
    panel, protocol = analysed(study()), powerless(study().protocol)
    crowd = replace(panel, scope="population")
    said = [achieved(analysis, protocol, lambda share: None).warnings for analysis in (panel, crowd)]
    assert said == [(), (TURNS,)]


def test_points_lead_to_their_features() -> None:
    [chart] = [chart for chart in whole().charts() if chart.name == "arms"]
    cloud = next(layer for layer in chart.spec["layer"] if "data" in layer)["data"]["values"]
    linked = [row for row in cloud if "url" in row]
    assert {row["arm"] for row in cloud} - {row["arm"] for row in linked} == {"empty"}
    assert all(re.fullmatch(r"/dictionaries/[\w-]+/features/\d+", row["url"]) for row in linked)
    [table] = [table for table in whole().tables() if table.name == "pages"]
    addresses = [cell.address for row in shown_rows(table) for cell in row if cell.address]
    assert sorted(addresses) == sorted(row["url"] for row in linked)


def test_what_was_changed_is_said_first() -> None:
    tables = study()
    assert tables.protocol is not None
    changed = replace(AROUND, checks=(Check("the chain", ("rating 2: its content is not what was answered",)),))
    few = tables.protocol.model_copy(update={"tasks": tables.protocol.tasks.model_copy(update={"page": None})})
    found = report(analysed(tables), Protocol.model_validate(few), changed)
    assert found.warnings[0].startswith("Something was changed: rating 2")


@pytest.fixture(scope="module")
def written() -> Files:
    """Of its first sections: drawing takes time."""
    return files(lambda doing, share: None, started(), BASE)


@pytest.mark.slow
def test_the_file_opens_from_disk_alone(written: Files) -> None:
    text = written["report.html"].decode()
    assert "<script" not in text
    assert "&lt;clearer&gt;" in text
    loaded = re.findall(r'<(?:link|img|script|iframe|use)\b[^>]*?(?:href|src)="([^"]{0,12})', text)
    assert loaded == ["data:text/cs"]
    assert text.count("<svg") == len(list(started().charts()))
    assert f"{BASE}/dictionaries/sae-a/features/" in text
    assert "var(--series-1)" in text
    assert not NOT_NUMBERS.search(words(re.sub(r'"data:[^"]*"', "", text)))


@pytest.mark.slow
def test_markdown_names_files_that_are_there(written: Files) -> None:
    text = written["report.md"].decode()
    named = re.findall(r"\]\(((?:figures|data)/[^)]+)\)", text)
    assert named
    assert set(named) <= set(written)
    for chart in started().charts():
        assert written[f"figures/{chart.name}.png"].startswith(b"\x89PNG")
        assert not re.search(rb"token:[a-z]", written[f"figures/{chart.name}.svg"])
    [rows] = [list(csv.DictReader(io.StringIO(written["data/arms.csv"].decode())))]
    assert [row["arm"] for row in rows] == ["trained", "random", "points", "empty"]
    assert not NOT_NUMBERS.search(text)


def test_a_picture_escapes_what_its_data_holds() -> None:
    hostile = "</text><script>alert(1)</script>\"'&"
    table = Table("t", "t", (Column("a", "A"),), ((hostile,),))
    row = {"label": hostile, "value": 0.5, "low": 0.4, "high": 0.6}
    drawn = picture(Chart("c", "c", "s", specs.forest([row], hostile), table), BASE)
    assert "<script" not in drawn.themed
    assert "&lt;script" in drawn.themed
    assert escaped("a|b *c* [d](e) <f>") == "a\\|b \\*c\\* \\[d\\](e) \\<f\\>"


@pytest.mark.parametrize(
    ("figure", "form", "says"),
    [
        (Figure(0.5, 0.4, 0.6, 0.95), "share", "50.0% (40.0% to 60.0%)"),
        (Figure(0.5, 0.4, None, 0.95), "points", "+50.0 (at least +40.0) points"),
        (Figure(-0.01, -0.4, 0.6, 0.95), "points", "−1.0 (−40.0 to +60.0) points"),
        (Figure(None, warning="Nothing."), "share", "—"),
        (Figure(1.25), "figure", "1.25"),
    ],
)
def test_estimates_in_words(figure: Figure, form: Any, says: str) -> None:
    assert estimate(figure, form) == says


def test_what_is_no_number_is_a_dash() -> None:
    assert {number(value, form) for value in (None, float("nan"), float("inf")) for form in ("share", "figure")} == {
        "—"
    }


def test_the_light_theme_is_read_before_the_dark_one() -> None:
    tokens = light_tokens()
    assert tokens["surface"] == "#ffffff"
