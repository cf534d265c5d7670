"""What a frozen study says to the routes of its raters, read once a process: none of it ever changes.

`Standing` is the rest: what may have changed since, read anew in each transaction.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from app.errors import Gone
from app.store import study_schema as t
from app.store.base import StoreBase
from app.store.records import Rater, State
from app.study.answers import Task
from app.study.assignment import Repeats
from app.study.frozen import Purpose

WITHDRAWN = "You have withdrawn from this study, and your answers were erased; nothing more is asked of you."


@dataclass(frozen=True, slots=True)
class Item:
    """An item without its content."""

    id: int
    public_id: str
    task: Task
    purpose: Purpose
    turns: int
    expected: dict[str, Any] | None  # of a practice or catch item: the right answer


@dataclass(frozen=True, slots=True)
class Rules:
    """What the frozen protocol says about assignment, and the study's items by id."""

    study_id: int
    secret: str
    seed: int
    raters_per_item: int
    items_per_rater: int | None
    lease: timedelta
    dwell: timedelta
    repeats: Repeats
    protocol: dict[str, Any]
    items: dict[int, Item]
    by_public_id: dict[str, Item]

    @property
    def arms(self) -> tuple[str, ...]:
        """Their names, in the order of the file: for the guesses after the close, and for nothing before it."""
        return tuple(arm["name"] for arm in self.protocol["arms"])

    def asks(self, task: str, what: str) -> bool:
        """Whether a task asks for an "explanation" or a "confidence" beside its answer."""
        found = self.protocol["tasks"].get(task) or {}
        return (task == "guess" and what == "confidence") or bool(found.get(what))

    def of(self, *purposes: str) -> list[Item]:
        return [item for item in self.items.values() if item.purpose in purposes]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a study and one of its raters are."""

    state: State
    source: str
    consented_at: datetime | None
    started_at: datetime | None
    practised_at: datetime | None
    finished_at: datetime | None
    told_at: datetime | None
    withdrawn_at: datetime | None

    @property
    def dismissed(self) -> bool:
        """A crowd worker who was shown the completion code is asked nothing more."""
        return self.finished_at is not None and self.source == "crowd"


class FrozenRules(StoreBase):
    def _rules(self, connection: Connection, study_id: int) -> Rules:
        """A study's rules and items; read from the store once a process."""
        if study_id not in self._known:
            row = connection.execute(select(t.study.c.secret, t.study.c.protocol).where(t.study.c.id == study_id)).one()
            i = t.item.c
            items = connection.execute(
                select(i.id, i.public_id, i.task, i.purpose, i.turns, i.expected)
                .where(i.study_id == study_id)
                .order_by(i.id)
            )
            self._known[study_id] = _rules(
                study_id, row.secret, json.loads(row.protocol), [Item(*row) for row in items]
            )
        known: Rules = self._known[study_id]
        return known

    def _standing(self, connection: Connection, rater: Rater, *, lock: bool = False) -> Standing:
        """How far study and rater are; with `lock`, nobody else changes the study until this transaction ends.

        Raises Gone where the rater has withdrawn.
        """
        r = t.rater.c
        if lock:  # in a statement of its own, so that the next one sees what was done while this one waited
            connection.execute(select(t.study.c.id).where(t.study.c.id == rater.study_id).with_for_update())
        query = (
            select(
                t.study.c.state,
                r.source,
                r.consented_at,
                r.started_at,
                r.practised_at,
                r.finished_at,
                r.told_at,
                r.withdrawn_at,
            )
            .join(t.study, t.study.c.id == r.study_id)
            .where(r.id == rater.id)
        )
        found = Standing(*connection.execute(query).one())
        if found.withdrawn_at is not None:
            raise Gone(WITHDRAWN)
        return found


def _rules(study_id: int, secret: str, protocol: dict[str, Any], items: list[Item]) -> Rules:
    repeats = protocol["repeats"]
    return Rules(
        study_id=study_id,
        secret=secret,
        seed=protocol["seed"],
        raters_per_item=protocol["raters_per_item"],
        items_per_rater=protocol["items_per_rater"],
        lease=timedelta(minutes=protocol["lease_minutes"]),
        dwell=timedelta(seconds=protocol["dwell_seconds"]),
        repeats=Repeats(repeats["share"], repeats["distance"]),
        protocol=protocol,
        items={item.id: item for item in items},
        by_public_id={item.public_id: item for item in items},
    )
