"""A whole study as plain records, out of a store and into one. `app.archive` makes lines of them.

A record is a dictionary that JSON can hold, with its `type`: one `study`, then its `item`s, `rater`s, `assignment`s and
`rating`s, each kind in an order that depends on nothing but the study. Secrets and the key are of those records only where
they are handed in. Names, invites, sessions and what a crowd platform says of raters are in none.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, insert, select, text

from app.store import study_schema as t
from app.store.base import StoreBase
from app.store.records import Study
from app.store.studies import insert_item
from app.study.blinding import public_id
from app.study.chain import iso

FORMAT = 1
Record = dict[str, Any]
BATCH = 500  # rows held at a time
STUDY = ("name", "title", "instructions", "state", "protocol", "protocol_hash", "key_commitment", "report")
STUDY_TIMES = ("created_at", "closed_at", "guessing_at", "revealed_at")
ITEM = ("purpose", "task", "turns", "expected", "pages", "content_hash")
RATER = ("source", "practice_tries")
RATER_TIMES = (
    *("created_at", "consented_at", "started_at", "practised_at", "finished_at", "told_at", "debriefed_at"),
    *("released_at", "withdrawn_at"),
)
ASSIGNMENT = ("repeat", "position", "flip", "state", "reopened")
ASSIGNMENT_TIMES = ("claimed_at", "lease_until", "served_at")
RATING = (
    *("number", "revision", "counted", "answer", "server_ms", "visible_ms", "staff", "salt", "previous"),
    *("content_hash", "hash"),
)
RATING_TIMES = ("at", "withdrawn_at")


def records(
    engine: Engine, study: Study, secret: str | None, salt: str | None, key: Mapping[str, list[Record]]
) -> Iterator[Record]:
    """A study's records as they are at one instant; `key`: by item, the rows of its pages."""
    with _snapshot(engine) as connection:
        s, r, a = t.study.c, t.rater.c, t.assignment.c
        row = connection.execute(select(t.study).where(s.id == study.id)).one()
        count, head = _head(connection, study)
        opened = {"secret": secret, "key_salt": salt} if salt is not None else {}
        yield {
            "type": "study",
            "format": FORMAT,
            **_plain(row, STUDY, STUDY_TIMES),
            "ratings": count,
            "head": head,
            **opened,
        }
        items = select(t.item).where(t.item.c.study_id == study.id).order_by(t.item.c.public_id)
        for row in _stream(connection, items):
            rows = {"key": key[row.public_id]} if row.public_id in key else {}
            yield {"type": "item", "item": row.public_id, **_plain(row, ITEM), **rows}
        for row in _stream(connection, select(t.rater).where(r.study_id == study.id).order_by(r.id)):
            yield {"type": "rater", "rater": row.pseudonym, **_plain(row, RATER, RATER_TIMES)}
        named = (r.pseudonym, t.item.c.public_id.label("item"))
        whose = (
            select(t.assignment, *named)
            .join(t.rater, r.id == a.rater_id)
            .join(t.item, t.item.c.id == a.item_id)
            .where(r.study_id == study.id)
            .order_by(r.id, a.position)
        )
        for row in _stream(connection, whose):
            place = {"rater": row.pseudonym, "item": row.item}
            yield {"type": "assignment", **place, **_plain(row, ASSIGNMENT, ASSIGNMENT_TIMES)}
        given = (
            select(t.rating, a.repeat, *named)
            .join(t.assignment, a.id == t.rating.c.assignment_id)
            .join(t.rater, r.id == a.rater_id)
            .join(t.item, t.item.c.id == a.item_id)
            .where(t.rating.c.study_id == study.id)
            .order_by(t.rating.c.number)
        )
        for row in _stream(connection, given):
            place = {"rater": row.pseudonym, "item": row.item, "repeat": row.repeat}
            yield {"type": "rating", **place, **_plain(row, RATING, RATING_TIMES)}


def head(engine: Engine, study: Study) -> tuple[int, str]:
    """How many ratings a study's chain has, and the last one's hash."""
    with _snapshot(engine) as connection:
        return _head(connection, study)


