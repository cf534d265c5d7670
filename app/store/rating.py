"""What a rater does with a question: get it, answer it, undo the answer. Blind: nothing here reads the key.

A lease that runs out gives its place back; a late answer is still accepted where the place is free, and else kept as
surplus.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from app.errors import Conflict, NotFound, TooSoon
from app.store import study_schema as t
from app.store.claims import ASKED, Claims, Mine
from app.store.ledger import Ledger, Sent
from app.store.records import Progress, Rater, Screen
from app.store.rules import Item, Rules, Standing
from app.study.answers import Answer, GuessAnswer, Task, check_guess, check_task, from_json, to_json
from app.study.content import Page

CLOSED = "This study has closed, so no more ratings are taken; those sent before are kept."
OUT_OF_DATE = "This page is out of date; reload the rating page and answer what it shows."
ACCEPTING = {"open": ("main", "catch"), "paused": ("main", "catch"), "guessing": ("guess",)}


@dataclass(frozen=True, slots=True)
class Asked:
    """The question that an answer is to, and the revisions it has already."""

    standing: Standing
    rules: Rules
    row: Row[Any]
    item: Item
    ratings: list[Row[Any]]


class Rating(Claims, Ledger):
    def progress(self, rater: Rater) -> Progress:
        with self._reading() as connection:
            standing = self._standing(connection, rater)
            rules = self._rules(connection, rater.study_id)
            return self._progress(rater, rules, standing, self._mine(connection, rater, rules, standing))

    def screen(self, rater: Rater) -> Screen | None:
        """What to show now: an answer reopened by undo, else the item at hand, else the next one.

        None where nothing is left for this rater, or the study asks nothing now. Raises Gone after a withdrawal.
        """
        with self._reading() as connection:
            standing = self._standing(connection, rater)
            rules = self._rules(connection, rater.study_id)
            if standing.state not in ASKED:
                return None
            if self._has_at_hand(connection, rater, rules):
                mine = self._mine(connection, rater, rules, standing)
                current = self._at_hand(mine, rules)
                if current is not None:
                    return self._screen(connection, rater, rules, standing, mine, current.id)
        with self._writing() as connection:
            standing = self._standing(connection, rater, lock=True)
            if standing.state not in ASKED:
                return None
            mine = self._mine(connection, rater, rules, standing)
            at_hand = self._at_hand(mine, rules)  # another tab may have claimed in between
            if at_hand:
                return self._screen(connection, rater, rules, standing, mine, at_hand.id)
            claimed = self._claim(connection, rater, rules, standing, mine)
            if claimed is None:
                return None
            mine = self._mine(connection, rater, rules, standing)  # with what was claimed: the same when asked again
            return self._screen(connection, rater, rules, standing, mine, claimed)

    def submit(
        self, rater: Rater, public_id: str, revision: int, answer: Answer, visible_ms: int | None, staff: bool
    ) -> None:
        """Accept an answer. Sending the same one again changes nothing, so a retry is safe.

        Raises NotFound for an id this rater never saw, Unprocessable out of range, TooSoon under the minimum dwell,
        Conflict where the revision holds another answer, is not the open one, or the study has closed, Gone after a
        withdrawal.
        """
        sent = Sent(public_id, revision, answer, visible_ms, staff, self.clock())
        with self._writing() as connection:
            asked = self._asked(connection, rater, sent)
            rules, row, item, ratings = asked.rules, asked.row, asked.item, asked.ratings
            if _sent_before(ratings, sent):
                return
            if item.purpose not in ACCEPTING.get(asked.standing.state, ()):
                raise Conflict(CLOSED if item.purpose != "practice" else OUT_OF_DATE)
            if revision != len(ratings) + 1 or (ratings and not row.reopened):
                raise Conflict(OUT_OF_DATE)
            if not ratings:
                self._check_dwell(rules, row.served_at, sent.at)
            state = row.state if ratings else self._outcome(connection, rater, rules, row)
            self._append(connection, rater, item, row, sent, state)
            connection.execute(
                update(t.assignment).where(t.assignment.c.id == row.id).values(state=state, reopened=False)
            )

    def undo(self, rater: Rater) -> None:
        """Reopen the rater's last answer; a no-op where it is open already.

        The answer stands until a new revision replaces it. Raises Conflict where there is none, the study has closed,
        or it is the score of a fresh page and the arms were told since, Gone after a withdrawal.
        """
        with self._writing() as connection:
            standing = self._standing(connection, rater, lock=True)
            if standing.state not in ASKED or standing.dismissed:
                raise Conflict(CLOSED)
            rules = self._rules(connection, rater.study_id)
            told = self._told(rules, standing, self._mine(connection, rater, rules, standing))
            last = connection.execute(
                select(t.assignment.c.id)
                .join(t.rating, t.rating.c.assignment_id == t.assignment.c.id)
                .join(t.item, t.item.c.id == t.assignment.c.item_id)
                .where(
                    t.assignment.c.rater_id == rater.id,
                    t.assignment.c.repeat >= int(told),
                    t.item.c.purpose.in_(ASKED[standing.state]),
                )
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

    def _asked(self, connection: Connection, rater: Rater, sent: Sent) -> Asked:
        """What was sent, looked up, the study locked. Raises NotFound, Unprocessable and Gone as `submit` does."""
        standing = self._standing(connection, rater, lock=True)
        rules = self._rules(connection, rater.study_id)
        a = t.assignment.c
        row = connection.execute(
            select(t.assignment).where(a.rater_id == rater.id, a.public_id == sent.public_id)
        ).one_or_none()
        if row is None:
            raise NotFound("This question is not one of yours; reload the rating page and answer what it shows.")
        item = rules.items[row.item_id]
        self._check_answer(rules, task_of(item, row), sent.answer)
        return Asked(standing, rules, row, item, self._revisions(connection, row.id))

    def _outcome(self, connection: Connection, rater: Rater, rules: Rules, row: Row[Any]) -> str:
        """The state of an assignment that is answered now; counts it where it is accepted for one of the k places."""
        if not self._counts(rules, row):
            return "accepted"
        if not self._place_is_free(connection, rater, rules, row.item_id):
            return "surplus"
        connection.execute(update(t.item).where(t.item.c.id == row.item_id).values(accepted=t.item.c.accepted + 1))
        return "accepted"

    def _check_answer(self, rules: Rules, task: Task, answer: Answer) -> None:
        check_task(
            task,
            answer,
            explanation=rules.asks(task, "explanation"),
            confidence=rules.asks(task, "confidence"),
        )
        if isinstance(answer, GuessAnswer):
            check_guess(answer, rules.arms)

    def _check_dwell(self, rules: Rules, served_at: datetime, now: datetime) -> None:
        left = rules.dwell - (now - served_at)
        if timedelta(0) < left <= rules.dwell:  # more than all of it: the clock was set back, and nobody knows
            raise TooSoon(left.total_seconds())

    def _screen(
        self,
        connection: Connection,
        rater: Rater,
        rules: Rules,
        standing: Standing,
        mine: Mine,
        assignment_id: int,
    ) -> Screen:
        a = t.assignment.c
        row = connection.execute(select(t.assignment).where(a.id == assignment_id)).one()
        progress = self._progress(rater, rules, standing, mine)
        return self._question(connection, rules, row, progress)

    def _question(self, connection: Connection, rules: Rules, row: Row[Any], progress: Progress) -> Screen:
        item = rules.items[row.item_id]
        task = task_of(item, row)
        stored = connection.execute(select(t.item.c.pages).where(t.item.c.id == row.item_id)).scalar_one()
        pages = [Page.from_json(stored[name]) for name in sorted(stored)]
        ratings = self._revisions(connection, row.id)
        left = rules.dwell - (self.clock() - row.served_at)
        return Screen(
            public_id=row.public_id,
            task=task,
            position=row.position,
            done=progress.done,
            total=progress.total,
            pages=tuple(reversed(pages) if row.flip else pages),
            revision=len(ratings) + 1,
            previous=from_json(task, ratings[-1].answer) if ratings else None,
            can_undo=progress.can_undo,
            ask_explanation=rules.asks(task, "explanation"),
            ask_confidence=rules.asks(task, "confidence"),
            wait_seconds=left.total_seconds() if not ratings and timedelta(0) < left <= rules.dwell else 0.0,
            choices=rules.arms if task == "guess" else (),
        )


def task_of(item: Item, row: Row[Any]) -> Task:
    """The task of an assignment: a fresh page of the guess round comes again as a guess."""
    return "guess" if item.purpose == "guess" and row.repeat else item.task


def _sent_before(ratings: list[Row[Any]], sent: Sent) -> bool:
    """Whether this revision holds this answer already. Raises Conflict where it holds another."""
    for earlier in ratings:
        if earlier.revision == sent.revision:
            if earlier.answer == to_json(sent.answer):
                return True
            raise Conflict("This question was answered already with other values; use undo to change them.")
    return False
