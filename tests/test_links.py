"""Links by which many join: caps, crowd platforms' ids bound to a browser, completion codes, places given back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.errors import Conflict, Gone, NotFound, UserError
from app.store import study_schema as t
from app.store.study import Platform, Rater, StudyStore
from tests.studies import SetClock, answer_all, frozen_study, open_store
from tests.web import STUDY, Web, answer, message, serve

PROLIFIC = "PROLIFIC_PID={}&STUDY_ID=s1&SESSION_ID=x1"


@pytest.fixture
def store(url: str, clock: SetClock):
    opened = open_store(url, clock)
    opened.freeze(frozen_study(pages=2, pairs=0, raters_per_item=1), "ada")
    yield opened
    opened.dispose()


def who(store: StudyStore, cookie: str) -> Rater:
    session = store.session(cookie)
    assert session is not None
    assert session.rater is not None
    return session.rater


def worker(name: str) -> Platform:
    return Platform(name, "study", f"session of {name}")


UNFILLED = "{{%PROLIFIC_PID%}}"


class TestOpenLinks:
    def test_each_browser_is_a_rater_of_its_own_up_to_the_cap(self, store: StudyStore) -> None:
        token = store.make_link("small", "open", 2, 30, "ada")
        one, two = (store.open_link(token, None, None) for _ in range(2))
        first = who(store, one)
        assert first.id != who(store, two).id
        with pytest.raises(Gone, match="All places"):
            store.open_link(token, None, None)
        again = store.open_link(token, one, None)
        assert again != one, "the session's id changes"
        assert who(store, again) == first
        assert store.session(one) is None
        (link,) = store.links("small")
        assert (link.taken, link.joined, link.cap, link.state) == (2, 2, 2, "live")

    def test_a_place_is_free_again_when_nothing_came_of_it(self, store: StudyStore, clock: SetClock) -> None:
        token = store.make_link("small", "open", 1, 30, "ada")
        idle = who(store, store.open_link(token, None, None))
        clock.forward(minutes=31)
        cookie = store.open_link(token, None, None)
        busy = who(store, cookie)
        assert busy.id != idle.id
        assert len(list(answer_all(store, busy))) == 2
        clock.forward(days=1)
        with pytest.raises(Gone, match="All places"):
            store.open_link(token, None, None)
        store.release(busy.id, "ada")
        session = store.session(cookie)
        assert session is not None
        assert session.rater is None, "one who was released is out"
        assert store.open_link(token, None, None)

    def test_a_released_rater_gives_its_items_back_at_once(self, store: StudyStore) -> None:
        token = store.make_link("small", "open", 2, 30, "ada")
        gone, other = (who(store, store.open_link(token, None, None)) for _ in range(2))
        held = store.screen(gone)
        assert held is not None
        assert len(list(answer_all(store, other))) == 1
        store.release(gone.id, "ada")
        assert len(list(answer_all(store, other))) == 1

    def test_mangled_revoked_expired_and_closed(self, store: StudyStore, clock: SetClock) -> None:
        token, other = (store.make_link("small", "open", 9, days, "ada") for days in (30, 1))
        with pytest.raises(NotFound, match="cut off"):
            store.open_link(token[:-1], None, None)
        clock.forward(days=1)
        with pytest.raises(Gone, match="expired"):
            store.join_page(other)
        store.pause("small", "ada")
        with pytest.raises(Conflict, match="pause"):
            store.open_link(token, None, None)
        store.resume("small", "ada")
        store.revoke_link("small", store.links("small")[-1].id, "ada")
        with pytest.raises(Gone, match="revoked"):
            store.open_link(token, None, None)
        late = store.make_link("small", "open", 9, 30, "ada")
        store.close("small", "ada")
        with pytest.raises(Gone, match="closed"):
            store.open_link(late, None, None)
        with pytest.raises(Conflict, match="open study only"):
            store.make_link("small", "open", 9, 30, "ada")
        with pytest.raises(NotFound, match="no such link"):
            store.revoke_link("other", 1, "ada")

    @pytest.mark.parametrize(
        ("kind", "cap", "days", "code"),
        [("open", 0, 30, ""), ("open", 10**6, 30, ""), ("crowd", 1, 0, ""), ("own", 1, 1, ""), ("crowd", 1, 1, "a\nb")],
    )
    def test_what_a_link_cannot_be(self, store: StudyStore, kind: str, cap: int, days: int, code: str) -> None:
        with pytest.raises(UserError):
            store.make_link("small", kind, cap, days, "ada", code)
        assert store.links("small") == []


class TestCrowdLinks:
    def test_an_id_belongs_to_the_browser_that_brought_it_first(self, store: StudyStore) -> None:
        token = store.make_link("small", "crowd", 9, 30, "ada")
        cookie = store.open_link(token, None, worker("p1"))
        mine = who(store, cookie)
        with pytest.raises(Conflict, match="another browser"):
            store.open_link(token, None, Platform("p1", "study", "another session"))
        store.consent(mine)
        with pytest.raises(Conflict, match="another browser"):
            store.open_link(token, None, worker("p1"))
        with pytest.raises(Conflict, match="another id"):
            store.open_link(token, cookie, worker("p2"))
        with pytest.raises(Conflict, match="another browser"):
            store.open_link(store.make_link("small", "crowd", 9, 30, "ada"), None, worker("p1"))
        assert who(store, store.open_link(token, cookie, worker("p1"))) == mine
        assert store.platform_of(mine) == worker("p1")
        assert len(store.raters("small")) == 1

    def test_one_whose_cookie_was_lost_on_the_way_comes_in_again(self, store: StudyStore) -> None:
        token = store.make_link("small", "crowd", 1, 30, "ada")
        lost = store.open_link(token, None, worker("p1"))
        mine = who(store, lost)
        assert who(store, store.open_link(token, None, worker("p1"))) == mine
        session = store.session(lost)
        assert session is not None
        assert session.rater is None, "one browser at a time"

    @pytest.mark.parametrize(
        "ids",
        [
            None,
            Platform("", "s", "x"),
            Platform("p" * 101, "s", "x"),
            Platform("p\n", "s", "x"),
            Platform(UNFILLED, "s", "x"),
        ],
    )
    def test_without_ids_nobody_comes_in(self, store: StudyStore, ids: Platform | None) -> None:
        token = store.make_link("small", "crowd", 9, 30, "ada")
        with pytest.raises(UserError, match="platform"):
            store.open_link(token, None, ids)
        assert store.raters("small") == []

    def test_the_code_comes_after_the_last_answer_and_stays(self, store: StudyStore) -> None:
        token = store.make_link("small", "crowd", 9, 30, "ada")
        rater = who(store, store.open_link(token, None, worker("p1")))
        with pytest.raises(Conflict, match="left"):
            store.finish(rater)
        store.consent(rater)
        store.start(rater)
        assert store.raters("small")[0].completion_code is None
        answers = answer_all(store, rater)
        next(answers)
        with pytest.raises(Conflict, match="left"):
            store.finish(rater)
        list(answers)
        code = store.finish(rater).completion_code
        assert code is not None
        assert len(code) == 8
        assert store.finish(rater).completion_code == code == store.raters("small")[0].completion_code
        assert store.stage(rater) == "finished"
        with pytest.raises(Conflict):
            store.undo(rater)

    def test_the_links_own_code_and_none_for_one_who_did_nothing(self, store: StudyStore) -> None:
        token = store.make_link("small", "crowd", 9, 30, "ada", "C0DE")
        workers = [who(store, store.open_link(token, None, worker(name))) for name in ("p1", "p2")]
        for rater in workers:
            store.consent(rater)
            store.start(rater)
        list(answer_all(store, workers[0]))
        assert store.finish(workers[0]).completion_code == "C0DE"
        assert store.finish(workers[1]).completion_code is None
        assert store.stage(workers[1]) == "rating", "should a place become free, there is one to fill it"

    def test_one_whom_the_close_cuts_short_gets_the_code_too(self, store: StudyStore) -> None:
        token = store.make_link("small", "crowd", 9, 30, "ada", "C0DE")
        rater = who(store, store.open_link(token, None, worker("p1")))
        next(answer_all(store, rater))
        store.close("small", "ada")
        assert store.finish(rater).completion_code == "C0DE"

    def test_a_withdrawal_forgets_who_it_was(self, store: StudyStore) -> None:
        token = store.make_link("small", "crowd", 1, 30, "ada")
        rater = who(store, store.open_link(token, None, worker("p1")))
        list(answer_all(store, rater))
        store.withdraw(rater, "rater")
        with store.engine.connect() as connection:
            everything = str([connection.execute(table.select()).all() for table in t.metadata.sorted_tables])
        assert "session of p1" not in everything
        assert store.open_link(token, None, worker("p2")), "the place is free again"

    def test_the_platforms_ids_are_in_one_table_alone(self, store: StudyStore) -> None:
        token = store.make_link("small", "crowd", 9, 30, "ada")
        store.open_link(token, None, worker("p1"))
        with store.engine.connect() as connection:
            others = [table for table in t.metadata.sorted_tables if table is not t.platform_id]
            assert "p1" not in str([connection.execute(table.select()).all() for table in others])
            assert connection.execute(select(t.platform_id.c.participant)).scalar_one() == "p1"


class TestOverHttp:
    @pytest.fixture
    def web(self, small_store: Path, tmp_path: Path) -> Iterator[Web]:
        with serve(small_store, tmp_path / "data") as web:
            yield web

    def test_opening_the_address_takes_no_place_and_the_button_does(self, web: Web) -> None:
        token = web.study.make_link(STUDY, "open", 1, 30, "test")
        visitor = web.visitor()
        page = visitor.get(f"/join/{token}")
        assert page.status_code == 200
        assert f'action="/join/{token}"' in page.text
        assert web.study.raters(STUDY) == []
        joined = visitor.post(f"/join/{token}")
        assert (joined.status_code, joined.headers["location"]) == (303, "/rate")
        assert visitor.get("/rate").status_code == 200
        full = web.visitor().post(f"/join/{token}")
        assert full.status_code == 410
        assert "taken" in message(full)

    def test_a_crowd_workers_ids_leave_the_address(self, web: Web) -> None:
        token = web.study.make_link(STUDY, "crowd", 5, 30, "test")
        bare = web.visitor().post(f"/join/{token}")
        assert bare.status_code == 400
        visitor = web.visitor()
        address = f"/join/{token}?{PROLIFIC.format('p1')}"
        page = visitor.get(address)
        assert "PROLIFIC_PID=p1&amp;STUDY_ID=s1" in page.text
        assert visitor.post(address).headers["location"] == "/rate"
        assert visitor.post("/rate/consent").status_code == 303
        assert visitor.post("/rate/start").status_code == 303
        answer(visitor)
        shown = visitor.get("/rate").text
        assert "p1" not in shown
        spoof = web.visitor().post(address)
        assert spoof.status_code == 409
        assert "another browser" in message(spoof)

    def test_guessed_links_are_limited(self, web: Web) -> None:
        visitor = web.visitor()
        codes = {visitor.get(f"/join/{number}").status_code for number in range(25)}
        assert codes == {404, 429}
