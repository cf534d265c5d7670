"""What a rater does: get a screen, submit an answer, undo it. Blind: nothing here reads the key.

A claim is one short transaction. It locks the study's row, so that claims and submits of one study come one after the
other on PostgreSQL as they do on SQLite, and no item gets more than k accepted or leased places. A lease that runs
out gives its place back; a late answer is still accepted where the place is free, and else kept as surplus.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from app.errors import Conflict, NotFound
from app.store import study_schema as t
from app.store.base import StoreBase
from app.store.records import Progress, Rater, Screen
from app.study.answers import Answer, check_task, from_json, to_json
from app.study.assignment import coin, next_flip, preference
from app.study.blinding import public_id
from app.study.content import Page

LONGEST_MS = 2**31 - 1  # what an INTEGER holds; 24 days
CLOSED = "This study has closed, so no more ratings are taken; those sent before are kept."


@dataclass(frozen=True, slots=True)
class _Rules:
    """What the frozen protocol says about assignment."""

    study_id: int
    open: bool
    secret: str
    seed: int
    raters_per_item: int
    lease: timedelta


class Rating(StoreBase):
    def start(self, rater: Rater) -> None:
        """Note that the rater has read the instructions."""
        with self._writing() as connection:
            connection.execute(
                update(t.rater)
                .where(t.rater.c.id == rater.id, t.rater.c.started_at.is_(None))
                .values(started_at=self.clock())
            )

    def progress(self, rater: Rater) -> Progress:
        with self._reading() as connection:
            return self._progress(connection, rater, _rules(connection, rater))

    def screen(self, rater: Rater) -> Screen | None:
        """What to show now: an answer reopened by undo, else the item at hand, else the next one.

        None where nothing is left for this rater, or the study is not open.
        """
        with self._reading() as connection:
            rules = _rules(connection, rater)
            if not rules.open:
                return None
            current = self._at_hand(connection, rater, rules)
            if current is not None:
                return self._screen(connection, rater, rules, current)
        with self._writing() as connection:
            rules = _rules(connection, rater, lock=True)
            if not rules.open:
                return None
            # another tab may have claimed in between
            current = self._at_hand(connection, rater, rules) or self._claim(connection, rater, rules)
            return self._screen(connection, rater, rules, current) if current is not None else None

    def submit(
        self, rater: Rater, public_id: str, revision: int, answer: Answer, visible_ms: int | None, staff: bool
    ) -> None:
        """Accept an answer. Sending the same one again changes nothing, so a retry is safe.

        Raises NotFound for an id this rater never saw, Unprocessable out of range, Conflict where the revision holds
        another answer, is not the open one, or the study has closed.
        """
        now = self.clock()
        with self._writing() as connection:
            rules = _rules(connection, rater, lock=True)
            row = connection.execute(
                _assignments().where(t.assignment.c.rater_id == rater.id, t.assignment.c.public_id == public_id)
            ).one_or_none()
            if row is None:
                raise NotFound("This question is not one of yours; reload the rating page and answer what it shows.")
            check_task(row.task, answer)
            ratings = _ratings(connection, row.id)
            for earlier in ratings:
                if earlier.revision == revision:
                    if earlier.answer == to_json(answer):
                        return
                    raise Conflict("This question was answered already with other values; use undo to change them.")
            if not rules.open:
                raise Conflict(CLOSED)
            if revision != len(ratings) + 1 or (ratings and not row.reopened):
                raise Conflict("This page is out of date; reload the rating page and answer what it shows.")
            connection.execute(
                insert(t.rating).values(
                    assignment_id=row.id,
                    revision=revision,
                    answer=to_json(answer),
                    server_ms=_milliseconds((now - row.served_at) // timedelta(milliseconds=1)),
                    visible_ms=None if visible_ms is None else _milliseconds(visible_ms),
                    staff=staff,
                    at=now,
                )
            )
            state = row.state if ratings else self._outcome(connection, rater, rules, row.item_id)
            connection.execute(
                update(t.assignment).where(t.assignment.c.id == row.id).values(state=state, reopened=False)
            )

    def undo(self, rater: Rater) -> None:
        """Reopen the rater's last answer; a no-op where it is open already.

        The answer stands until a new revision replaces it. Raises Conflict where there is none or the study has closed.
        """
        with self._writing() as connection:
            if not _rules(connection, rater, lock=True).open:
                raise Conflict(CLOSED)
            last = connection.execute(
                select(t.assignment.c.id)
                .join(t.rating, t.rating.c.assignment_id == t.assignment.c.id)
                .where(t.assignment.c.rater_id == rater.id)
                .order_by(t.assignment.c.reopened.desc(), t.rating.c.id.desc())
                .limit(1)
            ).scalar_one_or_none()
            if last is None:
                raise Conflict("There is no answer to undo yet.")
            connection.execute(
                update(t.assignment)
                .where(t.assignment.c.id == last, ~t.assignment.c.reopened)
                .values(reopened=True, served_at=self.clock())
            )

    def _at_hand(self, connection: Connection, rater: Rater, rules: _Rules) -> Row[Any] | None:
        """The reopened assignment, else the leased one with at least half its lease left."""
        half = self.clock() + rules.lease / 2
        leased = and_(t.assignment.c.state == "leased", t.assignment.c.lease_until >= half)
        return connection.execute(
            _assignments()
            .where(t.assignment.c.rater_id == rater.id, or_(t.assignment.c.reopened, leased))
            .order_by(t.assignment.c.reopened.desc(), t.assignment.c.position)
            .limit(1)
        ).one_or_none()

    def _claim(self, connection: Connection, rater: Rater, rules: _Rules) -> Row[Any] | None:
        """Renew a lease where its place is still free, else lease the first item of the rater's order that is."""
        now = self.clock()
        full = self._full(connection, rater, rules)
        own = connection.execute(
            _assignments().where(t.assignment.c.rater_id == rater.id).order_by(t.assignment.c.position)
        ).all()
        for row in own:
            if row.state == "leased" and row.item_id not in full:
                times = {"lease_until": now + rules.lease}
                if row.lease_until <= now:
                    times["served_at"] = now  # the time away is not time on task
                connection.execute(update(t.assignment).where(t.assignment.c.id == row.id).values(times))
                return _by_id(connection, row.id)
        seen = {row.item_id for row in own}
        items = connection.execute(
            select(t.item.c.id, t.item.c.public_id, t.item.c.task, t.item.c.turns).where(
                t.item.c.study_id == rules.study_id
            )
        ).all()
        free = [item for item in items if item.id not in seen and item.id not in full]
        if not free:
            return None
        item = min(free, key=lambda item: preference(rules.seed, rater.pseudonym, item.public_id, item.task))
        sides = [(row.turns, row.flip) for row in own if row.task == "pair"]
        flip = item.task == "pair" and next_flip(sides, item.turns, coin(rules.seed, rater.pseudonym, item.public_id))
        assignment_id = connection.execute(
            insert(t.assignment)
            .values(
                rater_id=rater.id,
                item_id=item.id,
                repeat=0,
                position=1 + max((row.position for row in own), default=0),
                flip=flip,
                public_id=public_id(rules.secret, rater.pseudonym, item.public_id),
                state="leased",
                claimed_at=now,
                lease_until=now + rules.lease,
                served_at=now,
            )
            .returning(t.assignment.c.id)
        ).scalar_one()
        return _by_id(connection, assignment_id)

    def _full(self, connection: Connection, rater: Rater, rules: _Rules) -> set[int]:
        """Items whose k places are all held by others."""
        a = t.assignment.c
        held = or_(a.state == "accepted", and_(a.state == "leased", a.lease_until > self.clock()))
        query = (
            select(a.item_id)
            .join(t.item, t.item.c.id == a.item_id)
            .where(t.item.c.study_id == rules.study_id, a.rater_id != rater.id, held)
            .group_by(a.item_id)
            .having(func.count() >= rules.raters_per_item)
        )
        return set(connection.execute(query).scalars())

    def _outcome(self, connection: Connection, rater: Rater, rules: _Rules, item_id: int) -> str:
        return "surplus" if item_id in self._full(connection, rater, rules) else "accepted"

    def _progress(self, connection: Connection, rater: Rater, rules: _Rules) -> Progress:
        own = connection.execute(
            select(t.assignment.c.item_id, t.assignment.c.state, t.assignment.c.reopened).where(
                t.assignment.c.rater_id == rater.id
            )
        ).all()
        answered = {row.item_id for row in own if row.state != "leased"}
        reopened = {row.item_id for row in own if row.reopened}
        left: set[int] = set()
        if rules.open:
            items = connection.execute(select(t.item.c.id).where(t.item.c.study_id == rules.study_id)).scalars()
            left = set(items) - answered - self._full(connection, rater, rules)
        done = len(answered - reopened)
        return Progress(done, len(answered) + len(left), can_undo=rules.open and bool(answered) and not reopened)

    def _screen(self, connection: Connection, rater: Rater, rules: _Rules, row: Row[Any]) -> Screen:
        stored = connection.execute(select(t.item.c.pages).where(t.item.c.id == row.item_id)).scalar_one()
        pages = [Page.from_json(stored[name]) for name in sorted(stored)]
        ratings = _ratings(connection, row.id)
        progress = self._progress(connection, rater, rules)
        return Screen(
            public_id=row.public_id,
            task=row.task,
            position=row.position,
            done=progress.done,
            total=progress.total,
            pages=tuple(reversed(pages) if row.flip else pages),
            revision=len(ratings) + 1,
            previous=from_json(row.task, ratings[-1].answer) if ratings else None,
            can_undo=progress.can_undo,
        )


def _rules(connection: Connection, rater: Rater, *, lock: bool = False) -> _Rules:
    query = select(t.study.c.state, t.study.c.secret, t.study.c.protocol).where(t.study.c.id == rater.study_id)
    row = connection.execute(query.with_for_update() if lock else query).one()
    protocol = json.loads(row.protocol)
    return _Rules(
        study_id=rater.study_id,
        open=row.state == "open",
        secret=row.secret,
        seed=protocol["seed"],
        raters_per_item=protocol["raters_per_item"],
        lease=timedelta(minutes=protocol["lease_minutes"]),
    )


def _assignments() -> Any:
    return select(t.assignment, t.item.c.task, t.item.c.turns).join(t.item, t.item.c.id == t.assignment.c.item_id)


def _by_id(connection: Connection, assignment_id: int) -> Row[Any]:
    row: Row[Any] = connection.execute(_assignments().where(t.assignment.c.id == assignment_id)).one()
    return row


def _ratings(connection: Connection, assignment_id: int) -> list[Row[Any]]:
    query = select(t.rating).where(t.rating.c.assignment_id == assignment_id).order_by(t.rating.c.revision)
    return list(connection.execute(query))


def _milliseconds(value: int) -> int:
    return min(max(value, 0), LONGEST_MS)
