"""ratings.csv: one row a final answered question, one schema before and after the reveal. docs/export.md explains it.

csv_text(store, "demo")
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import TextIO

from app.codebook import RATINGS, Cell
from app.store.archive import head
from app.store.sealed import FinalAnswer, key, stream_answers
from app.store.study import Study, StudyStore
from app.study.answers import UNKNOWN, GuessAnswer, IntruderAnswer, PageAnswer, PairAnswer, Skip
from app.study.frozen import KeyRow

COLUMNS = tuple(column.name for column in RATINGS)
SKIPPED = {"page": "page-score", "pair": "pair-choice", "intruder": "intruder-pick", "guess": "guess"}
GUARDED = ("=", "+", "-", "@", "\t", "\r", "'")  # a spreadsheet runs what begins with one of the first six
UNWRITABLE = re.compile(r"[\x00\ud800-\udfff]|\\(?=u[0-9a-f]{4})")


def stamp(store: StudyStore, study: Study) -> dict[str, Cell]:
    """What stands on every row of every table: the study, and the hashes that bind it."""
    return {
        "study": study.name,
        "protocol_hash": study.protocol_hash,
        "key_commitment": study.key_commitment,
        "chain_head": head(store.engine, study)[1],
    }


def rating_rows(store: StudyStore, study: str) -> Iterator[dict[str, Cell]]:
    """Rows of `ratings.csv`; what the pages were is empty before the reveal. Raises NotFound for an unknown study."""
    found = store.study(study)
    stamped = stamp(store, found)
    opened = key(store, found) if found.state == "revealed" else {}
    answers = stream_answers(store, found)
    return (row for answer in answers for row in answer_rows(stamped, answer, opened.get(answer.item, {})))


def write_csv(rows: Iterable[Mapping[str, Cell]], file: TextIO) -> None:
    """Write header and rows; `file` must be open as UTF-8 with newline=""."""
    file.writelines(csv_lines(rows))


def csv_lines(rows: Iterable[Mapping[str, Cell]], columns: Sequence[str] = COLUMNS) -> Iterator[str]:
    """Header and rows as lines of CSV, one at a time."""
    for cells in chain([columns], ([guard(row[column]) for column in columns] for row in rows)):
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
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if not isinstance(cell, str):
        return "" if cell is None else str(cell)
    text = UNWRITABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", cell)
    return f"'{text}" if text.startswith(GUARDED) else text


def finite(value: Cell) -> Cell:
    """The value, or None in place of what is no number: a cell is empty, never NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def unguard(text: str) -> str:
    """The text that `guard` was given."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text.removeprefix("'"))


def answer_rows(
    stamped: Mapping[str, Cell], answer: FinalAnswer, opened: Mapping[str, KeyRow]
) -> Iterator[dict[str, Cell]]:
    """The rows of one answer; `opened` are its item's rows of the key by page, none before the reveal."""
    left, right = ("b", "a") if answer.flip else ("a", "b")
    common: dict[str, Cell] = {
        **dict.fromkeys(COLUMNS),
        **stamped,
        "rater": answer.rater,
        "item": answer.item,
        "purpose": answer.purpose,
        "order": answer.position,
        "repeat": answer.repeat,
        "revision": answer.revision,
        "server_ms": answer.server_ms,
        "visible_ms": answer.visible_ms,
        "at": _iso(answer.at),
        "staff": answer.staff,
    }
    own, given = opened.get("a"), answer.answer
    on_left, on_right = opened.get(left), opened.get(right)
    match given:
        case PageAnswer():
            said: dict[str, Cell] = {"confidence": given.confidence, "explanation": given.explanation}
            right_score = None
            if own and answer.expected:
                right_score = bool(answer.expected["lowest"] <= given.score <= answer.expected["highest"])
            said |= {"task": "page-score", "value": str(given.score), "right": right_score}
            yield {**common, **said} | _pages(own, None)
        case PairAnswer():
            yield {**common, "task": "pair-score", "side": "left", "value": str(given.left)} | _pages(on_left, on_right)
            yield {**common, "task": "pair-score", "side": "right", "value": str(given.right)} | _pages(
                on_right, on_left
            )
            yield {**common, "task": "pair-choice", "side": "left", "value": given.choice} | _pages(on_left, on_right)
        case IntruderAnswer():
            found = own.stratum["intruder"] == given.pick if own else None
            yield {**common, "task": "intruder-pick", "value": str(given.pick), "right": found} | _pages(own, None)
        case GuessAnswer():
            guessed = given.arm == own.arm if own else None
            said = {"task": "guess", "value": given.arm or UNKNOWN, "confidence": given.confidence, "right": guessed}
            yield {**common, **said} | _pages(own, None)
        case Skip():
            side = "left" if answer.task == "pair" else None
            said = {"task": SKIPPED[answer.task], "side": side, "skip": given.skip}
            yield {**common, **said} | _pages(on_left if side else own, on_right if side else None)


def _pages(own: KeyRow | None, other: KeyRow | None) -> dict[str, Cell]:
    return _page("", own) | _page("other_", other) | {"third": own.stratum.get("third") if own else None}


def _page(prefix: str, row: KeyRow | None) -> dict[str, Cell]:
    names = (f"{prefix}arm", f"{prefix}dictionary", f"{prefix}feature")
    values = (row.arm, row.dictionary, row.feature) if row else (None, None, None)
    return dict(zip(names, values, strict=True))


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
