"""Every control of every page for readers is pressed once: with JavaScript and without, on a desktop and on a phone.

All that folds is unfolded; links are followed, forms filled and sent, every choice of a list is chosen. Nothing may answer with an
error, break the content policy, or leave something else than a page, and no route of the pages may be left out. Controls that are
alike, as rows' links are, count as one.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import BrowserContext, Locator, Page, Request, Response
from starlette.routing import Route

from app.api_docs import router as api_docs
from app.browse import router as browse
from app.browse.features import ROUTES
from app.browse.search import WAYS
from app.browse.text_code import text_url
from app.store.features import FeatureFilter, FeatureStore
from tests.browser.test_feature import staff
from tests.browser.test_text import TEXT, reading_server
from tests.conftest import copy_store
from tests.test_sessions import all_routes

CONTROLS = "a[href], button, summary, select, input:not([type=hidden]), textarea"
SIZES = {"desktop": {"width": 1280, "height": 860}, "phone": {"width": 360, "height": 740}}
PATIENCE = 20  # seconds
# What a control is like: the same on all pages, whichever feature, page or token it is about.
ALIKE = """
(found) => found.map((one) => {
  const link = one.getAttribute("href") ?? "", form = one.form?.getAttribute("action") ?? "";
  const about = [one.tagName, one.type ?? "", one.name ?? "", one.className, form, link || one.value || ""].join(" ");
  return {
    alike: about.replace(/[0-9]+/g, "0").replace(/text\\/[^ ?]+/, "text"),
    words: one.textContent.trim().slice(0, 40),
    shown: one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.offsetWidth * one.offsetHeight > 0,
    order: one.tagName === "BUTTON" ? 1 : 0, // last: a button may change the page
  };
})
"""
FILL = """
(form) => {
  for (const field of form.querySelectorAll("input:not([type=hidden]), textarea")) {
    if (field.value || field.disabled) continue;
    const words = field.required ? `list ${Math.random()}` : "";
    field.value = field.type === "number" ? field.min || "1" : field.pattern ? "topk-sae:1" : words;
  }
}
"""
UNFOLD = "() => { for (const one of document.querySelectorAll('details')) one.open = true; }"
KEEP = "() => { window.kept = document.body.innerHTML; }"
KEPT = "() => window.kept === document.body.innerHTML"
# After two frames what comes into view has asked for what it lacks; htmx marks what it waits for, and what it puts in place.
BUSY = """
() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
  done(document.querySelectorAll(".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added").length > 0))))
