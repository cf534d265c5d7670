"""Anything that raters and an admin may do, in any order: what was accepted stays, and no item gets more than k.

The same machine runs on SQLite and on PostgreSQL.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Row, select

from app.errors import Conflict, Gone, TooSoon, UserError
from app.store import study_schema as t
from app.store.study import Rater, Screen
from app.study import chain
from app.study.answers import Answer, Skip, from_json
from tests.studies import SetClock, any_answer, frozen_study, open_store

K, RATERS, DWELL = 2, 3, 3
PAGES, PAIRS, CATCH, GUESS = 4, 3, 1, 2
LEASE_MINUTES = 30
URL = "DARTBOARD_TEST_MACHINE_URL"  # how the fixture tells the machine, which hypothesis makes, where its store is
who = st.integers(0, RATERS - 1)


class Raters(RuleBasedStateMachine):
    """The model: what each rater was last shown, and every answer that the store took, in order."""

    @initialize()
    def freeze(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.clock = SetClock()
        self.store = open_store(os.environ.get(URL) or f"sqlite:///{self.folder / 'study.sqlite'}", self.clock)
        with self.store.engine.begin() as connection:  # one database for all examples, where it is PostgreSQL
            for table in reversed(t.metadata.sorted_tables):
                connection.execute(table.delete())
        self.study = self.store.freeze(
            frozen_study(
                pages=PAGES,
                pairs=PAIRS,
                catch=CATCH,
                guess=GUESS,
                raters_per_item=K,
                lease_minutes=LEASE_MINUTES,
                repeats=(0.5, 1),
                dwell_seconds=DWELL,
            ),
            "ada",
        )
        self.raters: list[Rater] = [self.store.add_rater("small", f"r{n}", "ada") for n in range(RATERS)]
        for rater in self.raters:
            self.store.consent(rater)
            self.store.start(rater)
        self.state = "open"
        self.shown: dict[int, Screen] = {}
        self.shown_at: dict[int, datetime] = {}
        self.safe_until: dict[int, datetime] = {}  # a screen's place is kept for half a lease at least
        self.taken: dict[tuple[int, str], list[Answer]] = {}  # revisions
        self.last: dict[int, str] = {}
        self.reopened: dict[int, str] = {}
        self.withdrawn: set[int] = set()
        self.head = 0

    @rule(rater=who)
    def look(self, rater: int) -> None:
        if rater in self.withdrawn:
            with pytest.raises(Gone):
                self.store.screen(self.raters[rater])
            return
        screen = self.store.screen(self.raters[rater])
        if screen is None:
            self.shown.pop(rater, None)
            return
        assert self.state in ("open", "guessing")
        before = self.taken.get((rater, screen.public_id))
        if screen.previous is None:
            assert before is None, "an answered question came again"
        else:
            assert before is not None
            assert screen.previous == before[-1]
            assert screen.public_id == self.reopened[rater]
        assert self.store.screen(self.raters[rater]) == screen
        if self.shown.get(rater) != screen:
            self.shown_at[rater] = self.clock.now
        self.shown[rater] = screen
        self.safe_until[rater] = self.clock.now + timedelta(minutes=LEASE_MINUTES / 2)

    @rule(rater=who, number=st.integers(0, 3), skip=st.booleans())
    def submit(self, rater: int, number: int, skip: bool) -> None:
        screen = self.shown.get(rater)
        if screen is None:
            return
        given = Skip("unclear") if skip and screen.task != "guess" else any_answer(screen, number)
        key = rater, screen.public_id
        before = self.taken.get(key, [])
        accepted = self.places(rater)
        try:
            self.store.submit(self.raters[rater], screen.public_id, screen.revision, given, None, False)
        except Gone:
            assert rater in self.withdrawn
        except TooSoon as soon:
            assert not before
            assert 0 < soon.seconds <= DWELL
        except Conflict:
            moved_on = self.state not in ("open", "paused", "guessing") or self.asked_at[screen.task] != self.state
            assert moved_on or len(before) >= screen.revision, "an answer was refused without a reason"
        else:
            assert rater not in self.withdrawn
            if len(before) >= screen.revision:
                assert before[screen.revision - 1] == given
                return  # a retry changes nothing
            assert len(before) == screen.revision - 1
            self.taken[key] = [*before, given]
            self.last[rater] = screen.public_id
            if screen.task == "page" and self.state == "guessing" and self.fresh(rater) == GUESS:
                del self.last[rater]  # the arms are told now: the score of a fresh page cannot be undone any more
            if before:
                del self.reopened[rater]
            elif self.clock.now < self.safe_until[rater] and self.takes_a_place(rater, screen):
                assert self.places(rater) == accepted + 1, "an answer in time was left out"

    @property
    def asked_at(self) -> dict[str, str]:
        """In which state of the study a task is asked; a paused study still takes what was asked."""
        now = "open" if self.state in ("open", "paused") else self.state
        if now == "guessing":
            return {"page": "guessing", "guess": "guessing", "pair": "open"}
        return {"page": self.state, "pair": self.state, "guess": "guessing"}

    @rule(rater=who, number=st.integers(0, 3))
    def answer(self, rater: int, number: int) -> None:
        self.look(rater)
        self.clock.forward(seconds=DWELL)
        self.submit(rater, number, False)

    @rule(rater=who)
    def undo(self, rater: int) -> None:
        try:
            self.store.undo(self.raters[rater])
        except Gone:
            assert rater in self.withdrawn
        except Conflict:
            assert self.state not in ("open", "guessing") or rater not in self.last
        else:
            # one step: while an answer is open, its rater may still send another from a stale tab, and it stays open
            self.reopened.setdefault(rater, self.last[rater])

    @rule(minutes=st.sampled_from([1, LEASE_MINUTES // 2 + 1, LEASE_MINUTES + 1, -1, -LEASE_MINUTES, -1000]))
    def set_the_clock(self, minutes: int) -> None:
        """Time goes by, or the server's clock is set back."""
        self.clock.forward(minutes=minutes)
        if minutes < 0:
            self.safe_until.clear()
            self.safe_until.update(dict.fromkeys(range(RATERS), self.clock.now))

    @rule(rater=who)
    def release(self, rater: int) -> None:
        self.store.release(self.raters[rater].id, "ada")
        self.safe_until[rater] = self.clock.now

    @rule(rater=who, sure=st.integers(0, 4))
    def withdraw(self, rater: int, sure: int) -> None:
        if sure:
            return
        self.store.withdraw(self.raters[rater], "rater")
        self.withdrawn.add(rater)
        self.shown.pop(rater, None)
        self.taken = {key: answers for key, answers in self.taken.items() if key[0] != rater}

    @rule(sure=st.integers(0, 4))
    def move_on(self, sure: int) -> None:
        """Pause and resume, close, open the round of guesses, reveal."""
        if self.state in ("open", "paused") and sure:
            self.state = {"open": "paused", "paused": "open"}[self.state]
            (self.store.pause if self.state == "paused" else self.store.resume)("small", "ada")
        elif self.state in ("open", "paused"):
            self.store.close("small", "ada")
            self.end_round("closed")
        elif self.state == "closed":
            self.store.open_guessing("small", "ada")
            self.end_round("guessing")
        elif self.state == "guessing" and not sure:
            self.store.reveal("small", "ada")
            self.end_round("revealed")

    def end_round(self, state: str) -> None:
        """What was reopened stays as it was; nothing before can be undone."""
        self.state = state
        self.shown.clear()
        self.last.clear()
        self.reopened.clear()

    @rule(rater=who)
    def be_told_the_arms(self, rater: int) -> None:
        try:
            self.store.start_guessing(self.raters[rater])
        except UserError:
            assert self.state != "guessing" or rater in self.withdrawn or self.fresh(rater) < GUESS
        else:
            assert self.fresh(rater) == GUESS

    def rows(self) -> list[Row]:
        """Every assignment that was answered and not withdrawn, with its last answer."""
        r = t.rating.c
        query = (
            select(t.assignment, t.item.c.purpose, t.item.c.task, r.answer, r.revision)
            .join(t.item, t.item.c.id == t.assignment.c.item_id)
            .join(t.rating, r.assignment_id == t.assignment.c.id)
            .where(t.assignment.c.state.in_(("accepted", "surplus")))
            .order_by(r.number)
        )
        with self.store.engine.connect() as connection:
            return list({row.id: row for row in connection.execute(query)}.values())

    def places(self, rater: int) -> int:
        """How many of the k places of items this rater has."""
        return sum(
            row.rater_id == self.raters[rater].id
            and row.purpose == "main"
            and not row.repeat
            and row.state == "accepted"
            for row in self.rows()
        )

    def takes_a_place(self, rater: int, screen: Screen) -> bool:
        row = next(row for row in self.rows() if row.public_id == screen.public_id)
        return bool(row.purpose == "main" and not row.repeat)

    def fresh(self, rater: int) -> int:
        """How many pages of the round of guesses this rater has scored."""
        mine = self.raters[rater].id
        return sum(row.rater_id == mine and row.purpose == "guess" and not row.repeat for row in self.rows())

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        rows = self.rows()
        by_id = {rater.id: number for number, rater in enumerate(self.raters)}
        stored = {
            (by_id[row.rater_id], row.public_id): (
                row.revision,
                from_json("guess" if row.purpose == "guess" and row.repeat else row.task, row.answer),
            )
            for row in rows
        }
        assert len(stored) == len(rows)
        assert stored == {key: (len(answers), answers[-1]) for key, answers in self.taken.items()}
        main = [row for row in rows if row.purpose == "main" and not row.repeat and row.state == "accepted"]
        held = Counter(row.item_id for row in main)
        assert all(count <= K for count in held.values())
        assert len({(row.rater_id, row.item_id) for row in main}) == len(main), "one rater, one item, one place"
        with self.store.engine.connect() as connection:
            counted = {row.id: row.accepted for row in connection.execute(select(t.item.c.id, t.item.c.accepted))}
        assert counted == {item: held[item] for item in counted}

    @invariant()
    def sides_are_balanced_and_repeats_are_apart(self) -> None:
        query = select(t.assignment, t.item.c.task).join(t.item).order_by(t.assignment.c.position)
        with self.store.engine.connect() as connection:
            rows = connection.execute(query.where(t.item.c.purpose == "main")).all()
        for rater in self.raters:
            own = [row for row in rows if row.rater_id == rater.id]
            assert abs(sum(1 if row.flip else -1 for row in own if row.task == "pair")) <= 1
            first = {row.item_id: row.position for row in own if not row.repeat}
            assert all(row.position - first[row.item_id] > 1 for row in own if row.repeat)

    @invariant()
    def the_chain_holds(self) -> None:
        links = stored_links(self.store)
        assert len(links) >= self.head, "the chain only grows"
        self.head = len(links)
        assert list(chain.faults(self.study.protocol_hash, links)) == []
        gone = {link.number for link in links if link.withdrawn}
        assert len(links) - len(gone) == sum(map(len, self.taken.values()))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.dispose()
            shutil.rmtree(self.folder)


