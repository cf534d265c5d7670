"""The study store on SQLite and on PostgreSQL: studies, raters, links, sessions, screens, answers, undo, close, reveal."""

import threading
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, text

from app.errors import Conflict, Gone, NotFound, Unprocessable, UserError
from app.store import study_schema as t
from app.store.sealed import final_answers, key, key_salt
from app.store.study import Rater, StudyStore
from app.study import blinding
from app.study.answers import PageAnswer, PairAnswer
from tests.studies import SetClock, answer, answer_all, frozen_study, open_store, with_key_swapped


@pytest.fixture
def store(url: str, clock: SetClock):
    opened = open_store(url, clock)
    yield opened
    opened.dispose()


@pytest.fixture
def rater(store: StudyStore) -> Rater:
    store.freeze(frozen_study(), "ada")
    return store.add_rater("small", "Rater one", "ada")


def count(store: StudyStore, table) -> int:
    with store.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


class TestStudies:
    def test_what_was_frozen_comes_back(self, store: StudyStore, clock: SetClock) -> None:
        frozen = frozen_study()
        study = store.freeze(frozen, "ada")
        assert (study.name, study.state, study.items, study.created_at) == ("small", "open", 7, clock.now)
        assert study.instructions == frozen.instructions
        assert blinding.sha256_hex(blinding.canonical_json(study.protocol)) == study.protocol_hash
        assert store.studies() == [study] == [store.study("small")]
        assert store.any_open()

    def test_a_name_is_taken_once(self, store: StudyStore) -> None:
        store.freeze(frozen_study(), "ada")
        with pytest.raises(Conflict, match="already, and none changes once frozen"):
            store.freeze(frozen_study(pages=9), "ada")
        assert store.study("small").items == 7
        assert count(store, t.item) == 7

    def test_an_unknown_study_is_named_with_those_that_are(self, store: StudyStore) -> None:
        with pytest.raises(NotFound, match="dartboard study new"):
            store.study("smal")
        store.freeze(frozen_study(), "ada")
        with pytest.raises(NotFound, match="“smal”; there are small"):
            store.study("smal")

    def test_what_a_store_cannot_hold_is_the_askers_mistake(self, store: StudyStore, rater: Rater) -> None:
        with pytest.raises(UserError):
            store.study("small\0")
        with pytest.raises(UserError):
            store.submit(rater, "\0", 1, PageAnswer(3), None, False)

    def test_close_then_reveal_and_never_back(self, store: StudyStore, clock: SetClock) -> None:
        store.freeze(frozen_study(), "ada")
        with pytest.raises(Conflict, match="close it first"):
            store.reveal("small", "ada")
        clock.forward(hours=1)
        assert store.close("small", "ada").closed_at == clock.now
        with pytest.raises(Conflict, match="closed already"):
            store.close("small", "ada")
        clock.forward(hours=1)
        revealed = store.reveal("small", "ada")
        assert (revealed.state, revealed.revealed_at) == ("revealed", clock.now)
        with pytest.raises(Conflict, match="revealed already"):
            store.reveal("small", "ada")
        with pytest.raises(Conflict, match="only an open study"):
            store.close("small", "ada")
        assert not store.any_open()

    def test_the_key_opens_at_the_reveal_and_fits_its_commitment(self, store: StudyStore) -> None:
        study = store.freeze(frozen_study(), "ada")
        store.close("small", "ada")
        with pytest.raises(Conflict, match="sealed until"):
            key(store, study)
        store.reveal("small", "ada")
        opened = key(store, study)
        shown = {item.public_id: blinding.content_hash(item.shown()) for item in frozen_study().items}
        rows = sorted(
            [item, page, row.arm, row.dictionary, row.feature, row.stratum, shown[item]]
            for item, pages in opened.items()
            for page, row in pages.items()
        )
        assert blinding.commitment(key_salt(store, study), rows) == study.key_commitment
        rows[0][2] = "another arm"
        assert blinding.commitment(key_salt(store, study), rows) != study.key_commitment

    def test_every_act_is_in_the_audit_log(self, store: StudyStore, rater: Rater) -> None:
        store.invite("small", rater.id, 3, "ada")
        store.revoke_invite(rater.id, "ada")
        store.redeem_login(store.login_link("analyst", "Eve", 5, "ada"), None)
        store.close("small", "ada")
        store.reveal("small", "ada")
        entries = [(entry.who, entry.what, entry.study) for entry in reversed(store.audit())]
        assert entries == [
            ("ada", "freeze", "small"),
            ("ada", "add rater", "small"),
            ("ada", "invite", "small"),
            ("ada", "revoke invite", "small"),
            ("ada", "login link", None),
            ("Eve", "login", None),
            ("ada", "close", "small"),
            ("ada", "reveal", "small"),
        ]
        assert {entry.study for entry in store.audit("small")} == {"small"}

    @pytest.mark.parametrize("label", ["", "  ", "a\nb", "nul\x00", "lone \ud800", "x" * 201])
    def test_a_rater_needs_a_printable_name(self, store: StudyStore, label: str) -> None:
        store.freeze(frozen_study(), "ada")
        with pytest.raises(UserError, match="printable"):
            store.add_rater("small", label, "ada")
        assert store.raters("small") == []

    def test_nobody_joins_a_closed_study(self, store: StudyStore) -> None:
        store.freeze(frozen_study(), "ada")
        store.close("small", "ada")
        with pytest.raises(Conflict, match="open study only"):
            store.add_rater("small", "late", "ada")

    def test_rater_and_item_progress(self, store: StudyStore, rater: Rater, clock: SetClock) -> None:
        other = store.add_rater("small", "Rater two", "ada")
        store.invite("small", rater.id, 1, "ada")
        answer(store, rater)
        answer(store, rater)
        first, second = store.raters("small")
        assert (first.rater.id, first.done, first.last_at, first.invite) == (rater.id, 2, clock.now, "live")
        assert (second.rater.id, second.done, second.last_at, second.invite) == (other.id, 0, None, "none")
        clock.forward(days=2)
        assert store.raters("small")[0].invite == "expired"
        store.revoke_invite(rater.id, "ada")
        assert store.raters("small")[0].invite == "revoked"
        assert [(row.ratings, row.items) for row in store.item_progress("small")] == [(0, 5), (1, 2)]


