"""Rating in a real Chromium: by keys, by touch, without JavaScript, with the network cut, by axe."""

import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.freeze import freeze
from app.store.features import FeatureStore
from app.store.study import StudyStore
from tests import rating
from tests.browser.raters import Browsers, Server, begin, check_by_axe, check_width, checked, posts
from tests.conftest import copy_store
from tests.web import STUDY, protocol

SOLO, PAIRS = 3, 12
WORDS = {"l": "left", "t": "tie", "r": "right", "n": "neither"}


@pytest.fixture(scope="module")
def server(
    small_store: Path, tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., str]
) -> Iterator[Server]:
    data = copy_store(small_store, tmp_path_factory.mktemp("rating") / "data")
    features, store = FeatureStore(data / "features.sqlite"), StudyStore.open(f"sqlite:///{data}/study.sqlite")
    tasks = {"page": {"features": 1}, "pair": {"pairs": PAIRS, "contrasts": [["learned", "drawn"]]}}
    freeze(protocol(features, raters_per_item=100, tasks=tasks), features, store, "test")
    features.close()
    yield Server(start_server(data), data, store, count(1), STUDY)
    store.dispose()


@pytest.fixture
def rater(server: Server, watched: Browsers) -> Page:
    """A page with the first question on it."""
    return begin(watched().new_page(), server.invite())


def to_the_pairs(page: Page) -> None:
    for number in range(SOLO):
        rating.answer_by_keyboard(page, number)


def values(keys: list[str]) -> dict[str, object]:
    """The stored answer that keys stand for."""
    if len(keys) == 1:
        return {"score": int(keys[0])}
    return {"left": int(keys[0]), "right": int(keys[1]), "choice": WORDS[keys[2]]}


def test_by_keys_alone_with_an_undo_resumed_in_another_browser(server: Server, watched: Browsers) -> None:
    invite = server.invite()
    page = watched().new_page()
    page.goto(invite)
    for name in ("I agree", "Start"):
        page.get_by_role("button", name=name).wait_for()
        page.keyboard.press("Tab")  # the link that skips to the content
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=name)).to_be_focused()
        page.keyboard.press("Enter")
    given = [rating.answer_by_keyboard(page, number) for number in range(SOLO + 6)]
    rating.undo_by_keyboard(page)
    assert checked(page) == {name: str(value) for name, value in values(given[-1]).items()}
    given[-1] = rating.answer_by_keyboard(page, 20)
    shown = rating.item(page)

    other = watched().new_page()
    other.goto(invite)
    assert rating.item(other) == shown
    given += [rating.answer_by_keyboard(other, number) for number in range(30, 36)]
    expect(other.get_by_role("heading", name="All done")).to_be_visible()
    assert len(given) == SOLO + PAIRS
    assert server.answers() == [values(keys) for keys in given]


def test_arrows_choose_and_keys_advance(server: Server, rater: Page) -> None:
    to_the_pairs(rater)
    expect(rater.locator("[data-active]")).to_have_attribute("data-question", "left")
    rater.keyboard.press("2")
    expect(rater.locator("[data-active]")).to_have_attribute("data-question", "right")
    rater.keyboard.press("5")
    expect(rater.locator("[data-active]")).to_have_attribute("data-question", "choice")
    for key, word in {"ArrowUp": "tie", "ArrowDown": "neither", "ArrowLeft": "left", "ArrowRight": "right"}.items():
        rater.locator('input[name="choice"]').first.focus()
        rater.keyboard.press(key)
        assert checked(rater) == {"left": "2", "right": "5", "choice": word}
        expect(rater.get_by_role("button", name="Submit")).to_be_focused()
    shown = rating.item(rater)
    rater.keyboard.press("Enter")
    rater.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    assert server.answers()[-1] == {"left": 2, "right": 5, "choice": "right"}


def test_enter_sends_nothing_that_is_not_complete(rater: Page) -> None:
    sent, shown = posts(rater), rating.item(rater)
    rater.keyboard.press("Enter")
    rater.wait_for_timeout(300)
    assert (sent, rating.item(rater)) == ([], shown)


def test_keys_count_from_the_moment_a_screen_is_there(rater: Page) -> None:
    pressed = """new MutationObserver((_, observer) => {
        observer.disconnect();
        document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "4", bubbles: true, cancelable: true}));
    }).observe(document.getElementById("screen").parentElement, {childList: true})"""
    rater.evaluate(pressed)  # runs right after the script that puts the next screen there, before any timer
    rating.answer_by_keyboard(rater, 1)
    assert checked(rater) == {"score": "4"}