def stored_links(store) -> list[chain.Link]:
    """Every rating as a link of the chain, its content put together from the store's columns."""
    a, r = t.assignment.c, t.rating.c
    query = (
        select(t.rating, a.repeat, a.position, a.flip, t.rater.c.pseudonym, t.item.c.public_id)
        .join(t.assignment, a.id == r.assignment_id)
        .join(t.rater, t.rater.c.id == a.rater_id)
        .join(t.item, t.item.c.id == a.item_id)
        .order_by(r.number)
    )
    with store.engine.connect() as connection:
        rows = connection.execute(query).all()
    return [
        chain.Link(
            number=row.number,
            previous=row.previous,
            content_hash=row.content_hash,
            hash=row.hash,
            salt=row.salt,
            content=None
            if row.answer is None
            else chain.content(
                rater=row.pseudonym,
                item=row.public_id,
                repeat=row.repeat,
                position=row.position,
                flip=row.flip,
                revision=row.revision,
                state=row.counted,
                answer=row.answer,
                server_ms=row.server_ms,
                visible_ms=row.visible_ms,
                staff=row.staff,
                at=row.at,
            ),
            withdrawn=row.withdrawn_at is not None,
        )
        for row in rows
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Tells the machine its store; gives the number of examples: PostgreSQL takes longer for each."""
    if request.param == "postgresql":
        monkeypatch.setenv(URL, request.getfixturevalue("postgresql_url"))
        yield 8
    else:
        yield 20


@pytest.mark.timeout(240)
def test_raters_and_admin_in_any_order(machine: int) -> None:

    run_state_machine_as_test(
        Raters,
        settings=settings(
            max_examples=machine,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )
