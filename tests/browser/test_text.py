"""The text page in a real Chromium, with scripts and without, on a desktop and a phone, in the dark, by axe.

The worker is a real process that speaks the worker's lines and loads no model: tests/browse/test_text.py has it.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from app.browse.text_code import text_url
from app.store.features import FeatureStore
from tests.browse.test_text import HOSTILE, WORKER
from tests.conftest import copy_store
from tests.serving import serving

TEXT = "the old town stands by the river and has a wall of stone"
SERVER = """
import functools, app.main
from app.live import Live
app.main.Live = functools.partial(Live, command=[{python!r}, {script!r}])
from app.cli import main
main()
"""


@contextmanager
def reading_server(data: Path) -> Iterator[str]:
    """Serve a folder with a worker; yields the base URL."""
    store = FeatureStore(data / "features.sqlite")
    script = data / "worker.py"
    script.write_text(WORKER.replace("NAMES", repr([one.name for one in store.dictionaries()])), "utf-8")
    store.close()
    code = SERVER.format(python=sys.executable, script=str(script))
    with serving(data, "--live", command=[sys.executable, "-c", code]) as base:
        yield base


@pytest.fixture(scope="module")
def reading(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a server with a worker."""
    with reading_server(copy_store(small_store, tmp_path_factory.mktemp("text") / "data")) as base:
        yield base


def chosen(page: Page) -> list[str]:
    return page.locator("a.t.chosen").all_inner_texts()


def test_a_text_is_pasted_coloured_and_chosen_from(page: Page, reading: str) -> None:
    page.goto(reading)
    page.get_by_role("link", name="Text", exact=True).click()
    page.get_by_role("textbox", name="Text").fill(TEXT)
    page.evaluate("window.sameDocument = true")
    page.get_by_role("button", name="Read").click()
    expect(page.get_by_role("heading", name="13 tokens")).to_be_visible()
    expect(page).to_have_url(re.compile(re.escape(reading + text_url(TEXT))))
    expect(page.locator("a.t[class*='hl-']")).to_have_count(6)

    page.locator("#t3").click()
    expect(page.locator("#t3")).to_have_class(re.compile("chosen"))
    expect(page).to_have_url(re.compile(r"\?from=3&to=3&feature=[a-z-]+%3A1$"))
    page.locator("#t6").click(modifiers=["Shift"])
    expect(page.locator("a.t.chosen")).to_have_count(4)
    expect(page.get_by_role("status").filter(has_text="on tokens 3–6")).to_be_visible()
    start, end = (page.locator(token).bounding_box() for token in ("#t8", "#t10"))
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=4)
    page.mouse.up()
    expect(page.locator("a.t.chosen")).to_have_count(3)
    assert page.evaluate("window.sameDocument"), "the page was loaded anew"

    reading = page.locator("#reading")
    page.locator("#t4").hover()
    expect(reading).to_have_text("Token 4: activation 4.00")
    page.locator("#t8").focus()
    page.keyboard.press("ArrowLeft")
    expect(reading).to_have_text("Token 7")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#t2")).to_be_focused()
    expect(reading).to_have_text("Token 2: activation 2.00")
    page.keyboard.press("Tab")
    expect(page.get_by_label("From token")).to_be_focused()  # the whole text is one stop of the tab key
    expect(reading).to_be_hidden()
    expect(page.get_by_text("on what is chosen, most at 10.0")).to_be_visible()

    shared = page.url
    page.get_by_label("Colour by feature").fill("topk-sae:2")
    page.get_by_role("button", name="Colour").click()
    expect(page.get_by_text("It fires on none of these tokens")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(shared)
    expect(page.locator("a.t.chosen")).to_have_count(3)
    page.goto(shared)
    assert chosen(page) == [" and", " has", " a"]
    page.get_by_role("link", name="Choose all").click()
    expect(page.locator("a.t.chosen")).to_have_count(0)


def test_a_reading_is_stopped_by_its_reader(page: Page, reading: str) -> None:
    page.goto(f"{reading}/text")
    page.get_by_role("textbox", name="Text").fill("wait")
    page.get_by_role("button", name="Read").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    page.get_by_role("textbox", name="Text").fill("wait")
    page.get_by_role("button", name="Read").click()
    page.goto(f"{reading}/text")  # who leaves has stopped, too
    page.get_by_role("textbox", name="Text").fill(TEXT)
    page.get_by_role("button", name="Read").click()
    expect(page.get_by_role("heading", name="13 tokens")).to_be_visible()


def test_what_is_too_long_is_refused_by_a_page(page: Page, reading: str) -> None:
    page.goto(f"{reading}/text")
    for characters, said in [(5_000, "4,000 are read at a time"), (1_000_000, "more than a form here may hold")]:
        # Out of sight: to lay out so much text takes longer than all the rest.
        page.evaluate("n => { text.hidden = true; text.value = 'some words '.repeat(n / 11); }", characters)
        page.get_by_role("button", name="Read").click()
        expect(page.get_by_role("main")).to_contain_text(said, timeout=20_000)
        page.goto(f"{reading}/text")


def test_it_works_without_javascript(watched: Callable[..., BrowserContext], reading: str) -> None:
    page = watched(java_script_enabled=False, viewport={"width": 360, "height": 740}).new_page()
    page.goto(f"{reading}/text")
    page.get_by_role("textbox", name="Text").fill(HOSTILE)
    page.get_by_role("button", name="Read").click()
    expect(page.locator(".text-tokens")).to_contain_text("<script>alert(1)</script>")
    page.goto(f"{reading}/text")
    page.get_by_role("textbox", name="Text").fill(TEXT)
    page.get_by_role("button", name="Read").click()
    page.locator("#t5").click()
    assert chosen(page) == [" by"]
    page.get_by_label("to", exact=True).fill("7")
    page.get_by_role("button", name="Choose tokens").click()
    assert chosen(page) == [" by", " the", " river"]
    page.get_by_role("link", name="1", exact=True).last.click()
    assert chosen(page) == [" by", " the", " river"]
    page.get_by_role("link", name="its page").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Feature 1")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_it_is_accessible_and_fits(
    watched: Callable[..., BrowserContext], reading: str, scheme: str, width: int
) -> None:
    page = watched(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
    for address in ("/text", f"{text_url(TEXT * 3)}?from=2&to=5", text_url(HOSTILE)):
        page.goto(reading + address)
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, address
        report = Axe().run(page)
        assert not report.response["violations"], f"{address}:\n{report.generate_report()}"
