"""How far a rater is: consent, instructions, practice, questions, the end; after the close the round of guesses."""

import secrets

from sqlalchemy import Connection, exists, select, update

from app.errors import Conflict, Gone
from app.store import study_schema as t
from app.store.practice import PracticeRound
from app.store.records import Finished, Rater, Stage
from app.store.rules import Rules, Standing

PAUSED = "This study makes a pause; come back later. What you sent is saved."
NOT_TOLD = "Which kinds of pages there were is told after all fresh pages are rated."
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that is taken for another
CODE_LENGTH = 8


class Stages(PracticeRound):
    def stage(self, rater: Rater) -> Stage:
        """What to show this rater now. "rating" and "guess" say that there may be a question: `screen` knows."""
        with self._reading() as connection:
            try:
                standing = self._standing(connection, rater)
            except Gone:
                return "withdrawn"
            rules = self._rules(connection, rater.study_id)
            if standing.state == "open":
                return self._before(standing, rules) or ("finished" if standing.dismissed else "rating")
            if standing.state == "paused":
                return "paused"
            if standing.state == "guessing" and standing.started_at is not None and rules.of("guess"):
                return self._guessing(connection, rater, rules, standing)
            return "closed"

    def consent(self, rater: Rater) -> None:
        """Note that the rater agreed to take part; the first time counts."""
        self._note(rater, "consented_at")

    def start(self, rater: Rater) -> None:
        """Note that the rater has read the instructions."""
        self._note(rater, "started_at")

    def note_debrief(self, rater: Rater) -> None:
        """Note that the rater was shown the closing text."""
        self._note(rater, "debriefed_at")

    def finish(self, rater: Rater) -> Finished:
        """The end of the questions: the closing text, and the completion code of one who came from a crowd platform.

        The code is looked up or made in the transaction that finds nothing left, so that nobody sees it before the
        last answer is stored; one whom the close has cut short gets it too. Raises Conflict where something is left or
        the study is paused, Gone after a withdrawal.
        """
        with self._writing() as connection:
            standing = self._standing(connection, rater, lock=True)
            rules = self._rules(connection, rater.study_id)
            if standing.state == "paused":
                raise Conflict(PAUSED)
            if standing.state == "open" and (
                self._before(standing, rules) or self._something_left(connection, rater, rules, standing)
            ):
                raise Conflict("There are questions left; answer them first.")
            code = None
            if self._has_answered(connection, rater):
                if standing.source == "crowd":
                    code = self._completion_code(connection, rater)
                if standing.finished_at is None:
                    self._set(connection, rater, "finished_at")
            return Finished(code, rules.protocol["texts"]["debrief"])

    def choices(self, rater: Rater) -> tuple[str, ...]:
        """The arms among which to guess. Raises Conflict unless the round is on and this rater rated its pages."""
        with self._reading() as connection:
            standing = self._standing(connection, rater)
            rules = self._rules(connection, rater.study_id)
            told = standing.told_at is not None or (
                standing.state == "guessing" and self._guessing(connection, rater, rules, standing) == "guess-intro"
            )
            if not told:
                raise Conflict(NOT_TOLD)
            return rules.arms

    def start_guessing(self, rater: Rater) -> None:
        """The rater was told the arms, and goes on to the guesses. A no-op where that was done; raises Conflict."""
        with self._writing() as connection:
            standing = self._standing(connection, rater, lock=True)
            rules = self._rules(connection, rater.study_id)
            guessing = standing.state == "guessing" and bool(rules.of("guess"))
            if guessing and standing.told_at is not None:
                return
            if not guessing or self._guessing(connection, rater, rules, standing) != "guess-intro":
                raise Conflict(NOT_TOLD)
            self._set(connection, rater, "told_at")

    def _note(self, rater: Rater, column: str) -> None:
        with self._writing() as connection:
            self._standing(connection, rater)
            self._set(connection, rater, column)

    def _set(self, connection: Connection, rater: Rater, column: str) -> None:
        """Note the time; the first one stands."""
        connection.execute(
            update(t.rater).where(t.rater.c.id == rater.id, t.rater.c[column].is_(None)).values({column: self.clock()})
        )

    def _before(self, standing: Standing, rules: Rules) -> Stage | None:
        """The stage before the questions that this rater has still to pass."""
        if standing.consented_at is None:
            return "consent"
        if standing.started_at is None:
            return "instructions"
        return "practice" if standing.practised_at is None and rules.of("practice") else None

    def _something_left(self, connection: Connection, rater: Rater, rules: Rules, standing: Standing) -> bool:
        mine = self._mine(connection, rater, rules, standing)
        if any(row.reopened for row in mine.own):
            return True
        if standing.dismissed:
            return False
        waiting = any(row.state == "leased" and row.item_id not in mine.lost for row in mine.own)
        return waiting or self._next(rater, rules, mine) is not None

    def _has_answered(self, connection: Connection, rater: Rater) -> bool:
        a = t.assignment.c
        answered = exists().where(
            a.rater_id == rater.id, a.state != "leased", t.item.c.id == a.item_id, t.item.c.purpose == "main"
        )
        return bool(connection.execute(select(answered)).scalar_one())

    def _completion_code(self, connection: Connection, rater: Rater) -> str:
        """The rater's code: the one shown before, else the link's, else a new one."""
        r = t.rater.c
        row = connection.execute(
            select(r.completion_code, t.link.c.completion_code.label("of_link"))
            .outerjoin(t.link, t.link.c.id == r.link_id)
            .where(r.id == rater.id)
        ).one()
        code = row.completion_code or row.of_link or random_code()
        connection.execute(update(t.rater).where(r.id == rater.id).values(completion_code=code))
        return str(code)

    def _guessing(self, connection: Connection, rater: Rater, rules: Rules, standing: Standing) -> Stage:
        """Where in the round of guesses: fresh pages, then the arms are told, then a guess on each page."""
        pages = len(rules.of("guess"))
        mine = self._mine(connection, rater, rules, standing)
        if any(row.state == "leased" or row.reopened for row in mine.own):
            return "guess"
        if standing.told_at is None:
            return "guess" if len(mine.own) < pages else "guess-intro"
        return "guess" if len(mine.own) < 2 * pages else "finished"


def random_code() -> str:
    """A completion code of a rater's own: 40 random bits."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
