"""docs/study-file.md and docs/export.md name every key and every column, and no other."""

import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from app.export import COLUMNS
from app.study import protocol
from tests.serving import ROOT

SECTIONS: dict[str, type[BaseModel]] = {
    "At the top": protocol.Protocol,
    "[[arm]]": protocol.Arm,
    "[layout]": protocol.PageLayout,
    "[tasks.page]": protocol.PageTask,
    "[tasks.pair]": protocol.PairTask,
    "[tasks.pair.mix]": protocol.PairMix,
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
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)) and name != "arms"
    }
    assert set(documented) == set(fields)
    for name, field in fields.items():
        default = "required" if field.is_required() else str(field.default)
        if isinstance(field.default, int | float) or field.is_required():
            assert documented[name] == default, name


def test_every_column_is_documented_in_order() -> None:
    assert tuple(dict(tables("export.md"))["Columns"]) == COLUMNS
