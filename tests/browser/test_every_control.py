"""Every control of every page for readers is pressed once: with JavaScript and without, on a desktop and on a phone.

Links are followed, forms filled and sent, every choice of a list is chosen, what folds is unfolded. Nothing may answer with an
error, break the content policy, or leave something else than a page. Controls that are alike, as rows' links are, count as one.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Response

from app.browse.search import WAYS
from app.browse.text_code import text_url
from app.store.features import FeatureFilter, FeatureStore
from tests.browser.test_feature import staff
from tests.browser.test_text import TEXT, reading_server
from tests.conftest import copy_store

CONTROLS = "a[href], button, summary, select, input:not([type=hidden]), textarea"
SIZES = {"desktop": {"width": 1280, "height": 860}, "phone": {"width": 360, "height": 740}}
LIST = "/lists/2"  # the first after the stars
# What a control is like: the same on all pages, whichever feature, page or token it is about.
ALIKE = """
(found) => found.map((one) => {
  const link = one.getAttribute("href") ?? "", form = one.form?.getAttribute("action") ?? "";
  const about = [one.tagName, one.type ?? "", one.name ?? "", one.className, form, link || one.value || ""].join(" ");
  return {
    alike: about.replace(/[0-9]+/g, "0").replace(/text\\/[^ ?]+/, "text"),
    words: one.textContent.trim().slice(0, 40),
    shown: one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.getClientRects().length > 0,
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


@pytest.fixture(scope="module")
def data(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_store(small_store, tmp_path_factory.mktemp("controls") / "data")


@pytest.fixture(scope="module")
def served(data: Path) -> Iterator[str]:
    with reading_server(data) as base:
        yield base


@dataclass
class Presser:
    """Presses what no page before had; `failed`: what came of it where something did."""

    page: Page
    base: str
    seen: set[str]
    failed: list[str]

    def __post_init__(self) -> None:
        self.answers: list[str] = []
        self.page.on("response", self.note)
        self.page.on("dialog", lambda dialog: dialog.accept())

    def note(self, response: Response) -> None:
        if response.status >= 400:
            self.answers.append(f"{response.status} {response.request.method} {response.url.removeprefix(self.base)}")

    def open(self, address: str) -> Locator:
        self.page.goto(self.base + address)
        return self.page.locator(CONTROLS)

    def press_all(self, address: str) -> None:
        found = self.open(address).evaluate_all(ALIKE)
        for number, one in sorted(enumerate(found), key=lambda item: item[1]["order"]):
            if not one["shown"] or one["alike"] in self.seen:
                continue
            self.seen.add(one["alike"])
            self.answers.clear()
            what = f"{address}: {one['alike']} “{one['words']}”"
            try:
                self.press(address, number)
            except Exception as error:  # noqa: BLE001 - all of them are told at the end
                self.failed.append(f"{what}: {str(error).splitlines()[0]}")
            self.failed += [f"{what}: {answer}" for answer in self.answers]

    def press(self, address: str, number: int) -> None:
        control = self.open(address).nth(number)
        tag = control.evaluate("one => one.tagName")
        if tag == "SELECT":
            for choice in range(control.locator("option").count()):
                control = self.open(address).nth(number)
                control.select_option(index=choice)
                self.send(control)
            return
        if tag == "SUMMARY":
            was = control.evaluate("one => one.parentElement.open")
            control.click()
            assert control.evaluate("one => one.parentElement.open") != was
            return
        if tag in {"INPUT", "TEXTAREA"}:
            self.send(control)
            return
        if control.get_attribute("download") is not None:
            with self.page.expect_download():
                control.click()
            return
        if tag == "BUTTON" and control.evaluate("one => one.form !== null"):
            control.locator("xpath=ancestor::form").evaluate(FILL)
        if "skip" in (control.get_attribute("class") or ""):  # out of sight until the focus is there
            control.press("Enter")
        else:
            control.click()
        self.settle()

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
        self.page.wait_for_load_state("networkidle")
        if self.page.url.startswith(self.base) and self.page.evaluate("document.contentType") == "text/html":
            assert self.page.locator("main h1").count() == 1, self.page.url


def addresses(data: Path) -> list[str]:
    store = FeatureStore(data / "features.sqlite")
    dictionary = next(one for one in store.dictionaries() if one.trained)
    names = [one.name for one in store.dictionaries()]
    live = store.features(dictionary.id, where=FeatureFilter(state="live"), sort="frequency", descending=True, limit=9)
    never = store.features(dictionary.id, where=FeatureFilter(state="never"), limit=1)
    store.close()
    here = f"/dictionaries/{dictionary.name}"
    feature = next(f"{here}/features/{one.index}" for one in live if 0 < one.index < dictionary.m - 1)
    return [
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
        "/lists",
        LIST,
        f"{LIST}/delete",
        f"{here}/features/999999",
    ]


@pytest.mark.slow
@pytest.mark.timeout(3600)
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
    page = staff(context, served, data)
    feature = next(one for one in addresses(data) if re.search(r"/features/\d+$", one))
    page.goto(served + feature)
    page.get_by_role("button", name="Star").click()
    page.goto(served + feature)
    page.get_by_label("New list with this feature").fill("Kept")
    page.get_by_role("button", name="Make").click()
    page.wait_for_load_state("networkidle")
    presser = Presser(page, served, set(), [])
    for address in addresses(data):
        presser.press_all(address)
    assert len(presser.seen) > 80
    assert not presser.failed, "\n".join(presser.failed)
