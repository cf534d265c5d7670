"""A rater's whole way in a real Chromium, each task in it: by keys alone, by touch, without JavaScript, by axe."""

import re
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from playwright.sync_api import Page, expect

from app.store.study import StudyStore
from tests import rating
from tests.browser.raters import Browsers, Server, begin, check_by_axe, check_width, checked, posts
from tests.whole import NAME, SENTENCES, whole_study

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
CANARY = "canary"


@pytest.fixture(scope="module")
def serve(
    tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., str]
) -> Iterator[Callable[..., Server]]:
    """serve(**changes): a server over a study of its own; see `whole_study`."""
    stores = []

    def one(**changes: object) -> Server:
        data = tmp_path_factory.mktemp("session")
        store = StudyStore.open(f"sqlite:///{data}/study.sqlite")
        stores.append(store)
        store.freeze(whole_study(**changes), "test")
        return Server(start_server(data), data, store, count(1), NAME)

    yield one
    for store in stores:
        store.dispose()


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    return serve(practice_intruders=1)


@pytest.fixture(scope="module")
def slow(serve: Callable[..., Server]) -> Server:
    return serve(dwell_seconds=2, practice=0)


def practise(page: Page) -> None:
    """Answer the practice rightly, by keyboard, and begin."""
    rating.answer_by_keyboard(page, 0, ["5", "3"])
    rating.answer_by_keyboard(page, 0, ["5"])
    begin_after_practice(page)


def begin_after_practice(page: Page) -> None:
    expect(page.get_by_role("heading", name="Practice passed")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("#answer").wait_for()


def to_task(page: Page, task: str) -> None:
    number = 0
    while rating.task(page) != task:
        rating.answer_by_keyboard(page, number)
        number += 1


@pytest.fixture
def rater(server: Server, watched: Browsers) -> Page:
    """A page with the first question on it, the practice passed."""
    page = begin(watched().new_page(), server.invite())
    practise(page)
    return page


def test_the_whole_way_by_keys_alone(server: Server, watched: Browsers) -> None:
    page = watched().new_page()
    page.goto(server.invite())
    for name in ("I agree to take part", "Start"):
        page.get_by_role("button", name=name).wait_for()
        page.keyboard.press("Tab")  # the link that skips to the content
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=name)).to_be_focused()
        page.keyboard.press("Enter")
    page.locator("#answer").wait_for()
    for task, wrong, right in (("page", ["1", "2"], ["5", "3"]), ("intruder", ["1"], ["5"])):
        assert rating.task(page) == task
        rating.answer_by_keyboard(page, 0, wrong)
        expect(page.locator(".told-wrong")).to_contain_text("Not quite. Try this one again. It is word")
        expect(page.get_by_role("status")).to_contain_text("Not quite")
        rating.answer_by_keyboard(page, 0, right)
        expect(page.locator(".told-right")).to_contain_text("That is right. It is word")
    begin_after_practice(page)
    given: dict[str, list[str]] = {}
    number = 0
    while (task := rating.task(page)) is not None:
        if task == "intruder":
            for key in "s3":
                page.keyboard.press(key)
            expect(page.get_by_role("radio", name="A text upsets me")).to_be_checked()
            page.keyboard.press("Escape")
            expect(page.locator("#skip-form")).to_be_hidden()
        given[task] = rating.answer_by_keyboard(page, number)
        number += 1
    expect(page.get_by_role("heading", name="All done")).to_be_focused()
    assert set(given) == {"page", "pair", "intruder"}
    rating.undo_by_keyboard(page)
    for key in "s4":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    stored = server.answers()[2:]  # the first are the practice
    assert {"skip": "other"} in stored
    assert sum("explanation" in answer for answer in stored) >= 2
    assert len(stored) == number


