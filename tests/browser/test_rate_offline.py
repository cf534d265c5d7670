"""What is typed survives: a lost connection, a closed tab, an ended login, a lease that others took, two tabs, going back."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.store.study import StudyStore
from tests import rating
from tests.browser.raters import Browsers, Server, begin, checked
from tests.whole import NAME, whole_study


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., str]) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("offline")
    store = StudyStore.open(f"sqlite:///{data}/study.sqlite")
    store.freeze(whole_study(pages=3, pairs=0, intruders=0, catch=0, practice=0), "test")
    yield Server(start_server(data), data, store, count(1), NAME)
    store.dispose()


@pytest.fixture
def person(watched: Browsers) -> BrowserContext:
    return watched()


def fill_in(page: Page) -> None:
    rating.write_by_keyboard(page, "verbs of motion")
    page.keyboard.press("4")
    page.keyboard.press("2")


GIVEN = {"score": 4, "confidence": 2, "explanation": "verbs of motion"}


def test_what_was_entered_is_there_again_in_a_new_tab(server: Server, person: BrowserContext) -> None:
    page = begin(person.new_page(), server.invite())
    shown = rating.item(page)
    fill_in(page)
    page.close()
    page = person.new_page()
    page.goto(f"{server.base}/rate")
    assert rating.item(page) == shown
    expect(page.get_by_role("textbox", name="In your words")).to_have_value("verbs of motion")
    assert checked(page) == {"score": "4", "confidence": "2"}
    expect(page.get_by_role("status")).to_have_text("What you had entered is here again.")
    assert server.answers() == []


def test_an_answer_sent_without_a_connection_survives_a_closed_tab(server: Server, person: BrowserContext) -> None:
    page = begin(person.new_page(), server.invite())
    shown = rating.item(page)
    person.set_offline(True)
    fill_in(page)
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert").filter(has_text="There is no connection")
    expect(alert).to_contain_text("kept in this browser; you may close the window")
    page.keyboard.press("e")
    page.keyboard.type(", mostly")  # the rater thinks again while it waits
    page.close()
    person.set_offline(False)
    assert server.answers() == []
    page = person.new_page()
    page.goto(f"{server.base}/rate")
    page.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    assert server.answers() == [{**GIVEN, "explanation": "verbs of motion, mostly"}]
    assert page.evaluate("Object.keys(localStorage)") == []


def test_a_server_that_is_gone_is_tried_again(server: Server, person: BrowserContext) -> None:
    page = begin(person.new_page(), server.invite())
    shown = rating.item(page)
    page.route(f"**{shown}", lambda route: route.abort())
    fill_in(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="There is no connection")).to_be_visible()
    page.unroute(f"**{shown}")
    page.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    assert server.answers() == [GIVEN]


def test_an_answer_that_was_saved_though_no_reply_came_is_stored_once(server: Server, person: BrowserContext) -> None:
    page = begin(person.new_page(), server.invite())
    shown = rating.item(page)

    def lose_the_reply(route: object) -> None:
        route.fetch(max_redirects=0)  # type: ignore[attr-defined]
        route.abort()  # type: ignore[attr-defined]

    page.route(f"**{shown}", lose_the_reply, times=1)
    fill_in(page)
    page.keyboard.press("Enter")
    page.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    assert server.answers() == [GIVEN]
    with closing(sqlite3.connect(server.data / "study.sqlite")) as connection:
        query = "SELECT COUNT(*) FROM rating JOIN assignment ON assignment.id = assignment_id WHERE public_id = ?"
        assert connection.execute(query, (str(shown).rpartition("/")[2],)).fetchone() == (1,)


def test_an_answer_after_the_login_ended_is_sent_once_the_invite_is_opened(
    server: Server, person: BrowserContext
) -> None:
    invite = server.invite()
    page = begin(person.new_page(), invite)
    person.clear_cookies()
    fill_in(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="Open your invite link")).to_contain_text("not yet saved")
    page.close()
    page = person.new_page()
    page.goto(invite)
    expect(page.locator("#screen")).to_contain_text("1 of 3 done")
    assert server.answers() == [GIVEN]


def test_an_answer_to_a_question_that_others_took_is_sent_all_the_same(server: Server, person: BrowserContext) -> None:
    page = begin(person.new_page(), server.invite())
    shown = str(rating.item(page))
    person.set_offline(True)
    fill_in(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="There is no connection")).to_be_visible()
    page.close()
    public_id = shown.rpartition("/")[2]
    with closing(sqlite3.connect(server.data / "study.sqlite")) as connection, connection:
        item = "SELECT item_id FROM assignment WHERE public_id = ?"
        connection.execute("UPDATE assignment SET lease_until = claimed_at WHERE public_id = ?", (public_id,))
        connection.execute(f"UPDATE item SET accepted = 100 WHERE id = ({item})", (public_id,))
    person.set_offline(False)
    page = person.new_page()
    page.goto(f"{server.base}/rate")
    assert rating.item(page) != shown
    expect(page.get_by_role("status")).to_have_text("An answer that waited here was sent.")
    with closing(sqlite3.connect(server.data / "study.sqlite")) as connection, connection:
        query = "SELECT answer, state FROM rating JOIN assignment ON assignment.id = assignment_id WHERE public_id = ?"
        stored = [(json.loads(answer), state) for answer, state in connection.execute(query, (public_id,))]
        connection.execute("UPDATE item SET accepted = 0 WHERE accepted = 100")
    assert stored == [(GIVEN, "surplus")]


def test_another_raters_answer_waits_for_that_rater(server: Server, person: BrowserContext) -> None:
    """Two people at one computer: the one never sends, and never deletes, what the other has entered."""
    one, two = server.invite(), server.invite()
    first = begin(person.new_page(), one)
    fill_in(first)
    page = begin(person.new_page(), two)
    first.keyboard.press("Enter")
    expect(first.get_by_role("alert")).to_contain_text("not one of yours")
    first.close()
    with page.expect_response(lambda response: response.status == 404):
        page.reload()
    assert len(page.evaluate("Object.keys(localStorage)")) == 1
    page.goto(one)
    expect(page.locator("#screen")).to_contain_text("1 of 3 done")
    page.wait_for_function("Object.keys(localStorage).length === 0")


def test_two_tabs_answer_one_question_once(server: Server, person: BrowserContext) -> None:
    one = begin(person.new_page(), server.invite())
    two = person.new_page()
    two.goto(f"{server.base}/rate")
    fill_in(one)
    fill_in(two)
    one.keyboard.press("Enter")
    expect(one.locator("#screen")).to_contain_text("1 of 3 done")
    two.keyboard.press("Enter")  # the same answer: taken as the same
    expect(two.locator("#screen")).to_contain_text("1 of 3 done")
    assert rating.item(two) == rating.item(one)
    assert server.answers() == [GIVEN]


def test_going_back_shows_the_question_that_is_open(server: Server, person: BrowserContext) -> None:
    page = begin(person.new_page(), server.invite())
    rating.answer_by_keyboard(page, 1)
    shown = rating.item(page)
    page.goto(f"{server.base}/rate/withdraw")
    page.go_back()
    page.locator("html.js #answer").wait_for()
    assert rating.item(page) == shown
    expect(page.locator("#screen")).to_contain_text("1 of 3 done")
    rating.answer_by_keyboard(page, 2)
    assert len(server.answers()) == 2


def test_a_browser_that_keeps_nothing_still_rates(server: Server, person: BrowserContext) -> None:
    person.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('no') } })")
    page = begin(person.new_page(), server.invite())
    fill_in(page)
    page.keyboard.press("Enter")
    expect(page.locator("#screen")).to_contain_text("1 of 3 done")
    assert server.answers() == [GIVEN]
