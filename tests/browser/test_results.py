"""Results in a real Chromium: the wait, charts under the content policy, what they can be saved as, every screen by axe."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.store.study import StudyStore
from tests.browser.raters import check_by_axe, check_width
from tests.studies import answer, frozen_study

COMPUTED = 120_000  # milliseconds within which results are there
SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 360, "height": 780}, "has_touch": True},  # a mobile window would grow with its page
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "no script": {"java_script_enabled": False},
}


@pytest.fixture(scope="module")
def results(start_server: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Links that log an analyst in to a server with a revealed study; each is good for one."""
    data = tmp_path_factory.mktemp("results")
    store = StudyStore.open(f"sqlite:///{data / 'study.sqlite'}")
    store.freeze(frozen_study(pages=8, pairs=4, intruders=6, exclusions={"median_seconds": 0.0}), "ada")
    for label in ("one", "two"):
        rater = store.add_rater("small", label, "ada")
        number = 0
        while answer(store, rater, number) is not None:
            number += 1
    store.close("small", "ada")
    store.reveal("small", "ada")
    base = start_server(data)
    yield lambda: f"{base}/login/{store.login_link('analyst', 'Ada', 10, 'cli')}"
    store.dispose()


def opened(page: Page, login: str) -> Page:
    """The page of results, once they are computed."""
    page.goto(login)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state()
    page.goto(f"{login.partition('/login/')[0]}/results/small")
    expect(page.locator(".headline")).to_be_visible(timeout=COMPUTED)
    return page


def drawn(page: Page) -> int:
    """How many charts there are, once each is drawn: its buttons come then."""
    charts = page.locator("[data-chart]").count()
    expect(page.locator(".saves button")).to_have_count(2 * charts)
    return charts


def test_charts_are_drawn_and_saved(
    results: Callable[..., str], watched: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    """A breach of the content policy, or a script's error, fails by `watched`."""
    page = opened(watched(**SCREENS["desktop"]).new_page(), results())
    charts = drawn(page)
    assert charts >= 4
    assert page.locator("[data-chart] canvas").count() == charts
    first = page.locator("figure.figure").filter(has=page.locator("[data-chart$='/arms.json']"))
    for kind, begins in (("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b"arm,role")):
        with page.expect_download() as download:
            first.get_by_role("link" if kind == "CSV" else "button", name=kind).click()
        path = tmp_path / kind
        download.value.save_as(path)
        assert path.read_bytes().startswith(begins)
    first.get_by_text("As a table").click()
    expect(first.get_by_role("row", name="trained")).to_be_visible()
    check_by_axe(page)


@pytest.mark.slow
@pytest.mark.parametrize("screen", ["phone", "dark"])
def test_every_screen(results: Callable[..., str], watched: Callable[..., BrowserContext], screen: str) -> None:
    page = opened(watched(**SCREENS[screen]).new_page(), results())
    drawn(page)
    check_by_axe(page)
    for table in page.get_by_text("As a table").all():
        table.click()
    check_width(page)
    page.get_by_role("link", name="Every page with its scores").click()
    check_by_axe(page)
    check_width(page)


@pytest.mark.slow
def test_without_a_script_the_tables_say_it(
    results: Callable[..., str], watched: Callable[..., BrowserContext]
) -> None:
    page = opened(watched(**SCREENS["no script"]).new_page(), results())
    assert page.locator("canvas").count() == 0
    page.get_by_text("As a table").first.click()
    expect(page.locator("figure table").first).to_be_visible()
