"""docs/study-file.md and docs/export.md name every key and every column, and no other."""

import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from app.codebook import FEATURES, TABLES
from app.study import protocol, rules
from tests.serving import ROOT

SECTIONS: dict[str, type[BaseModel]] = {
    "At the top": protocol.Protocol,
    "[[arm]]": protocol.Arm,
    "[layout]": protocol.PageLayout,
    "[sampling]": rules.Sampling,
    "[tasks.page]": protocol.PageTask,
    "[tasks.pair]": protocol.PairTask,
    "[tasks.pair.mix]": protocol.PairMix,
    "[tasks.intruder]": protocol.IntruderTask,
    "[repeats]": rules.Repeats,
    "[catch]": rules.Catch,
    "[practice]": rules.Practice,
    "[guess]": rules.Guess,
    "[estimand]": rules.Estimand,
    "[exclusions]": rules.Exclusions,
    "[texts]": protocol.Texts,
}


def tables(page: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each heading of a page with the rows of its first table: what the first cell quotes, and the second cell."""
    for section in re.split(r"^#+ ", (ROOT / "docs" / page).read_text("utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        yield heading, dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", body, re.MULTILINE))


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_documented_with_its_default(heading: str) -> None:
    documented = dict(tables("study-file.md"))[heading]
    fields = {
        name: field
        for name, field in SECTIONS[heading].model_fields.items()
        if not isinstance(field.default, BaseModel) and name not in ("arms", "tasks", "estimand")
    }
    assert set(documented) == set(fields)
    for name, field in fields.items():
        default = "required" if field.is_required() else str(field.default)
        if isinstance(field.default, int | float) or field.is_required():
            assert documented[name] == default.lower(), name


DOCUMENTED = {**TABLES, "features": FEATURES}


@pytest.mark.parametrize("table", DOCUMENTED)
def test_every_column_is_documented_in_order_as_the_codebook_says(table: str) -> None:
    documented = dict(tables("export.md"))[table]
    assert {name: meaning.strip() for name, meaning in documented.items()} == {
        column.name: column.meaning for column in DOCUMENTED[table]
    }
    assert list(documented) == [column.name for column in DOCUMENTED[table]]


def test_every_table_of_a_study_file_is_documented() -> None:
    known = {heading.strip("[]") for heading in SECTIONS}
    for name, field in protocol.Protocol.model_fields.items():
        if isinstance(field.default, BaseModel) or name == "estimand":
            assert name in known
    for name in protocol.Tasks.model_fields:
        assert f"tasks.{name}" in known