def test_held_keys_and_double_clicks_send_once(server: Server, rater: Page) -> None:
    sent = posts(rater)
    rater.keyboard.press("3")
    shown = rating.item(rater)
    for _ in range(10):
        rater.keyboard.down("Enter")  # all but the first are repeats
    rater.keyboard.up("Enter")
    rater.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    rater.wait_for_timeout(300)
    assert len(sent) == 1

    for _ in range(5):
        rater.keyboard.down("4")
    rater.keyboard.up("4")
    assert checked(rater) == {"score": "4"}
    shown = rating.item(rater)
    rater.get_by_role("button", name="Submit").dblclick()
    rater.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    rater.wait_for_timeout(300)
    assert len(sent) == 2
    assert server.answers() == [{"score": 3}, {"score": 4}]


def test_a_held_digit_answers_one_question_alone(rater: Page) -> None:
    to_the_pairs(rater)
    for _ in range(5):
        rater.keyboard.down("4")
    rater.keyboard.up("4")
    assert checked(rater) == {"left": "4"}


def test_keys_do_nothing_in_text_fields_with_modifiers_or_turned_off(rater: Page) -> None:
    rater.evaluate("document.querySelector('#screen').prepend(document.createElement('textarea'))")
    rater.locator("textarea").fill("")
    rater.locator("textarea").focus()
    rater.keyboard.type("3u?")
    assert rater.locator("textarea").input_value() == "3u?"
    assert checked(rater) == {}
    rater.locator("#heading").focus()
    for modifier in ("Control", "Alt", "Meta"):
        rater.keyboard.press(f"{modifier}+3")
    assert checked(rater) == {}
    rater.keyboard.press("?")
    rater.get_by_label("Use these keys").uncheck()
    rater.keyboard.press("3")
    assert checked(rater) == {}
    rater.reload()
    rater.keyboard.press("3")
    assert checked(rater) == {}
    expect(rater.locator(".segment .keys, .submit .keys").first).to_be_hidden()


def test_the_question_mark_shows_the_instructions_and_hides_them(rater: Page) -> None:
    panel = rater.locator(".help-panel")
    expect(panel).to_be_hidden()
    rater.keyboard.press("3")
    for close in ("?", "Escape"):
        rater.keyboard.press("?")
        expect(panel).to_be_visible()
        expect(panel).to_be_focused()
        rater.keyboard.press(close)
        expect(panel).to_be_hidden()
        expect(rater.get_by_role("button", name="Submit")).to_be_focused()


def test_a_new_screen_is_announced_and_starts_at_its_top(rater: Page) -> None:
    to_the_pairs(rater)
    rater.evaluate("window.scrollTo(0, 400)")
    rating.answer_by_keyboard(rater, 1)
    expect(rater.locator("#heading")).to_be_focused()
    expect(rater.get_by_role("status")).to_have_text(f"Saved. {SOLO + 1} of {SOLO + PAIRS} done.")
    assert rater.evaluate("window.scrollY") == 0


def test_time_in_the_background_is_not_time_on_task(server: Server, rater: Page) -> None:
    def show(state: str) -> None:
        rater.evaluate(
            "state => { Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });"
            " document.dispatchEvent(new Event('visibilitychange')); }",
            state,
        )

    rater.wait_for_timeout(300)
    show("hidden")
    rater.wait_for_timeout(1500)
    show("visible")
    rating.answer_by_keyboard(rater, 1)
    server_ms, visible_ms = server.times()
    assert 300 <= visible_ms <= server_ms - 1400


def test_an_answer_that_cannot_be_sent_stays_and_is_sent_later(server: Server, rater: Page) -> None:
    to_the_pairs(rater)
    shown = rating.item(rater)
    rater.context.set_offline(True)
    for key in ("1", "5", "n", "Enter"):
        rater.keyboard.press(key)
    alert = rater.get_by_role("alert").filter(has_text="There is no connection")
    expect(alert).to_contain_text("not yet saved")
    rater.get_by_role("button", name="Send again").click()
    expect(alert).to_be_visible()
    rater.keyboard.press("u")  # its screen would take the answer's place
    assert (rating.item(rater), checked(rater)) == (shown, {"left": "1", "right": "5", "choice": "neither"})
    assert len(server.answers()) == SOLO
    rater.context.set_offline(False)
    rater.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    expect(alert).to_be_hidden()
    assert server.answers()[SOLO:] == [{"left": 1, "right": 5, "choice": "neither"}]


