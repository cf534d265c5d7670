"""One reader's way through a feature's page and its lists in a real Chromium: with a script, without one, by axe."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from app.store.features import FeatureFilter, FeatureStore
from app.store.study import StudyStore
from tests.conftest import copy_store

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def data(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_store(small_store, tmp_path_factory.mktemp("feature") / "data")


@pytest.fixture(scope="module")
def served(data: Path, start_server: Callable[..., str]) -> str:
    return start_server(data)


def staff(context: BrowserContext, base: str, data: Path) -> Page:
    """A page of somebody who is signed in."""
    store = StudyStore.open(f"sqlite:///{data}/study.sqlite")
    token = store.login_link("analyst", "ada", 10, "test")
    store.dispose()
    page = context.new_page()
    page.goto(f"{base}/login/{token}")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state()
    return page


def feature_address(data: Path) -> str:
    store = FeatureStore(data / "features.sqlite")
    dictionary = next(one for one in store.dictionaries() if one.trained)
    live = store.features(dictionary.id, where=FeatureFilter(state="live"), sort="frequency", descending=True, limit=1)
    store.close()
    return f"/dictionaries/{dictionary.name}/features/{live[0].index}"


def check(page: Page, name: str) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} is {wide} pixels too wide"
    report = Axe().run(page)
    assert not report.response["violations"], f"{name}:\n{report.generate_report()}"


def test_a_reader_looks_keeps_and_copies(
    watched: Callable[..., BrowserContext], served: str, data: Path, tmp_path: Path
) -> None:
    context = watched(viewport=DESKTOP, permissions=["clipboard-read", "clipboard-write"], accept_downloads=True)
    page = staff(context, served, data)
    here = feature_address(data)
    page.goto(served + here)

    rows = page.locator("section[aria-labelledby=top] .hits > li")
    first = rows.first
    about, reading = first.locator("small"), page.locator("#reading")
    expect(about).to_be_hidden()
    first.locator("b").hover()
    expect(reading).to_contain_text(f"{first.locator('a').inner_text()[:3]}")
    first.locator("a").focus()
    page.keyboard.press("Enter")
    expect(about).to_be_visible()
    assert page.url.endswith(f"#{first.get_attribute('id')}")
    page.keyboard.press("ArrowRight")
    expect(first.locator(".at")).to_have_count(1)
    expect(reading).to_contain_text("token")
    page.keyboard.press("Escape")
    expect(reading).to_be_hidden()
    page.reload()
    expect(about).to_be_visible()  # the address keeps what is open
    first.locator("a").click()
    expect(about).to_be_hidden()
    rows.nth(1).locator("p").click()
    expect(rows.nth(1).locator("small")).to_be_visible()

    page.keyboard.press("s")
    star = page.locator("#star button")
    expect(star).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("n")
    page.keyboard.type("jk <b>not a link</b>")
    page.get_by_role("button", name="Save the note").click()
    expect(page.locator("#kept")).to_contain_text("saved")
    page.get_by_label("New list with this feature").fill("Rivers & <seas>")
    page.get_by_role("button", name="Make").click()
    chosen = page.get_by_role("button", name="Rivers & <seas>")
    expect(chosen).to_have_attribute("aria-pressed", "true")
    chosen.click()
    expect(chosen).to_have_attribute("aria-pressed", "false")
    chosen.click()
    expect(chosen).to_have_attribute("aria-pressed", "true")
    assert page.url.startswith(served + here), "a form of the page led away from it"

    page.locator("h1").click()
    page.keyboard.press("c")
    expect(page.locator("#copied")).to_have_text("JSON copied")
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["index"] == int(here.rpartition("/")[2])
    page.keyboard.press("m")
    expect(page.locator("#copied")).to_have_text("Markdown copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("# Feature ")

    drawn = page.locator("section[aria-labelledby=random] .group-rows")
    drawn.scroll_into_view_if_needed()
    expect(drawn.locator(".hits > li").first).to_be_visible()
    before = drawn.locator(".hits > li").evaluate_all("rows => rows.map(row => row.id)")
    drawn.get_by_role("link", name="Draw others").click()
    expect(drawn.get_by_role("link", name="Draw others")).to_have_attribute("href", re.compile("seed=2$"))
    assert drawn.locator(".hits > li").evaluate_all("rows => rows.map(row => row.id)") != before
    page.get_by_role("link", name="Show numbers").click()
    expect(page.locator(".hits sub").first).to_be_visible()
    page.get_by_role("link", name="Hide numbers").click()
    expect(page.locator(".hits sub")).to_have_count(0)

    with page.expect_download() as download:
        page.get_by_role("link", name="Save as HTML").click()
    saved = tmp_path / "feature.html"
    download.value.save_as(saved)
    asked: list[str] = []
    other = context.new_page()
    other.on("request", lambda request: asked.append(request.url))
    other.set_content(saved.read_text("utf-8"))
    row = other.locator(".hits > li").first
    row.locator("p").click()
    expect(row.locator("small")).to_be_visible()
    check(other, "the saved file")
    assert asked == []

    for size, address in ((DESKTOP, "/lists"), (DESKTOP, "/lists/2"), (PHONE, here), (PHONE, "/lists/2/delete")):
        page.set_viewport_size(size)
        page.goto(served + address)
        page.wait_for_load_state("networkidle")
        check(page, f"{address} at {size['width']}")
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="dark")
    page.goto(f"{served}{here}#{before[0]}")
    check(page, "in the dark")


def test_it_all_works_without_a_script(watched: Callable[..., BrowserContext], served: str, data: Path) -> None:
    page = staff(watched(viewport=PHONE, java_script_enabled=False), served, data)
    here = feature_address(data)
    page.goto(served + here)
    first = page.locator(".hits > li").first
    first.locator("a").click()
    expect(first.locator("small")).to_be_visible()
    page.goto(served + here)
    star = page.locator("#star button")
    pressed = star.get_attribute("aria-pressed")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "false" if pressed == "true" else "true")
    page.get_by_label("Note", exact=True).fill("by hand")
    page.get_by_role("button", name="Save the note").click()
    expect(page).to_have_url(re.compile(r"#kept$"))
    page.get_by_label("New list with this feature").fill("By hand")
    page.get_by_role("button", name="Make").click()
    expect(page.get_by_role("button", name="By hand")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("link", name="Show random contexts").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Random contexts")
    page.get_by_role("link", name="Draw others").click()
    expect(page).to_have_url(re.compile(r"seed=1$"))
    page.goto(f"{served}/lists")
    page.get_by_role("link", name="By hand").click()
    page.get_by_label("Name").fill("By both hands")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("By both hands")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator(".shelf > li")).to_have_count(0)
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete the list").click()
    expect(page.get_by_text("By both hands")).to_have_count(0)
