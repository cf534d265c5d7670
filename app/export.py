"""ratings.csv: one row a final answered question, one schema before and after the reveal. docs/export.md explains it.

csv_text(store, "demo")
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import TextIO

from app.store.sealed import FinalAnswer, final_answers, key
from app.store.study import Study, StudyStore
from app.study.answers import PageAnswer
from app.study.frozen import KeyRow

Cell = str | int | None

COLUMNS = (
    "study",
    "protocol_hash",
    "key_commitment",
    "rater",
    "item",
    "order",
    "revision",
    "side",
    "task",
    "value",
    "server_ms",
    "visible_ms",
    "at",
    "staff",
    "arm",
    "dictionary",
    "feature",
    "other_arm",
    "other_dictionary",
    "other_feature",
)
GUARDED = ("=", "+", "-", "@", "\t", "\r", "'")  # a spreadsheet runs what begins with one of the first six
UNWRITABLE = re.compile(r"[\x00\ud800-\udfff]|\\(?=u[0-9a-f]{4})")


def rating_rows(store: StudyStore, study: str) -> Iterator[dict[str, Cell]]:
    """Rows of `ratings.csv`; what the pages were is empty before the reveal. Raises NotFound for an unknown study."""
    found = store.study(study)
    answers = final_answers(store, found)
    opened = key(store, found) if found.state == "revealed" else {}
    return (row for answer in answers for row in _rows(found, answer, opened.get(answer.item, {})))


def write_csv(rows: Iterable[Mapping[str, Cell]], file: TextIO) -> None:
    """Write header and rows; `file` must be open as UTF-8 with newline=""."""
    file.writelines(csv_lines(rows))


def csv_lines(rows: Iterable[Mapping[str, Cell]]) -> Iterator[str]:
    """Header and rows as lines of CSV, one at a time."""
    for cells in chain([COLUMNS], ([guard(row[column]) for column in COLUMNS] for row in rows)):
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\r\n").writerow(cells)
        yield line.getvalue()


def csv_text(store: StudyStore, study: str) -> str:
    """The whole ratings.csv of a study. UTF-8 without a byte order mark: docs/export.md says why."""
    return "".join(csv_lines(rating_rows(store, study)))


def guard(cell: Cell) -> str:
    """A cell as text that a spreadsheet takes for text, and that any UTF-8 file can hold.

    NUL and lone surrogates become `\\u0000`-like escapes (as does the backslash of a text that looks like one); text that
    begins with a character of GUARDED gets a `'` before it. `unguard` undoes both.
    """
    if not isinstance(cell, str):
        return "" if cell is None else str(cell)
    text = UNWRITABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", cell)
    return f"'{text}" if text.startswith(GUARDED) else text


def unguard(text: str) -> str:
    """The text that `guard` was given."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text.removeprefix("'"))


def _rows(study: Study, answer: FinalAnswer, opened: Mapping[str, KeyRow]) -> Iterator[dict[str, Cell]]:
    left, right = ("b", "a") if answer.flip else ("a", "b")
    common: dict[str, Cell] = {
        "study": study.name,
        "protocol_hash": study.protocol_hash,
        "key_commitment": study.key_commitment,
        "rater": answer.rater,
        "item": answer.item,
        "order": answer.position,
        "revision": answer.revision,
        "server_ms": answer.server_ms,
        "visible_ms": answer.visible_ms,
        "at": _iso(answer.at),
        "staff": "true" if answer.staff else "false",
    }
    given = answer.answer
    if isinstance(given, PageAnswer):
        yield {**common, "task": "page-score", "side": None, "value": given.score} | _pages(opened.get("a"), None)
        return
    on_left, on_right = opened.get(left), opened.get(right)
    yield {**common, "task": "pair-score", "side": "left", "value": given.left} | _pages(on_left, on_right)
    yield {**common, "task": "pair-score", "side": "right", "value": given.right} | _pages(on_right, on_left)
    yield {**common, "task": "pair-choice", "side": "left", "value": given.choice} | _pages(on_left, on_right)


def _pages(own: KeyRow | None, other: KeyRow | None) -> dict[str, Cell]:
    return _page("", own) | _page("other_", other)


def _page(prefix: str, row: KeyRow | None) -> dict[str, Cell]:
    names = (f"{prefix}arm", f"{prefix}dictionary", f"{prefix}feature")
    values = (row.arm, row.dictionary, row.feature) if row else (None, None, None)
    return dict(zip(names, values, strict=True))


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