def _head(connection: Connection, study: Study) -> tuple[int, str]:
    r = t.rating.c
    last = select(r.number, r.hash).where(r.study_id == study.id).order_by(r.number.desc()).limit(1)
    found = connection.execute(last).one_or_none()
    return (int(found.number), str(found.hash)) if found else (0, study.protocol_hash)


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    """A transaction all of whose statements see one state of the store."""
    with engine.connect() as connection:
        if connection.dialect.name != "sqlite":  # there, a transaction always does
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


def _stream(connection: Connection, query: Select[Any]) -> Iterator[Row[Any]]:
    yield from connection.execution_options(yield_per=BATCH).execute(query)


def _plain(row: Row[Any], names: Iterable[str], times: Iterable[str] = ()) -> Record:
    values = row._mapping
    when = {name: None if values[name] is None else iso(values[name]) for name in times}
    return {name: values[name] for name in names} | when


def load(store: StoreBase, found: Iterable[Record], actor: str) -> str:
    """Write a study from its records, in one transaction; returns its name.

    What they lack, a new secret takes the place of: a study that was not revealed has no key here, and never will.
    """
    with store._writing() as connection:
        return _Loading(store, connection).run(found, actor)


class _Loading:
    def __init__(self, store: StoreBase, connection: Connection) -> None:
        self.store = store
        self.connection = connection
        self.items: dict[str, int] = {}
        self.raters: dict[str, int] = {}
        self.assignments: dict[tuple[str, str, int], int] = {}
        self.study_id = 0
        self.secret = ""

    def run(self, found: Iterable[Record], actor: str) -> str:
        write = {"item": self._item, "rater": self._rater, "assignment": self._assignment, "rating": self._rating}
        rest = iter(found)
        study = next(rest)
        self.secret = study.get("secret") or self.store.token()
        values = _columns(study, STUDY, STUDY_TIMES)
        query = insert(t.study).values(secret=self.secret, key_salt=study.get("key_salt") or "", **values)
        self.study_id = int(self.connection.execute(query.returning(t.study.c.id)).scalar_one())
        for record in rest:
            write[record["type"]](record)
        self.connection.execute(
            text(
                "UPDATE item SET accepted = (SELECT count(*) FROM assignment WHERE assignment.item_id = item.id AND "
                "assignment.state = 'accepted' AND assignment.repeat = 0) WHERE study_id = :study AND purpose = 'main'"
            ),
            {"study": self.study_id},
        )
        self.store._audit(self.connection, actor, "import", self.study_id, head=study["head"])
        return str(study["name"])

    def _item(self, record: Record) -> None:
        values = {"public_id": record["item"], **_columns(record, ITEM)}
        self.items[record["item"]] = insert_item(self.connection, self.study_id, values, record.get("key", []))

    def _rater(self, record: Record) -> None:
        values = {"study_id": self.study_id, "pseudonym": record["rater"], "label": "imported"}
        query = insert(t.rater).values(**values, **_columns(record, RATER, RATER_TIMES)).returning(t.rater.c.id)
        self.raters[record["rater"]] = int(self.connection.execute(query).scalar_one())

    def _assignment(self, record: Record) -> None:
        rater, item, repeat = record["rater"], record["item"], record["repeat"]
        query = insert(t.assignment).values(
            rater_id=self.raters[rater],
            item_id=self.items[item],
            public_id=public_id(self.secret, rater, f"{item} {repeat}"),
            **_columns(record, ASSIGNMENT, ASSIGNMENT_TIMES),
        )
        made = self.connection.execute(query.returning(t.assignment.c.id)).scalar_one()
        self.assignments[rater, item, repeat] = int(made)

    def _rating(self, record: Record) -> None:
        place = self.assignments[record["rater"], record["item"], record["repeat"]]
        values = {"study_id": self.study_id, "assignment_id": place, **_columns(record, RATING, RATING_TIMES)}
        self.connection.execute(insert(t.rating).values(values))


def _columns(record: Record, names: Iterable[str], times: Iterable[str] = ()) -> Record:
    when = {name: None if record[name] is None else datetime.fromisoformat(record[name]) for name in times}
    return {name: record[name] for name in names} | when