def test_an_answer_after_the_session_ended_waits_for_the_invite(server: Server, watched: Browsers) -> None:
    invite = server.invite()
    context = watched()
    page = begin(context.new_page(), invite)
    shown = rating.item(page)
    context.clear_cookies()
    for key in ("4", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("alert").filter(has_text="Open your invite link")).to_contain_text("not yet saved")
    context.new_page().goto(invite)
    page.get_by_role("button", name="Send again").click()
    page.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    assert server.answers() == [{"score": 4}]


def test_two_tabs_of_one_rater(server: Server, watched: Browsers) -> None:
    invite = server.invite()
    context = watched()
    one, two = begin(context.new_page(), invite), context.new_page()
    two.goto(f"{server.base}/rate")
    rating.answer_by_keyboard(one, 1)
    for key in ("5", "Enter"):
        two.keyboard.press(key)
    alert = two.get_by_role("alert").filter(has_text="answered already")
    expect(alert).to_be_visible()
    alert.get_by_role("link", name="Go on").click()
    expect(two.locator("#answer")).to_have_attribute("action", str(rating.item(one)))
    assert server.answers() == [{"score": 2}]


def test_without_javascript_by_the_mouse(server: Server, watched: Browsers) -> None:
    page = begin(watched(java_script_enabled=False).new_page(), server.invite(), script=False)
    first = rating.item(page)
    expect(page.locator(".segment .keys, .submit .keys").first).to_be_hidden()
    page.get_by_role("radio", name="partial").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#screen")).to_contain_text(f"1 of {SOLO + PAIRS} done")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#answer")).to_have_attribute("action", str(first))
    expect(page.locator("input[value='3']")).to_be_checked()
    page.get_by_role("radio", name="very clear").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#screen")).to_contain_text(f"1 of {SOLO + PAIRS} done")
    page.get_by_text("Instructions").click()
    expect(page.locator(".help-panel")).to_be_visible()
    assert server.answers() == [{"score": 5}]


@pytest.mark.parametrize("width", [360, 390])
def test_on_a_phone_by_touch(server: Server, watched: Browsers, width: int) -> None:
    context = watched(viewport={"width": width, "height": 740}, has_touch=True, is_mobile=True)
    page = begin(context.new_page(), server.invite())
    while rating.task(page) == "page":
        rate_by_touch(page, score="2")
    rate_by_touch(page, left="4", right="1", choice="left")
    assert server.answers()[-1] == {"left": 4, "right": 1, "choice": "left"}


def rate_by_touch(page: Page, **chosen: str) -> None:
    shown = rating.item(page)
    check_width(page)
    for name, value in chosen.items():
        radio = page.locator(f'input[name="{name}"][value="{value}"]')
        box = radio.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24
        radio.tap()
    page.get_by_role("button", name="Submit").tap()
    page.locator(f'#answer[action="{shown}"]').wait_for(state="detached")


def test_questions_have_names_for_screen_readers(rater: Page) -> None:
    to_the_pairs(rater)
    group = rater.get_by_role("group", name="Left page: how clear is its pattern?")
    assert group.get_by_role("radio", name=re.compile("^1 no pattern$")).count() == 1
    assert rater.get_by_role("group", name="Which page is more coherent?").get_by_role("radio").count() == 4
    assert rater.get_by_role("region", name="Left page").count() == 1
    assert rater.get_by_role("progressbar", name="Questions answered").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_something_is_open_unsent_or_wrong(
    server: Server, watched: Browsers, scheme: str
) -> None:
    """The other pages of a rater are checked in test_rate_session.py."""
    page = begin(watched(color_scheme=scheme, reduced_motion="reduce").new_page(), server.invite())
    page.keyboard.press("?")
    check_by_axe(page)
    page.keyboard.press("?")
    page.keyboard.press("3")
    check_by_axe(page)
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Send again").wait_for()
    check_by_axe(page)
    page.context.set_offline(False)
    page.goto(f"{server.base}/nothing")
    check_by_axe(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_admins_pages(server: Server, watched: Browsers, scheme: str) -> None:
    server.invite()
    page = watched(color_scheme=scheme, reduced_motion="reduce").new_page()
    page.goto(f"{server.base}/login/{server.store.login_link('admin', 'Grace', 10, 'test')}")
    check_by_axe(page)
    page.get_by_role("button", name="Log in").click()
    for path in ("/admin", f"/admin/studies/{STUDY}", f"/admin/studies/{STUDY}/close"):
        page.goto(f"{server.base}{path}")
        check_by_axe(page)
    page.goto(f"{server.base}/admin/studies/{STUDY}")
    page.get_by_label("Name of a new rater").fill("Ada")
    page.get_by_role("button", name="Add and make a link").click()
    expect(page.get_by_label("Link")).to_have_value(re.compile("/invite/"))
    check_by_axe(page)