def test_keys_never_act_in_the_text_field(rater: Page) -> None:
    to_task(rater, "page")
    sent = posts(rater)
    rater.keyboard.press("3")  # the words come first
    assert checked(rater) == {}
    rater.keyboard.press("e")
    field = rater.get_by_role("textbox", name="In your words")
    expect(field).to_be_focused()
    rater.keyboard.type("12345 u?s ltrn")
    rater.keyboard.press("Backspace")
    rater.keyboard.press("Shift+Enter")
    rater.keyboard.type("6")
    assert field.input_value() == "12345 u?s ltr\n6"
    assert checked(rater) == {}
    expect(rater.locator("#skip-form")).to_be_hidden()
    rater.keyboard.down("Enter")
    for _ in range(5):
        rater.keyboard.down("Enter")  # held: it goes on to the score, and sends nothing
    rater.keyboard.up("Enter")
    expect(rater.locator("[data-active]")).to_have_attribute("data-question", "score")
    rater.keyboard.press("4")
    expect(rater.locator("[data-active]")).to_have_attribute("data-question", "confidence")
    rater.keyboard.press("e")
    rater.keyboard.press("Escape")
    rater.keyboard.press("s")
    expect(rater.locator("#skip-form")).to_be_visible()
    assert sent == []


def test_an_intruder_is_picked_by_its_number(server: Server, rater: Page) -> None:
    to_task(rater, "intruder")
    group = rater.get_by_role("group", name="Which piece does not belong with the others?")
    assert group.get_by_role("radio").count() == 5
    rating.answer_by_keyboard(rater, 0, ["4"])
    assert {"pick": 4} in server.answers()


def test_without_words_nothing_is_sent(rater: Page) -> None:
    to_task(rater, "page")
    sent = posts(rater)
    rater.get_by_role("radio", name="2 a hint").check(force=True)
    rater.get_by_role("radio", name="4 sure").check(force=True)
    rater.get_by_role("button", name="Submit").click()
    expect(rater.get_by_role("textbox", name="In your words")).to_be_focused()
    assert sent == []


def test_the_least_time_is_counted_down_and_kept(slow: Server, watched: Browsers) -> None:
    page = begin(watched().new_page(), slow.invite())
    sent = posts(page)
    button = page.locator("#answer .submit")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_contain_text(re.compile(r"\d s"))
    rating.write_by_keyboard(page, "quick")
    keys = rating.keys_for(page, 1)
    for key in [*keys, "Enter"]:
        page.keyboard.press(key)
    expect(page.get_by_role("status")).to_contain_text("You can submit in")
    assert sent == []
    expect(button).not_to_have_attribute("aria-disabled", "true")
    shown = rating.item(page)
    page.keyboard.press("Enter")
    page.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    assert len(slow.answers()) == 1
    server_ms, visible_ms = slow.times()
    assert server_ms >= 2000
    assert visible_ms <= server_ms


def test_the_servers_clock_rules_where_the_browsers_is_ahead(slow: Server, watched: Browsers) -> None:
    page = begin(watched().new_page(), slow.invite())
    page.evaluate("const now = performance.now.bind(performance); performance.now = () => now() + 60000")
    expect(page.locator("#answer .submit")).not_to_have_attribute("aria-disabled", "true")
    rating.write_by_keyboard(page, "quick")
    keys = rating.keys_for(page, 1)
    for key in [*keys, "Enter"]:
        page.keyboard.press(key)
    expect(page.get_by_role("status")).to_contain_text("This came very fast")
    expect(page.locator("#answer .submit")).to_have_attribute("aria-disabled", "true")
    assert slow.answers() == []
    assert list(checked(page).values())[: len(keys)] != []  # what was given stays