class TestLinks:
    def test_an_invite_works_again_on_another_device(self, store: StudyStore, rater: Rater) -> None:
        token = store.invite("small", rater.id, 3, "ada")
        laptop, phone = store.redeem_invite(token, None), store.redeem_invite(token, None)
        assert laptop != phone
        for cookie in (laptop, phone):
            session = store.session(cookie)
            assert session is not None
            assert (session.rater, session.role, session.was_staff) == (rater, None, False)

    def test_only_hashes_are_stored(self, store: StudyStore, rater: Rater) -> None:
        invite = store.invite("small", rater.id, 3, "ada")
        login = store.login_link("admin", "ada", 5, "ada")
        secrets = [invite, login, store.redeem_invite(invite, None)]
        secrets.append(store.redeem_login(login, None))
        with store.engine.connect() as connection:
            stored = str([connection.execute(table.select()).all() for table in t.metadata.sorted_tables])
        assert not [secret for secret in secrets if secret in stored]

    def test_mangled_expired_and_revoked_invites(self, store: StudyStore, rater: Rater, clock: SetClock) -> None:
        token = store.invite("small", rater.id, 3, "ada")
        for mangled in (token[:-1], token + "x", "", "\ud800", "x" * 5000):
            with pytest.raises(NotFound, match="cut off"):
                store.redeem_invite(mangled, None)
        cookie = store.redeem_invite(token, None)
        clock.forward(days=3)
        with pytest.raises(Gone, match="expired"):
            store.redeem_invite(token, None)
        fresh = store.invite("small", rater.id, 3, "ada")
        store.revoke_invite(rater.id, "ada")
        with pytest.raises(Gone, match="revoked"):
            store.redeem_invite(fresh, None)
        ended = store.session(cookie)
        assert ended is not None
        assert ended.rater is None

    def test_an_invite_must_belong_to_its_study(self, store: StudyStore, rater: Rater) -> None:
        store.freeze(frozen_study(name="other"), "ada")
        with pytest.raises(NotFound, match="no such rater"):
            store.invite("other", rater.id, 3, "ada")
        with pytest.raises(NotFound, match="no such rater"):
            store.revoke_invite(rater.id + 99, "ada")
        with pytest.raises(UserError, match="1 to 3650 days"):
            store.invite("small", rater.id, 0, "ada")

    def test_a_login_link_works_once(self, store: StudyStore, clock: SetClock) -> None:
        token = store.login_link("admin", "ada", 5, "cli")
        session = store.session(store.redeem_login(token, None))
        assert session is not None
        assert (session.role, session.name, session.was_staff, session.rater) == ("admin", "ada", True, None)
        with pytest.raises(Gone, match="used already"):
            store.redeem_login(token, None)
        late = store.login_link("admin", "ada", 5, "cli")
        clock.forward(minutes=5)
        with pytest.raises(Gone, match="expired"):
            store.redeem_login(late, None)
        with pytest.raises(NotFound, match="cut off"):
            store.redeem_login("nonsense", None)

    def test_two_who_race_for_one_login_link(self, store: StudyStore) -> None:
        token = store.login_link("admin", "ada", 5, "cli")
        outcomes: list[str] = []

        def redeem() -> None:
            try:
                store.redeem_login(token, None)
                outcomes.append("in")
            except Gone:
                outcomes.append("gone")

        threads = [threading.Thread(target=redeem) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(outcomes) == {"in": 1, "gone": 7}

    def test_one_session_may_be_staff_and_rater_and_its_id_changes(self, store: StudyStore, rater: Rater) -> None:
        invite = store.invite("small", rater.id, 3, "ada")
        as_staff = store.redeem_login(store.login_link("admin", "ada", 5, "cli"), None)
        both = store.redeem_invite(invite, as_staff)
        session = store.session(both)
        assert session is not None
        assert (session.role, session.was_staff, session.rater) == ("admin", True, rater)
        assert store.session(as_staff) is None

        as_rater = store.redeem_invite(invite, None)
        session = store.session(store.redeem_login(store.login_link("analyst", "eve", 5, "cli"), as_rater))
        assert session is not None
        assert (session.role, session.was_staff, session.rater) == ("analyst", True, rater)

    def test_sessions_end(self, store: StudyStore, rater: Rater, clock: SetClock) -> None:
        invite = store.invite("small", rater.id, 60, "ada")
        cookie = store.redeem_invite(invite, None)
        assert not store.end_session(cookie)
        assert store.session(cookie) is None
        assert not store.end_session(cookie)
        other = store.redeem_invite(invite, None)
        clock.forward(days=31)
        assert store.session(other) is None
        assert store.session("never seen") is None

    def test_a_session_that_was_staff_is_remembered_after_its_logout(self, store: StudyStore, rater: Rater) -> None:
        cookie = store.redeem_login(store.login_link("admin", "ada", 5, "cli"), None)
        assert store.end_session(cookie)
        session = store.session(cookie)
        assert session is not None
        assert session.empty
        rating = store.session(store.redeem_invite(store.invite("small", rater.id, 3, "ada"), cookie))
        assert rating is not None
        assert (rating.role, rating.was_staff, rating.rater) == (None, True, rater)


class TestRating:
    def test_a_rater_sees_every_item_once_solo_pages_first(self, store: StudyStore, rater: Rater) -> None:
        screens = list(answer_all(store, rater))
        assert [screen.task for screen in screens] == ["page"] * 3 + ["pair"] * 4
        assert [(s.position, s.done, s.total) for s in screens] == [(n + 1, n, 7) for n in range(7)]
        assert [len(screen.pages) for screen in screens] == [1, 1, 1, 2, 2, 2, 2]
        assert len({screen.public_id for screen in screens}) == 7
        assert store.screen(rater) is None
        progress = store.progress(rater)
        assert (progress.done, progress.total, progress.can_undo) == (7, 7, True)

    def test_a_reload_shows_the_same_screen(self, store: StudyStore, rater: Rater, clock: SetClock) -> None:
        first = store.screen(rater)
        clock.forward(minutes=20)  # beyond half the lease: it is renewed
        assert store.screen(rater) == first
        clock.forward(minutes=20)
        assert store.screen(rater) == first
        assert count(store, t.assignment) == 1

    def test_order_and_sides_follow_the_seed(self, store: StudyStore, url: str, rater: Rater) -> None:
        store.freeze(frozen_study(name="larger", pages=6, pairs=12), "ada")
        orders = []
        for label in ("one", "two"):
            person = store.add_rater("larger", label, "ada")
            screens = list(answer_all(store, person))
            orders.append([screen.pages for screen in screens])
            left_first = [screen.pages[0].blocks[0].snippets[0].tokens[2].endswith("a") for screen in screens[6:]]
            assert abs(sum(left_first) - 6) <= 0.5, "12 pairs are shown six times each way round"
        assert orders[0] != orders[1]
        words = [
            sorted(str(pages) if len(pages) == 1 else str(set(map(str, pages))) for pages in order) for order in orders
        ]
        assert len(words[0]) == len(words[1]) == 18

    def test_ids_differ_between_raters(self, store: StudyStore, rater: Rater) -> None:
        other = store.add_rater("small", "two", "ada")
        mine = {screen.public_id for screen in answer_all(store, rater)}
        theirs = {screen.public_id for screen in answer_all(store, other)}
        assert not mine & theirs

    def test_never_more_than_k(self, store: StudyStore, rater: Rater) -> None:
        everyone = [rater, *(store.add_rater("small", f"r{n}", "ada") for n in range(3))]
        done = [len(list(answer_all(store, person))) for person in everyone]
        assert done == [7, 7, 0, 0]
        assert store.screen(everyone[2]) is None
        assert store.progress(everyone[2]).total == 0
        assert [(row.ratings, row.items) for row in store.item_progress("small")] == [(2, 7)]

    def test_a_lease_holds_a_place_until_it_runs_out(self, store: StudyStore, clock: SetClock) -> None:
        store.freeze(frozen_study(name="one", pages=1, pairs=0, raters_per_item=1), "ada")
        slow, quick = (store.add_rater("one", label, "ada") for label in ("slow", "quick"))
        held = store.screen(slow)
        assert held is not None
        assert store.screen(quick) is None
        clock.forward(minutes=31)
        taken = store.screen(quick)
        assert taken is not None
        assert store.screen(slow) is None, "the place went to another"
        store.submit(quick, taken.public_id, 1, PageAnswer(2), None, False)
        store.submit(slow, held.public_id, 1, PageAnswer(5), None, False)
        assert [(a.rater, a.answer) for a in final_answers(store, store.study("one"))] == [
            (quick.pseudonym, PageAnswer(2))
        ]
        assert count(store, t.rating) == 2, "the late answer is kept as surplus"
        assert store.progress(slow).done == 1

    def test_a_late_answer_counts_while_the_place_is_free(
        self, store: StudyStore, rater: Rater, clock: SetClock
    ) -> None:
        screen = store.screen(rater)
        assert screen is not None
        clock.forward(days=2)
        store.submit(rater, screen.public_id, 1, PageAnswer(4), None, False)
        assert len(final_answers(store, store.study("small"))) == 1

    def test_coming_back_after_the_lease_resumes_the_same_screen(
        self, store: StudyStore, rater: Rater, clock: SetClock
    ) -> None:
        before = store.screen(rater)
        clock.forward(days=2)
        assert store.screen(rater) == before
        clock.forward(seconds=9)
        answer(store, rater)
        assert final_answers(store, store.study("small"))[0].server_ms == 9000, "the days away are not time on task"

    def test_the_same_submit_twice_is_one_rating(self, store: StudyStore, rater: Rater) -> None:
        screen = store.screen(rater)
        assert screen is not None
        for _ in range(3):
            store.submit(rater, screen.public_id, 1, PageAnswer(4), 900, False)
        with pytest.raises(Conflict, match="other values"):
            store.submit(rater, screen.public_id, 1, PageAnswer(5), 900, False)
        with pytest.raises(Conflict, match="out of date"):
            store.submit(rater, screen.public_id, 2, PageAnswer(5), 900, False)
        store.close("small", "ada")
        store.submit(rater, screen.public_id, 1, PageAnswer(4), 900, False)
        [final] = final_answers(store, store.study("small"))
        assert (final.answer, final.revision, count(store, t.rating)) == (PageAnswer(4), 1, 1)

    @pytest.mark.parametrize(
        "given",
        [PageAnswer(0), PageAnswer(6), PageAnswer(True), PageAnswer(2.5), PageAnswer("3"), PairAnswer(1, 1, "tie")],
    )
    def test_a_rating_out_of_range_changes_nothing(self, store: StudyStore, rater: Rater, given) -> None:
        screen = store.screen(rater)
        assert screen is not None
        with pytest.raises(Unprocessable):
            store.submit(rater, screen.public_id, 1, given, None, False)
        assert store.screen(rater) == screen
        assert count(store, t.rating) == 0

    def test_only_ones_own_questions(self, store: StudyStore, rater: Rater) -> None:
        other = store.add_rater("small", "two", "ada")
        screen = store.screen(rater)
        assert screen is not None
        for public_id in (screen.public_id, "", "nonsense"):
            with pytest.raises(NotFound, match="not one of yours"):
                store.submit(other, public_id, 1, PageAnswer(4), None, False)

    def test_undo_reopens_the_last_answer_which_stands_until_replaced(self, store: StudyStore, rater: Rater) -> None:
        first = answer(store, rater, number=0)
        second = answer(store, rater, number=1)
        at_hand = store.screen(rater)
        assert first is not None
        assert second is not None
        assert at_hand is not None
        for _ in range(2):  # a double click
            store.undo(rater)
        reopened = store.screen(rater)
        assert reopened is not None
        assert (reopened.public_id, reopened.revision, reopened.previous) == (second.public_id, 2, PageAnswer(2))
        assert (reopened.done, reopened.total, reopened.can_undo) == (1, 7, False)
        assert [a.answer for a in final_answers(store, store.study("small"))] == [PageAnswer(1), PageAnswer(2)]
        store.submit(rater, second.public_id, 2, PageAnswer(5), None, False)
        assert [(a.answer, a.revision) for a in final_answers(store, store.study("small"))] == [
            (PageAnswer(1), 1),
            (PageAnswer(5), 2),
        ]
        assert store.screen(rater) == at_hand
        assert count(store, t.rating) == 3

    def test_undo_with_nothing_to_undo(self, store: StudyStore, rater: Rater) -> None:
        with pytest.raises(Conflict, match="no answer to undo"):
            store.undo(rater)

    def test_nothing_is_taken_after_the_close(self, store: StudyStore, rater: Rater) -> None:
        answer(store, rater)
        screen = store.screen(rater)
        assert screen is not None
        store.close("small", "ada")
        assert store.screen(rater) is None
        with pytest.raises(Conflict, match="closed"):
            store.submit(rater, screen.public_id, 1, PageAnswer(4), None, False)
        with pytest.raises(Conflict, match="closed"):
            store.undo(rater)
        assert store.progress(rater).can_undo is False
        assert count(store, t.rating) == 1

    def test_times_are_kept_within_what_a_column_holds(self, store: StudyStore, rater: Rater, clock: SetClock) -> None:
        clock.forward(hours=1)
        screen = store.screen(rater)
        assert screen is not None
        clock.forward(minutes=-10)  # a clock set back
        store.submit(rater, screen.public_id, 1, PageAnswer(4), 10**15, True)
        [final] = final_answers(store, store.study("small"))
        assert (final.server_ms, final.visible_ms, final.staff, final.at) == (0, 2**31 - 1, True, clock.now)

    def test_started_once(self, store: StudyStore, rater: Rater, clock: SetClock) -> None:
        store.start(rater)
        first = store.rater(rater.id).started_at
        clock.forward(hours=1)
        store.start(rater)
        assert first == store.rater(rater.id).started_at == clock.now.replace(hour=12)


class TestBlindness:
    def rate_through(self, store: StudyStore) -> list[object]:
        rater = store.add_rater("small", "one", "ada")
        cookie = store.redeem_invite(store.invite("small", rater.id, 3, "ada"), None)
        store.start(rater)
        seen: list[object] = [store.session(cookie), store.study("small"), store.any_open()]
        for screen in answer_all(store, rater):
            seen += [screen, store.progress(rater)]
        store.undo(rater)
        seen += [store.screen(rater), store.raters("small"), store.item_progress("small")]
        return seen

    def test_a_rater_can_rate_with_the_key_taken_away(self, store: StudyStore) -> None:
        store.freeze(frozen_study(), "ada")
        with store.engine.begin() as connection:
            connection.execute(text("DROP TABLE item_key"))
        assert len(self.rate_through(store)) == 20

    def test_no_statement_of_a_rater_names_the_key(self, store: StudyStore) -> None:
        store.freeze(frozen_study(), "ada")
        statements: list[str] = []
        event.listen(store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        self.rate_through(store)
        assert len(statements) > 50
        assert not [statement for statement in statements if "item_key" in statement or "key_salt" in statement]

    def test_swapping_the_key_changes_nothing_that_is_seen(self, tmp_path: Path) -> None:
        seen = []
        for name, frozen in (("plain", frozen_study()), ("swapped", with_key_swapped(frozen_study()))):
            store = open_store(f"sqlite:///{tmp_path / name}.sqlite")
            store.freeze(frozen, "ada")
            seen.append(repr(self.rate_through(store)))
            store.dispose()
        assert seen[0] == seen[1]
        assert "canary" not in seen[0]
