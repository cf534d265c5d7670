"""Anything that raters and an admin may do, in any order: what was accepted stays, and no item gets more than k."""

import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.errors import Conflict
from app.store.sealed import final_answers
from app.store.study import Rater, Screen
from app.study.answers import Answer
from tests.studies import SetClock, any_answer, frozen_study, open_store

K, RATERS = 2, 3
LEASE_MINUTES = 30
who = st.integers(0, RATERS - 1)


class Raters(RuleBasedStateMachine):
    """The model: what each rater was last shown, and the last answer that the store took from each for each id."""

    @initialize()
    def freeze(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.clock = SetClock()
        self.store = open_store(f"sqlite:///{self.folder / 'study.sqlite'}", self.clock)
        self.study = self.store.freeze(
            frozen_study(pages=2, pairs=3, raters_per_item=K, lease_minutes=LEASE_MINUTES), "ada"
        )
        self.raters: list[Rater] = [self.store.add_rater("small", f"r{n}", "ada") for n in range(RATERS)]
        self.shown: dict[int, Screen] = {}
        self.safe_until: dict[int, datetime] = {}  # a screen's place is kept for half a lease at least
        self.taken: dict[tuple[int, str], Answer] = {}
        self.last: dict[int, str] = {}
        self.reopened: dict[int, str] = {}
        self.sent: set[tuple[int, str, int]] = set()
        self.closed = False

    @rule(rater=who)
    def look(self, rater: int) -> None:
        screen = self.store.screen(self.raters[rater])
        if screen is None:
            self.shown.pop(rater, None)
            return
        assert not self.closed
        if screen.previous is None:
            assert (rater, screen.public_id) not in self.taken, "an answered item came again"
        else:
            assert screen.previous == self.taken[rater, screen.public_id]
            assert screen.public_id == self.reopened[rater]
        again = self.store.screen(self.raters[rater])
        assert again == screen
        self.shown[rater] = screen
        self.safe_until[rater] = self.clock.now + timedelta(minutes=LEASE_MINUTES / 2)

    @rule(rater=who, number=st.integers(0, 3))
    def submit(self, rater: int, number: int) -> None:
        screen = self.shown.get(rater)
        if screen is None:
            return
        given = any_answer(screen, number)
        accepted = self.accepted(rater)
        before = self.taken.get((rater, screen.public_id))
        try:
            self.store.submit(self.raters[rater], screen.public_id, screen.revision, given, None, False)
        except Conflict:
            assert self.closed or (before is not None and before != given), "an answer was refused without a reason"
        else:
            assert not self.closed or before == given
            sent = (rater, screen.public_id, screen.revision)
            if sent in self.sent:
                return  # a retry changes nothing
            self.sent.add(sent)
            self.last[rater] = screen.public_id
            if screen.previous is not None:
                del self.reopened[rater]
            self.taken[rater, screen.public_id] = given
            if screen.previous is None and self.clock.now < self.safe_until[rater]:
                assert self.accepted(rater) == accepted + 1, "an answer in time was left out"

    @rule(rater=who, number=st.integers(0, 3))
    def answer(self, rater: int, number: int) -> None:
        self.look(rater)
        self.submit(rater, number)

    def accepted(self, rater: int) -> int:
        name = self.raters[rater].pseudonym
        return sum(final.rater == name for final in final_answers(self.store, self.study))

    @rule(rater=who)
    def undo(self, rater: int) -> None:
        try:
            self.store.undo(self.raters[rater])
        except Conflict:
            assert self.closed or rater not in self.last
        else:
            # one step: while an answer is open, its rater may still send another from a stale tab, and it stays open
            self.reopened.setdefault(rater, self.last[rater])

    @rule(minutes=st.sampled_from([1, LEASE_MINUTES // 2 + 1, LEASE_MINUTES + 1]))
    def wait(self, minutes: int) -> None:
        self.clock.forward(minutes=minutes)

    @rule(sure=st.integers(0, 3))
    def close(self, sure: int) -> None:
        if sure == 0 and not self.closed:
            self.store.close("small", "ada")
            self.closed = True

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        finals = final_answers(self.store, self.study)
        per_item: dict[str, set[str]] = {}
        for final in finals:
            assert final.rater not in per_item.setdefault(final.item, set()), "one rater, one item, one answer"
            per_item[final.item].add(final.rater)
        assert all(len(raters) <= K for raters in per_item.values())
        by_name = {rater.pseudonym: number for number, rater in enumerate(self.raters)}
        accepted = [(by_name[final.rater], final.answer) for final in finals]
        everything = [(rater, answer) for (rater, _), answer in self.taken.items()]
        for one in accepted:
            everything.remove(one)  # what is left is surplus, which the progress still counts
        done = sum(progress.done for progress in self.store.raters("small"))
        assert done == len(accepted) + len(everything)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.dispose()
            shutil.rmtree(self.folder)


TestRaters = pytest.mark.timeout(120)(Raters.TestCase)
TestRaters.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