def test_the_whole_way_by_touch_on_a_small_phone(server: Server, watched: Browsers) -> None:
    page = watched(**PHONE).new_page()
    page.goto(server.invite())
    for name in ("I agree to take part", "Start"):
        page.get_by_role("button", name=name).wait_for()
        check_width(page)
        page.get_by_role("button", name=name).tap()
    page.locator("html.js #answer").wait_for()
    done = 0
    while rating.task(page) is not None:
        check_width(page)
        if "/practice/" in str(rating.item(page)):
            answer_by_touch(page, 0)  # wrong
            expect(page.locator(".told-wrong")).to_be_in_viewport()
            check_width(page)
        answer_by_touch(page)
        done += 1
        if page.get_by_role("button", name="Begin").count():
            page.get_by_role("button", name="Begin").tap()
            page.locator("#answer").wait_for()
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    check_width(page)
    assert done == 2 + 5
    assert len(server.answers()) == done


def answer_by_touch(page: Page, option: int = -1) -> None:
    """Tap an option of each question, by default the last, and Submit; every target is large enough."""
    if page.locator("#answer textarea").count():
        page.locator("#answer textarea").fill("by touch")
    for question in page.locator("#answer .question:has(input)").all():
        options = question.locator("input")
        for one in options.all():
            box = one.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 24
        options.nth(option).tap()
    with rating.another_screen(page):
        page.get_by_role("button", name="Submit").tap()


@pytest.mark.parametrize("width", [320, 640])  # a window of 1280 at 400% and at 200%
def test_a_zoomed_window_scrolls_in_one_direction_alone(server: Server, watched: Browsers, width: int) -> None:
    page = begin(watched(viewport={"width": width, "height": 400}).new_page(), server.invite())
    while rating.task(page) is not None:
        check_width(page)
        page.locator("#help summary").click()
        check_width(page)
        page.locator("#help summary").click()
        rating.answer_by_keyboard(page, 4)
        if page.locator("#go-on").count():
            page.keyboard.press("Enter")
            page.locator("#answer").wait_for()
    check_width(page)


def go(page: Page, button: str) -> None:
    """Press a button of a page without a script, and wait for the page that it leads to."""
    with page.expect_navigation():
        page.get_by_role("button", name=button).click()


def test_the_whole_way_without_javascript(server: Server, watched: Browsers) -> None:
    page = begin(watched(java_script_enabled=False).new_page(), server.invite(), script=False)
    while rating.task(page) is not None:
        shown = rating.item(page)
        if page.locator("#answer textarea").count():
            page.locator("#answer textarea").fill("by mouse")
        for question in page.locator("#answer .question:has(input)").all():
            question.locator("input").last.check(force=True)
        go(page, "Submit")
        assert rating.item(page) != shown
        if page.get_by_role("button", name="Begin").count():
            go(page, "Begin")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    go(page, "Undo")
    page.locator("#skip summary").click()
    page.get_by_role("radio", name="It is not shown so that I could read it").click()
    go(page, "Skip")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    assert len(server.answers()) == 2 + 5
    assert {"skip": "unreadable"} in server.answers()


def test_too_soon_without_javascript_keeps_what_was_typed(slow: Server, watched: Browsers) -> None:
    page = begin(watched(java_script_enabled=False).new_page(), slow.invite(), script=False)
    radios = page.locator("#answer .question:has(input)").all()
    if page.locator("#answer textarea").count():
        page.locator("#answer textarea").fill("quickly")
    for question in radios:
        question.locator("input").last.check(force=True)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_contain_text("This came very fast")
    assert len(checked(page)) == len(radios)
    if page.locator("#answer textarea").count():
        expect(page.locator("#answer textarea")).to_have_value("quickly")
    assert slow.answers() == []