"""


@pytest.fixture
def data(small_store: Path, tmp_path: Path) -> Path:
    return copy_store(small_store, tmp_path / "data")


@pytest.fixture
def served(data: Path) -> Iterator[str]:
    with reading_server(data) as base:
        yield base


@dataclass
class Presser:
    """Presses what no page before had; `failed`: what came of it where something did; `asked`: method and path of all requests."""

    page: Page
    base: str
    script: bool
    seen: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    asked: set[tuple[str, str]] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)
    under_way: set[Request] = field(default_factory=set)
    here: str = ""

    def __post_init__(self) -> None:
        self.page.on("request", self.begun)
        self.page.on("requestfinished", self.ended)
        self.page.on("requestfailed", self.ended)
        self.page.on("response", self.note)
        self.page.on("dialog", lambda dialog: dialog.accept())

    def begun(self, request: Request) -> None:
        self.under_way.add(request)
        self.asked.add((request.method, self.path(request.url)))

    def path(self, url: str) -> str:
        return url.removeprefix(self.base).partition("?")[0].partition("#")[0]

    def ended(self, request: Request) -> None:
        self.under_way.discard(request)

    def note(self, response: Response) -> None:
        if response.status >= 400:
            self.answers.append(f"{response.status} {response.request.method} {response.url.removeprefix(self.base)}")

    def press_all(self, address: str) -> None:
        self.answers.clear()
        try:
            self.open(address)
        except Exception as error:  # noqa: BLE001 - all of them are told at the end
            self.failed.append(f"{address}: {str(error).splitlines()[0]}")
        found = self.page.locator(CONTROLS).evaluate_all(ALIKE)
        for one in sorted(found, key=lambda one: one["order"]):
            if not one["shown"] or one["alike"] in self.seen:
                continue
            self.seen.add(one["alike"])
            self.answers.clear()
            what = f"{address}: {one['alike']} “{one['words']}”"
            try:
                self.press(address, one["alike"])
            except Exception as error:  # noqa: BLE001 - all of them are told at the end
                self.failed.append(f"{what}: {str(error).splitlines()[0]}")
                self.here = ""
            self.failed += [f"{what}: {answer}" for answer in self.answers]

    def open(self, address: str) -> None:
        """Open a page and all that folds on it, unless it is open and as it was."""
        if self.here == address and self.page.url == self.base + address and self.page.evaluate(KEPT):
            return
        self.here = address
        self.page.goto(self.base + address)
        self.page.evaluate(UNFOLD)
        self.settle()
        self.page.evaluate(KEEP)

    def control(self, address: str, alike: str) -> Locator:
        self.open(address)
        controls = self.page.locator(CONTROLS)
        found = controls.evaluate_all(ALIKE)
        return controls.nth(next(place for place, one in enumerate(found) if one["shown"] and one["alike"] == alike))

    def press(self, address: str, alike: str) -> None:
        control = self.control(address, alike)
        tag = control.evaluate("one => one.tagName")
        if tag == "SELECT":
            for choice in range(control.locator("option").count()):
                control = self.control(address, alike)
                control.select_option(index=choice)
                self.send(control)
        elif tag == "SUMMARY":
            for unfolded in (False, True):
                control.click()
                assert control.evaluate("one => one.parentElement.open") == unfolded
        elif tag in {"INPUT", "TEXTAREA"}:
            self.send(control)
        elif control.get_attribute("download") is not None:
            with self.page.expect_download() as download:
                control.click()
            assert download.value.path().stat().st_size > 0
            self.asked.add(("GET", self.path(download.value.url)))  # of which a page's events say nothing
        else:
            if tag == "BUTTON" and control.evaluate("one => one.form !== null"):
                control.locator("xpath=ancestor::form").evaluate(FILL)
            if "skip" in (control.get_attribute("class") or ""):  # out of sight until the focus is there
                control.press("Enter")
            else:
                control.click()
            self.settle()

    def make_list(self, feature: str, name: str) -> str:
        """Make a list with a feature on the feature's page; returns the list's address."""
        self.here = ""
        self.page.goto(self.base + feature)
        self.page.get_by_label("New list with this feature").fill(name)
        self.page.get_by_role("button", name="Make").click()
        self.settle()
        self.page.goto(f"{self.base}/lists")
        address = self.page.get_by_role("link", name=name, exact=True).get_attribute("href")
        assert address is not None
        return address

    def send(self, control: Locator) -> None:
        form = control.locator("xpath=ancestor::form")
        form.evaluate(FILL)
        if form.locator("button:not([type=button])").count():
            form.locator("button:not([type=button])").first.click()
        else:
            control.fill("the")
            control.press("Enter")
        self.settle()

    def settle(self) -> None:
        """Until the page has loaded, nothing that it asked for is under way, and htmx has put in place what came."""
        give_up = time.monotonic() + PATIENCE
        busy = True
        while busy or self.under_way:
            assert time.monotonic() < give_up, f"still waiting for {[one.url for one in self.under_way]}"
            self.page.wait_for_load_state()
            busy = self.page.evaluate(BUSY if self.script else "false")
        if self.page.url.startswith(self.base) and self.page.evaluate("document.contentType") == "text/html":
            assert self.page.locator("main h1:visible").count() == 1, self.page.url


def addresses(data: Path) -> tuple[str, list[str]]:
    """A feature that fires often and has one before and one after it; pages that show every kind of thing but lists."""
    store = FeatureStore(data / "features.sqlite")
    dictionary = next(one for one in store.dictionaries() if one.trained)
    names = [one.name for one in store.dictionaries()]
    live = store.features(dictionary.id, where=FeatureFilter(state="live"), sort="frequency", descending=True, limit=9)
    never = store.features(dictionary.id, where=FeatureFilter(state="never"), limit=1)
    store.close()
    here = f"/dictionaries/{dictionary.name}"
    feature = next(f"{here}/features/{one.index}" for one in live if 0 < one.index < dictionary.m - 1)
    return feature, [
        "/",
        here,
        f"{here}?state=live&min_entropy=1&page=2",
        f"{here}?token=no+such+token",
        feature,
        f"{feature}?numbers=yes",
        f"{feature}/groups/random",
        *(f"{here}/features/{one.index}" for one in never),
        "/compare",
        f"/compare?{'&'.join(f'd={name}' for name in names)}&by=nearest&at=1",
        f"/compare?d={names[0]}&d={dictionary.name}&by=random&seed=1&at=1",
        f"/compare/lacking?d={names[0]}&d={dictionary.name}",
        "/text",
        f"{text_url(TEXT)}?from=2&to=4&feature={dictionary.name}:1",
        *(f"/search?q=the&by={way}" for way in WAYS if way != "meaning"),
        f"/search?q=the&dictionary={dictionary.name}&page=2",
        "/api",
        "/api/docs/try",
        f"{here}/features/999999",
    ]


def unasked(asked: set[tuple[str, str]]) -> list[str]:
    """Routes of the pages for readers that none of these requests went to."""
    routes = [
        one for one in all_routes([*browse.routes, *api_docs.routes, *ROUTES]) if isinstance(one, APIRoute | Route)
    ]
    return [
        f"{method} {route.path}"
        for route in routes
        for method in (route.methods or set()) - {"HEAD"}
        if not any(method == how and route.path_regex.fullmatch(path) for how, path in asked)
    ]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("size", SIZES)
def test_every_control_of_every_page_does_something_sound(
    watched: Callable[..., BrowserContext], served: str, data: Path, size: str, script: bool
) -> None:
    context = watched(
        viewport=SIZES[size],
        java_script_enabled=script,
        accept_downloads=True,
        permissions=["clipboard-read", "clipboard-write"],
    )
    presser = Presser(staff(context, served, data), served, script)
    feature, some = addresses(data)
    for address in some:
        presser.press_all(address)
    kept = presser.make_list(feature, "Kept")
    for address in ("/lists", kept, f"{kept}/delete"):
        presser.press_all(address)
    assert len(presser.seen) > 80
    assert not presser.failed, "\n".join(presser.failed)
    assert not unasked(presser.asked)
