"""From the first consent to the last guess, on SQLite and on PostgreSQL: stages, practice, dwell, repeats, the end."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.errors import Conflict, Gone, NotFound, TooSoon, Unprocessable
from app.store import study_schema as t
from app.store.study import Rater, StudyStore
from app.study import chain
from app.study.answers import GuessAnswer, PageAnswer, Skip
from tests.studies import SetClock, answer, answer_all, any_answer, frozen_study, open_store
from tests.test_study_machine import stored_links


@pytest.fixture
def store(url: str, clock: SetClock):
    opened = open_store(url, clock)
    yield opened
    opened.dispose()


def joined(store: StudyStore, label: str = "one", study: str = "small") -> Rater:
    """A rater who has agreed and read the instructions."""
    rater = store.add_rater(study, label, "ada")
    store.consent(rater)
    store.start(rater)
    return rater


def states(store: StudyStore) -> list[str]:
    with store.engine.connect() as connection:
        return list(connection.execute(select(t.assignment.c.state).order_by(t.assignment.c.id)).scalars())


class TestStages:
    def test_one_after_the_other(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=1, pairs=0, practice=1, guess=1, raters_per_item=1), "ada")
        rater = store.add_rater("small", "one", "ada")
        seen = [store.stage(rater)]

        def step() -> None:
            seen.append(store.stage(rater))

        store.consent(rater)
        step()
        store.start(rater)
        step()
        question = store.practice(rater).question
        assert question is not None
        store.answer_practice(rater, question.public_id, 1, PageAnswer(5), None, False)
        store.pass_practice(rater)
        step()
        answer(store, rater)
        assert store.screen(rater) is None
        assert store.finish(rater).debrief
        store.pause("small", "ada")
        step()
        store.resume("small", "ada")
        store.close("small", "ada")
        step()
        store.open_guessing("small", "ada")
        step()
        answer(store, rater)
        step()
        store.start_guessing(rater)
        step()
        answer(store, rater, 1)
        step()
        store.reveal("small", "ada")
        step()
        assert seen == [
            "consent",
            "instructions",
            "practice",
            "rating",
            "paused",
            "closed",
            "guess",
            "guess-intro",
            "guess",
            "finished",
            "closed",
        ]
        assert list(chain.faults(store.study("small").protocol_hash, stored_links(store))) == []

    def test_a_pause_asks_nothing_new_and_takes_what_was_asked(self, store: StudyStore) -> None:
        store.freeze(frozen_study(), "ada")
        rater = joined(store)
        screen = store.screen(rater)
        assert screen is not None
        store.pause("small", "ada")
        assert store.screen(rater) is None
        store.submit(rater, screen.public_id, 1, any_answer(screen), None, False)
        assert states(store) == ["accepted"]
        with pytest.raises(Conflict, match="pause"):
            store.finish(rater)
        with pytest.raises(Conflict, match="closed"):
            store.undo(rater)
        store.resume("small", "ada")
        assert store.screen(rater) is not None


class TestPractice:
    def test_every_question_until_it_is_right(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=1, pairs=0, practice=2), "ada")
        rater = joined(store)
        begun = store.practice(rater)
        assert begun.question is not None
        assert (begun.feedback, begun.done, begun.total) == (None, 0, 2)
        first = begun.question.public_id
        for _ in range(2):  # sent twice
            store.answer_practice(rater, first, 1, PageAnswer(1), 900, False)
        wrong = store.practice(rater)
        assert wrong.question is not None
        assert (wrong.question.public_id, wrong.question.revision) == (first, 2)
        assert wrong.feedback is not None
        assert not wrong.feedback.correct
        assert wrong.feedback.text.startswith("It is word")
        with pytest.raises(Conflict, match="practice questions left"):
            store.pass_practice(rater)
        store.answer_practice(rater, first, 2, PageAnswer(4), 900, False)
        with pytest.raises(Conflict, match="out of date"):
            store.answer_practice(rater, first, 3, PageAnswer(1), 900, False)
        following = store.practice(rater)
        assert following.question is not None
        assert following.question.public_id != first
        assert following.feedback is not None
        assert (following.feedback.correct, following.done) == (True, 1)
        store.answer_practice(rater, following.question.public_id, 1, PageAnswer(5), None, False)
        assert store.practice(rater).question is None
        assert store.stage(rater) == "practice"
        store.pass_practice(rater)
        assert store.stage(rater) == "rating"

    def test_a_skip_is_not_right_and_nothing_of_practice_counts(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=1, pairs=0, practice=1), "ada")
        rater = joined(store)
        question = store.practice(rater).question
        assert question is not None
        store.answer_practice(rater, question.public_id, 1, Skip("unclear"), None, False)
        assert store.practice(rater).question is not None
        store.answer_practice(rater, question.public_id, 2, PageAnswer(4), None, False)
        store.pass_practice(rater)
        screens = list(answer_all(store, rater))
        assert [(screen.position, screen.done, screen.total) for screen in screens] == [(1, 0, 1)]
        assert [(row.ratings, row.items) for row in store.item_progress("small")] == [(1, 1)]
        with pytest.raises(Conflict, match="out of date"):
            store.submit(rater, question.public_id, 3, PageAnswer(1), None, False)


class TestDwell:
    def test_an_answer_that_comes_too_soon_is_refused_and_may_come_again(
        self, store: StudyStore, clock: SetClock
    ) -> None:
        store.freeze(frozen_study(dwell_seconds=5), "ada")
        rater = joined(store)
        screen = store.screen(rater)
        assert screen is not None
        assert screen.wait_seconds == 5
        clock.forward(seconds=2)
        with pytest.raises(TooSoon) as refused:
            store.submit(rater, screen.public_id, 1, PageAnswer(3), None, False)
        assert refused.value.seconds == 3
        assert states(store) == ["leased"]
        clock.forward(seconds=3)
        store.submit(rater, screen.public_id, 1, PageAnswer(3), None, False)
        assert states(store) == ["accepted"]
        store.undo(rater)
        again = store.screen(rater)
        assert again is not None
        assert again.wait_seconds == 0
        store.submit(rater, again.public_id, 2, PageAnswer(4), None, False)

    def test_a_clock_that_was_set_back_locks_nobody_out(self, store: StudyStore, clock: SetClock) -> None:
        store.freeze(frozen_study(dwell_seconds=5), "ada")
        rater = joined(store)
        screen = store.screen(rater)
        assert screen is not None
        clock.forward(hours=-3)
        store.submit(rater, screen.public_id, 1, PageAnswer(3), None, False)
        with store.engine.connect() as connection:
            assert connection.execute(select(t.rating.c.server_ms)).scalar_one() == 0


class TestClock:
    def test_a_lease_holds_no_longer_than_a_lease_after_the_clock_was_set_back(
        self, store: StudyStore, clock: SetClock
    ) -> None:
        store.freeze(frozen_study(pages=1, pairs=0, raters_per_item=1), "ada")
        gone, waiting = joined(store, "gone"), joined(store, "waiting")
        assert store.screen(gone) is not None
        clock.forward(days=-2)
        assert store.screen(waiting) is None
        clock.forward(minutes=31)
        assert store.screen(waiting) is not None

    def test_the_order_of_answers_does_not_follow_the_clock(self, store: StudyStore, clock: SetClock) -> None:
        store.freeze(frozen_study(), "ada")
        rater = joined(store)
        answer(store, rater)
        clock.forward(days=-1)
        second = answer(store, rater)
        store.undo(rater)
        reopened = store.screen(rater)
        assert second is not None
        assert reopened is not None
        assert reopened.public_id == second.public_id
        assert list(chain.faults(store.study("small").protocol_hash, stored_links(store))) == []


class TestRepeatsAndChecks:
    def test_a_tenth_comes_again_and_takes_no_place(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=40, pairs=0, catch=2, raters_per_item=1, repeats=(0.1, 30)), "ada")
        rater = joined(store)
        screens = list(answer_all(store, rater))
        assert len(screens) == 40 + 2 + 4
        assert len({screen.public_id for screen in screens}) == len(screens), "a repeat has an id of its own"
        shown: dict[str, int] = {}
        distances = []
        for screen in screens:
            text = str(screen.pages)
            if text in shown:
                distances.append(screen.position - shown[text])
            shown.setdefault(text, screen.position)
        assert len(distances) == 4
        assert min(distances) > 30
        assert [(row.ratings, row.items) for row in store.item_progress("small")] == [(1, 40)]
        assert [screen.total - screen.done for screen in screens][-1] == 1
        (row,) = store.raters("small")
        assert (row.done, row.catch_shown, row.repeats_shown) == (46, 2, 4)
        assert row.repeats_same <= 4
        assert row.pace_ms == 0

    def test_a_rater_is_asked_no_more_than_its_share(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=9, pairs=0, catch=1, items_per_rater=4), "ada")
        for label in ("one", "two"):
            rater = joined(store, label)
            screens = list(answer_all(store, rater))
            assert len(screens) == 5
            assert screens[0].total == 5

    def test_words_and_confidence_where_the_study_asks_for_them(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=1, pairs=0, asks=True), "ada")
        rater = joined(store)
        screen = store.screen(rater)
        assert screen is not None
        assert (screen.ask_explanation, screen.ask_confidence) == (True, True)
        with pytest.raises(Unprocessable, match="few words"):
            store.submit(rater, screen.public_id, 1, PageAnswer(3), None, False)
        store.submit(rater, screen.public_id, 1, Skip("upsetting"), None, False)
        assert states(store) == ["accepted"], "a skip is an answer"

    def test_the_admin_sees_who_fails_the_checks(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=1, pairs=0, catch=2), "ada")
        good, bad = joined(store, "good"), joined(store, "bad")
        for rater, score in ((good, 5), (bad, 1)):
            while (screen := store.screen(rater)) is not None:
                store.submit(rater, screen.public_id, screen.revision, PageAnswer(score), None, False)
        rows = [(row.catch_right, row.catch_shown) for row in store.raters("small")]
        assert rows == [(2, 2), (0, 2)]


class TestGuesses:
    def test_fresh_pages_then_the_arms_then_guesses(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=1, pairs=0, guess=3, raters_per_item=1), "ada")
        raters = [joined(store, label) for label in ("one", "two")]
        store.close("small", "ada")
        assert store.any_open(), "nobody should browse before the guesses"
        with pytest.raises(Conflict, match="after all fresh pages"):
            store.choices(raters[0])
        store.open_guessing("small", "ada")
        for rater in raters:  # more raters than places: the round knows no k
            fresh = []
            while store.stage(rater) == "guess":
                fresh.append(answer(store, rater))
            assert [screen.task for screen in fresh if screen] == ["page"] * 3
            with pytest.raises(NotFound):
                store.submit(rater, "0" * 24, 1, GuessAnswer("trained", 3), None, False)
            assert store.screen(rater) is None, "no guess before the arms were told"
            assert store.choices(rater) == ("trained", "random")
            store.start_guessing(rater)
            guessed = list(answer_all(store, rater))
            assert [(screen.task, screen.choices) for screen in guessed] == [("guess", ("trained", "random"))] * 3
            assert {str(screen.pages) for screen in guessed} == {str(screen.pages) for screen in fresh if screen}
            assert store.stage(rater) == "finished"
        with pytest.raises(Conflict, match="already"):
            store.open_guessing("small", "ada")

    def test_no_score_of_a_fresh_page_changes_once_the_arms_are_told(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=1, pairs=0, guess=2), "ada")
        rater = joined(store)
        store.close("small", "ada")
        store.open_guessing("small", "ada")
        answer(store, rater)
        store.undo(rater)
        list(answer_all(store, rater))
        with pytest.raises(Conflict, match="no answer to undo"):  # the page that names the arms is on the screen
            store.undo(rater)
        store.start_guessing(rater)
        guess = store.screen(rater)
        assert guess is not None
        assert not guess.can_undo
        with pytest.raises(Conflict, match="no answer to undo"):
            store.undo(rater)
        answer(store, rater)
        store.undo(rater)
        again = store.screen(rater)
        assert again is not None
        assert (again.public_id, again.previous) == (guess.public_id, any_answer(guess))

    def test_a_guess_must_name_an_arm(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=1, pairs=0, guess=1), "ada")
        rater = joined(store)
        store.close("small", "ada")
        store.open_guessing("small", "ada")
        answer(store, rater)
        store.start_guessing(rater)
        screen = store.screen(rater)
        assert screen is not None
        for wrong in (GuessAnswer("null-pages", 3), Skip("unclear")):
            with pytest.raises(Unprocessable):
                store.submit(rater, screen.public_id, 1, wrong, None, False)
        store.submit(rater, screen.public_id, 1, GuessAnswer(None, 1), None, False)

    def test_no_round_without_pages(self, store: StudyStore) -> None:
        store.freeze(frozen_study(), "ada")
        store.close("small", "ada")
        with pytest.raises(Conflict, match=r"guess\.pages"):
            store.open_guessing("small", "ada")


class TestWithdrawal:
    def test_nothing_of_it_stays_in_the_files(self, tmp_path: Path, clock: SetClock) -> None:
        store = open_store(f"sqlite:///{tmp_path}/study.sqlite", clock)
        store.freeze(frozen_study(pages=1, pairs=0), "ada")
        rater = joined(store, "Erika Mustermann")
        answer(store, rater)

        def kept() -> list[bool]:
            stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
            return [word in stored for word in (b"Erika Mustermann", b'"score"', rater.pseudonym.encode())]

        assert kept() == [True, True, True]
        store.withdraw(rater, "rater")
        assert kept() == [False, False, True]
        store.dispose()

    def test_content_goes_places_are_free_and_the_chain_holds(self, store: StudyStore, clock: SetClock) -> None:
        study = store.freeze(frozen_study(pages=2, pairs=1, raters_per_item=1), "ada")
        leaving, staying = joined(store, "leaving"), joined(store, "staying")
        token = store.invite("small", leaving.id, 3, "ada")
        cookie = store.redeem_invite(token, None)
        answer(store, leaving)
        answer(store, leaving)
        store.undo(leaving)
        answer(store, leaving, 3)
        answer(store, staying)
        before = [link.hash for link in stored_links(store)]
        clock.forward(hours=1)
        for _ in range(2):
            store.withdraw(leaving, "rater")
        links = stored_links(store)
        assert [link.hash for link in links] == before
        assert [link.content is None for link in links] == [True, True, True, False]
        assert [link.salt is None for link in links] == [True, True, True, False]
        assert list(chain.faults(study.protocol_hash, links)) == []
        assert len(list(answer_all(store, staying))) == 2, "what the other had is free again"
        assert store.stage(leaving) == "withdrawn"
        session = store.session(cookie)
        assert session is not None
        assert session.rater is not None
        assert session.rater.label == "withdrawn"
        for act in (store.screen, store.undo, store.consent, store.finish, store.practice):
            with pytest.raises(Gone, match="withdrawn"):
                act(leaving)
        with pytest.raises(Gone):
            store.redeem_invite(token, None)
        assert [entry.what for entry in store.audit("small")].count("withdraw") == 1

    def test_after_the_close_too(self, store: StudyStore) -> None:
        store.freeze(frozen_study(pages=1, pairs=0), "ada")
        rater = joined(store)
        answer(store, rater)
        store.close("small", "ada")
        store.withdraw(rater, "ada")
        assert states(store) == ["withdrawn"]
        assert [(row.ratings, row.items) for row in store.item_progress("small")] == [(0, 1)]


def test_time_on_task_is_measured_by_the_server(store: StudyStore, clock: SetClock) -> None:
    store.freeze(frozen_study(), "ada")
    rater = joined(store)
    screen = store.screen(rater)
    assert screen is not None
    clock.now += timedelta(milliseconds=4321)
    store.submit(rater, screen.public_id, 1, PageAnswer(3), 999, False)
    assert store.raters("small")[0].pace_ms == 4321
