"""The one module that reads the item→arm key, and the final answers that it is joined to in an export.

No rater's route may reach this: a test reads the source, and another takes the table away while raters rate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from app.errors import Conflict
from app.store import study_schema as t
from app.store.engine import reading
from app.store.study import Study, StudyStore
from app.study.answers import Answer, Task, from_json
from app.study.frozen import KeyRow

BATCH = 500  # rows held at a time


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The last revision of an accepted answer, and how its item was shown."""

    rater: str  # pseudonym
    item: str
    purpose: str
    task: Task  # "guess" for the guess on an item of the guessing round
    position: int
    repeat: int  # 1 where the item came a second time
    flip: bool  # page "b" stood left
    revision: int
    answer: Answer
    server_ms: int
    visible_ms: int | None
    staff: bool
    at: datetime
    expected: dict[str, Any] | None  # the right answer to a catch item


def final_answers(store: StudyStore, study: Study) -> list[FinalAnswer]:
    """All of `stream_answers`."""
    return list(stream_answers(store, study))


def stream_answers(store: StudyStore, study: Study) -> Iterator[FinalAnswer]:
    """A study's accepted answers, by rater and in the order in which each was asked; practice and surplus are left out."""
    newest = (
        select(t.rating.c.assignment_id, func.max(t.rating.c.revision).label("revision"))
        .where(t.rating.c.study_id == study.id)
        .group_by(t.rating.c.assignment_id)
        .subquery()
    )
    query = (
        select(
            t.rating,
            t.assignment.c.position,
            t.assignment.c.repeat,
            t.assignment.c.flip,
            t.rater.c.pseudonym,
            t.item.c.public_id,
            t.item.c.task,
            t.item.c.purpose,
            t.item.c.expected,
        )
        .join(newest, (newest.c.assignment_id == t.rating.c.assignment_id) & (newest.c.revision == t.rating.c.revision))
        .join(t.assignment, t.assignment.c.id == t.rating.c.assignment_id)
        .join(t.rater, t.rater.c.id == t.assignment.c.rater_id)
        .join(t.item, t.item.c.id == t.assignment.c.item_id)
        .where(t.item.c.study_id == study.id, t.item.c.purpose != "practice", t.assignment.c.state == "accepted")
        .order_by(t.rater.c.id, t.assignment.c.position)
    )
    with reading(store.engine) as connection:
        for row in connection.execution_options(yield_per=BATCH).execute(query):
            task: Task = "guess" if row.purpose == "guess" and row.repeat else row.task
            yield FinalAnswer(
                row.pseudonym,
                row.public_id,
                row.purpose,
                task,
                row.position,
                row.repeat if row.purpose == "main" else 0,
                row.flip,
                row.revision,
                from_json(task, row.answer),
                row.server_ms,
                row.visible_ms,
                row.staff,
                row.at,
                row.expected,
            )


def key(store: StudyStore, study: Study) -> dict[str, dict[str, KeyRow]]:
    """What each page of each item is, by the item's id and the page's name. Raises Conflict before the reveal."""
    return {
        item: {
            row["page"]: KeyRow(row["page"], row["arm"], row["dictionary"], row["feature"], row["stratum"])
            for row in rows
        }
        for item, rows in opened(store, study).rows.items()
    }


def key_salt(store: StudyStore, study: Study) -> str:
    """The salt of the key's commitment, for a check of it. Raises Conflict before the reveal."""
    return opened(store, study).salt


@dataclass(frozen=True, slots=True)
class Opened:
    """The key and the two secrets of a study. `rows`: by item, one a page, with its seal."""

    secret: str
    salt: str
    rows: dict[str, list[dict[str, Any]]]


def opened(store: StudyStore, study: Study) -> Opened:
    """The key of a revealed study. Raises Conflict before the reveal."""
    with reading(store.engine) as connection:
        state = connection.execute(select(t.study.c.state).where(t.study.c.id == study.id)).scalar_one()
    if state != "revealed":
        raise Conflict(f"The key of “{study.name}” is sealed until the study is revealed.")
    return unopened(store, study)


def unopened(store: StudyStore, study: Study) -> Opened:
    """The key whatever the study's state, for `dartboard study verify` alone, which says what was changed and no more."""
    k = t.item_key.c
    query = select(t.item.c.public_id, k.page, k.arm, k.dictionary, k.feature, k.stratum, k.seal)
    query = query.join(t.item, t.item.c.id == k.item_id).where(t.item.c.study_id == study.id)
    rows: dict[str, list[dict[str, Any]]] = {}
    with reading(store.engine) as connection:
        secrets = select(t.study.c.secret, t.study.c.key_salt).where(t.study.c.id == study.id)
        secret, salt = connection.execute(secrets).one()
        for found in connection.execute(query.order_by(t.item.c.public_id, k.page)):
            row = dict(found._mapping)
            rows.setdefault(row.pop("public_id"), []).append(row)
    return Opened(secret, salt, rows)
