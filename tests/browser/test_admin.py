"""The admin's pages in a real Chromium: by axe on a desktop, on a phone and in the dark; a study file written and corrected."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.store.study import Platform, StudyStore
from tests.browser.raters import check_by_axe
from tests.conftest import copy_store
from tests.studies import answer, frozen_study

SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
}


@pytest.mark.parametrize("screen", ["phone", "dark", pytest.param("desktop", marks=pytest.mark.slow)])
def test_every_page_of_the_admin(
    screen: str,
    watched: Callable[..., BrowserContext],
    start_server: Callable[..., str],
    small_store: Path,
    tmp_path: Path,
) -> None:
    data = copy_store(small_store, tmp_path / "data")
    store = StudyStore.open(f"sqlite:///{data / 'study.sqlite'}")
    store.freeze(frozen_study(catch=1, repeats=(0.3, 1)), "ada")
    rater = store.add_rater("small", "Ada", "ada")
    for number in range(4):
        answer(store, rater, number)
    link = store.make_link("small", "crowd", 5, 30, "ada")
    store.open_link(link, None, Platform("p", "s", "x"))
    base = start_server(data)
    page = watched(**SCREENS[screen]).new_page()
    page.goto(f"{base}/login/{store.login_link('admin', 'Ada', 10, 'cli')}")
    page.get_by_role("button", name="Log in").click()
    for path in ("", "/studies/small", f"/studies/small/raters/{rater.id}", "/studies/small/close"):
        page.goto(f"{base}/admin{path}")
        check(page)
    page.goto(f"{base}/admin/studies/small")
    page.get_by_role("button", name="Make an open link").click()
    expect(page.get_by_role("button", name="Copy")).to_be_visible()
    check(page)
    page.goto(f"{base}/admin")
    page.get_by_label("Name of a new draft").fill("next")
    page.get_by_role("button", name="Write a study file").click()
    expect(page.get_by_role("heading", name="The design is sound")).to_be_visible()
    check(page)
    field = page.get_by_label("Study file")
    field.fill(f"{field.input_value()}\n[taskz]\n")
    page.get_by_role("button", name="Save and check").click()
    expect(page.get_by_text("unknown key taskz")).to_be_visible()
    check(page)
    store.dispose()


def check(page: Page) -> None:
    check_by_axe(page)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), "the page scrolls sideways"
