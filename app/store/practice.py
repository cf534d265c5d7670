"""Practice: questions with known answers, asked one after the other until each was answered rightly, with feedback.

Each try is a revision of the question's one assignment, so that nothing of it is lost; none of it is counted.
"""

from typing import Any

from sqlalchemy import Connection, Row, select, update

from app.errors import Conflict
from app.store import study_schema as t
from app.store.ledger import Sent
from app.store.rating import CLOSED, OUT_OF_DATE, Rating
from app.store.records import Feedback, Practice, Progress, Rater
from app.store.rules import Item, Rules
from app.study.answers import Answer, from_json, right, to_json
from app.study.assignment import TASK_ORDER


class PracticeRound(Rating):
    def practice(self, rater: Rater) -> Practice:
        """The first practice question that this rater has not answered rightly, with feedback on the latest answer.

        Raises Conflict where the study is not open, Gone after a withdrawal.
        """
        with self._writing() as connection:
            standing = self._standing(connection, rater, lock=True)
            if standing.state != "open":
                raise Conflict(CLOSED)
            rules = self._rules(connection, rater.study_id)
            items = sorted(rules.of("practice"), key=lambda item: TASK_ORDER.index(item.task))
            latest = self._latest_tries(connection, rater, rules)
            passed = {item.id for item in items if item.id in latest and _is_right(item, latest[item.id])}
            feedback = _feedback(rules, latest)
            following = next((item for item in items if item.id not in passed), None)
            if following is None:
                return Practice(None, feedback, len(items), len(items))
            row = self._practice_row(connection, rater, rules, following, items.index(following) - len(items))
            progress = Progress(len(passed), len(items), can_undo=False)
            return Practice(self._question(connection, rules, row, progress), feedback, len(passed), len(items))

    def answer_practice(
        self, rater: Rater, public_id: str, revision: int, answer: Answer, visible_ms: int | None, staff: bool
    ) -> None:
        """Note a try at a practice question. Sending the same one again changes nothing. Raises as `submit` does."""
        sent = Sent(public_id, revision, answer, visible_ms, staff, self.clock())
        with self._writing() as connection:
            asked = self._asked(connection, rater, sent)
            row, item, ratings = asked.row, asked.item, asked.ratings
            if any(earlier.revision == revision and earlier.answer == to_json(answer) for earlier in ratings):
                return
            if asked.standing.state != "open":
                raise Conflict(CLOSED)
            if item.purpose != "practice" or revision != len(ratings) + 1:
                raise Conflict(OUT_OF_DATE)
            if ratings and _is_right(item, ratings[-1]):
                raise Conflict(OUT_OF_DATE)
            self._append(connection, rater, item, row, sent, "accepted")
            connection.execute(
                update(t.assignment).where(t.assignment.c.id == row.id).values(state="accepted", served_at=sent.at)
            )
            tries = t.rater.c.practice_tries
            connection.execute(update(t.rater).where(t.rater.c.id == rater.id).values(practice_tries=tries + 1))

    def pass_practice(self, rater: Rater) -> None:
        """Go on to the questions. Raises Conflict where a practice question was not answered rightly."""
        with self._writing() as connection:
            self._standing(connection, rater, lock=True)
            rules = self._rules(connection, rater.study_id)
            latest = self._latest_tries(connection, rater, rules)
            if not all(item.id in latest and _is_right(item, latest[item.id]) for item in rules.of("practice")):
                raise Conflict("There are practice questions left; answer them first.")
            connection.execute(
                update(t.rater)
                .where(t.rater.c.id == rater.id, t.rater.c.practised_at.is_(None))
                .values(practised_at=self.clock())
            )

    def _latest_tries(self, connection: Connection, rater: Rater, rules: Rules) -> dict[int, Row[Any]]:
        """The last try at each practice item, by the item's id, in the order in which they came."""
        query = (
            select(t.rating, t.assignment.c.item_id)
            .join(t.assignment, t.assignment.c.id == t.rating.c.assignment_id)
            .where(t.assignment.c.rater_id == rater.id, t.assignment.c.position < 0)
            .order_by(t.rating.c.number)
        )
        latest: dict[int, Row[Any]] = {}
        for row in connection.execute(query):
            latest.pop(row.item_id, None)
            latest[row.item_id] = row
        return latest

    def _practice_row(self, connection: Connection, rater: Rater, rules: Rules, item: Item, position: int) -> Row[Any]:
        """The assignment of a practice item; made where this rater has not seen it. Positions are below 0."""
        a = t.assignment.c
        query = select(t.assignment).where(a.rater_id == rater.id, a.item_id == item.id, a.repeat == 0)
        found = connection.execute(query).one_or_none()
        if found is None:
            self._lease(connection, rater, rules, item, False, position, False)
            found = connection.execute(query).one()
        return found


def _feedback(rules: Rules, latest: dict[int, Row[Any]]) -> Feedback | None:
    """On the latest try of all."""
    if not latest:
        return None
    item_id, row = list(latest.items())[-1]
    item = rules.items[item_id]
    return Feedback(_is_right(item, row), str((item.expected or {}).get("feedback", "")))


def _is_right(item: Item, row: Row[Any]) -> bool:
    return right(from_json(item.task, row.answer), item.expected or {})