@pytest.mark.parametrize(
    "options",
    [PHONE | {"color_scheme": "dark"}, pytest.param({"color_scheme": "light"}, marks=pytest.mark.slow)],
    ids=["dark-phone", "light"],
)
def test_axe_finds_nothing_on_any_raters_page(
    serve: Callable[..., Server], watched: Browsers, options: dict[str, object]
) -> None:
    server = serve(pages=1, pairs=1, intruders=1, catch=0, guess=1)
    page = watched(reduced_motion="reduce", **options).new_page()
    page.goto(server.invite())
    for name in ("I agree to take part", "Start"):
        page.get_by_role("button", name=name).wait_for()
        check_by_axe(page)
        page.get_by_role("button", name=name).click()
    page.locator("html.js #answer").wait_for()
    check_by_axe(page)
    rating.answer_by_keyboard(page, 0, ["1", "1"])
    check_by_axe(page)  # wrong
    rating.answer_by_keyboard(page, 0, ["5", "1"])
    check_by_axe(page)  # passed
    page.keyboard.press("Enter")
    page.locator("#answer").wait_for()
    page.keyboard.press("s")
    check_by_axe(page)
    page.keyboard.press("Escape")
    while rating.task(page) is not None:
        check_by_axe(page)
        rating.answer_by_keyboard(page, 2)
    check_by_axe(page)  # done
    server.store.pause(NAME, "test")
    page.reload()
    check_by_axe(page)
    server.store.close(NAME, "test")
    page.reload()
    check_by_axe(page)
    server.store.open_guessing(NAME, "test")
    page.reload()
    check_by_axe(page)
    rating.answer_by_keyboard(page, 1)
    check_by_axe(page)  # told the arms
    page.keyboard.press("Enter")
    page.locator("#answer").wait_for()
    check_by_axe(page)
    rating.answer_by_keyboard(page, 1)
    page.goto(f"{server.base}/rate/withdraw")
    check_by_axe(page)
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("heading", name="You have withdrawn")).to_be_visible()
    check_by_axe(page)


def test_a_crowd_worker_gets_the_code_after_the_last_answer_and_not_before(
    serve: Callable[..., Server], watched: Browsers
) -> None:
    server = serve(pages=1, pairs=0, intruders=0, catch=0, practice=0, guess=0)
    link = server.store.make_link(NAME, "crowd", 5, 7, "test", "C0FFEE42")
    page = watched(**PHONE).new_page()
    page.goto(f"{server.base}/join/{link}?PROLIFIC_PID=5f0a&STUDY_ID=6b1c&SESSION_ID=7d2e")
    check_width(page)
    check_by_axe(page)
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="I agree").click()
    page.get_by_role("button", name="Start").click()
    page.locator("html.js #answer").wait_for()
    assert "C0FFEE42" not in page.content()
    assert "5f0a" not in page.url + page.content()  # the platform's ids are left behind
    answer_by_touch(page)
    expect(page.get_by_label("Your completion code")).to_have_value("C0FFEE42")
    assert len(server.answers()) == 1
    check_width(page)
    check_by_axe(page)


def test_nothing_that_a_browser_gets_names_an_arm(server: Server, watched: Browsers) -> None:
    """Every response, body and headers; cookies; what is stored in the browser; the page as it stands."""
    context = watched()
    page = context.new_page()
    seen: list[str] = []
    page.on("response", lambda response: seen.append(f"{response.url} {response.all_headers()}"))
    begin(page, server.invite())
    practise(page)
    number = 0
    while rating.task(page) is not None:
        seen.append(page.content())
        rating.answer_by_keyboard(page, number)
        number += 1
    seen += [page.content(), str(context.cookies()), str(page.evaluate("({...localStorage})"))]
    seen += [str(page.evaluate("({...sessionStorage})"))]
    for path in ("/rate/nothing", "/admin", "/static/nothing"):
        response = page.goto(f"{server.base}{path}")
        assert response is not None
        seen.append(response.text())
    assert any("main.js" in text for text in seen)
    assert [text for text in seen if CANARY in text.lower()] == []


def test_the_browser_keeps_the_raters_answer_and_nothing_of_the_study(rater: Page) -> None:
    to_task(rater, "page")
    rater.keyboard.press("e")
    rater.keyboard.type("my words")
    stored = str(rater.evaluate("JSON.stringify({...localStorage})"))
    assert "my words" in stored
    assert [sentence for sentence in SENTENCES if sentence[:20] in stored] == []
    keys = rater.evaluate("Object.keys(localStorage)")
    assert keys == [f"dartboard:{rating.item(rater)}"]
