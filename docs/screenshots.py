"""docs/screenshots: every page of a real server, on a desktop, on a phone and in the dark.

    python -m docs.screenshots --data data/demo
    python -m docs.screenshots --data data/demo --pages rater results

The data folder's feature store is copied and the studies are new ones: nothing in the folder is touched. The admin's pages show
the demo's study, a rater's those of docs/pictures.toml, results those of docs/results.toml with simulated raters; a reader's text
is read by the demo's model, with the dictionaries beside the store. What `--pages` leaves out keeps its pictures.
"""

import argparse
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route

from app.store.study import StudyStore
from docs.admin_pictures import admin_pages
from docs.reader_pictures import reader_pages
from tests.rating import answer_by_keyboard, item, keys_for, task, write_by_keyboard
from tests.serving import ROOT, chromium, dartboard, serving
from tests.studies import answer

FOLDER = ROOT / "docs" / "screenshots"
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
VARIANTS: dict[str, dict[str, Any]] = {
    "desktop": DESKTOP,
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "dark": {**DESKTOP, "color_scheme": "dark"},
}
TALLEST = 1600  # pixels; the rest of a longer page is more of the same
STUDY = ROOT / "demo" / "STUDY.toml"
RATED = ROOT / "docs" / "pictures.toml"
SIMULATED = ROOT / "docs" / "results.toml"
PAGES = ("rater", "staff", "admin", "reader", "results")
DICTIONARIES = ("topk-sae", "random-sign")
STARTED = 120  # seconds within which a server answers
COMPUTED = 600_000  # milliseconds within which results are there


class Photographer:
    """Takes each page in every variant, with the cookies of one person."""

    def __init__(self, browser: Browser, base: str, folder: Path) -> None:
        self.browser, self.base, self.folder = browser, base, folder

    def person(self, link: str, press: str | None = None) -> Any:
        """Open a link, press the button it shows where it shows one, and return the cookies that came of it."""
        context = self.browser.new_context()
        page = context.new_page()
        page.goto(link)
        if press:
            page.get_by_role("button", name=press).click()
            page.wait_for_load_state()
        cookies = context.storage_state()
        context.close()
        return cookies

    def take(self, name: str, address: str, cookies: Any = None, then: Callable[[Page], None] | None = None) -> None:
        """Photograph an address, or what `then` makes of its page."""
        for variant, options in VARIANTS.items():
            context = self.browser.new_context(storage_state=cookies, reduced_motion="reduce", **options)
            context.route("**/css/tokens*", wait_for_fonts)
            page = context.new_page()
            page.goto(f"{self.base}{address}", wait_until="networkidle")
            if then:
                then(page)
            self.shoot(page, f"{name}-{variant}")
            context.close()

    def shoot(self, page: Page, name: str) -> None:
        size = page.viewport_size
        assert size is not None
        tall = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(size["height"], min(tall, TALLEST))})
        page.evaluate("document.fonts.ready.then(() => null)")
        page.wait_for_timeout(500)  # what loads when it comes into view
        page.screenshot(path=self.folder / f"{name}.png", animations="disabled")


def wait_for_fonts(route: Route) -> None:
    """The styles, but that a page waits for its fonts: by themselves they do without one that comes late."""
    response = route.fetch()
    route.fulfill(response=response, body=response.text().replace("font-display: optional", "font-display: block"))


def staff_pages(camera: Photographer, cookies: Any, dictionary: str, other: str) -> None:
    feature = f"/dictionaries/{dictionary}/features/{interesting_feature(camera, cookies, dictionary)}"
    camera.take("home", "/", cookies)
    camera.take("dictionary", f"/dictionaries/{dictionary}", cookies)
    camera.take("feature", feature, cookies)
    camera.take("compare", f"/compare?d={other}&d={dictionary}&by=random&at=0&seed=1", cookies)
    camera.take("search", "/search?q=united+states", cookies)
    camera.take("search-output", "/search?q=war&by=output", cookies)
    camera.take("api", "/api/docs", cookies)
    camera.take("error", f"/dictionaries/{dictionary}/features/999999999", cookies)
    camera.take("login-needed", feature)
    camera.take("login", "/login/a-link")


def results_pages(camera: Photographer, cookies: Any, before: str, after: str) -> None:
    """A study's results before the reveal and after it, once they are computed; and the table of all its pages."""
    camera.take("results-before", f"/results/{before}", cookies)
    context = camera.browser.new_context(storage_state=cookies)
    page = context.new_page()
    page.goto(f"{camera.base}/results/{after}")
    page.locator(".headline").wait_for(timeout=COMPUTED)
    context.close()
    camera.take("results", f"/results/{after}", cookies)
    camera.take("results-blinding", f"/results/{after}", cookies, only_below("blinding"))
    camera.take("results-pages", f"/results/{after}/tables/pages", cookies)


def some_ratings(data: Path) -> str:
    """An open study with some ratings in the store of a folder; its name."""
    dartboard("study", "new", RATED, "--if-missing", "--data", data)
    store = StudyStore.open(f"sqlite:///{data}/study.sqlite")
    name = name_in(RATED)
    if store.study(name).state == "open":
        for label, answers in (("Ada", 30), ("Grace", 12)):
            rater = store.add_rater(name, label, "docs")
            for number in range(answers):
                answer(store, rater, number)
    store.dispose()
    return name


def only_below(section: str) -> Callable[[Page], None]:
    """Leaves what is above a section of the results out of the picture."""

    def leave_out(page: Page) -> None:
        page.evaluate(
            """(id) => {
                const heading = document.getElementById(id).closest("section");
                while (heading.previousElementSibling) heading.previousElementSibling.remove();
            }""",
            section,
        )

    return leave_out


def interesting_feature(camera: Photographer, cookies: Any, dictionary: str) -> int:
    """A feature that peaks on several different tokens: something to look at."""
    context = camera.browser.new_context(storage_state=cookies)
    page = context.new_page()
    page.goto(f"{camera.base}/dictionaries/{dictionary}?sort=entropy&order=asc&min_entropy=1.5&state=live")
    address = page.locator(f'a[href^="/dictionaries/{dictionary}/features/"]').first.get_attribute("href")
    context.close()
    assert address is not None
    return int(re.findall(r"/features/(\d+)", address)[0])


def rater_pages(camera: Photographer, cookies: Any, store: StudyStore, study: str) -> None:
    """Every screen of a rater: rates the whole study to get there, closes it, and goes through the round of guesses."""
    context = camera.browser.new_context(storage_state=cookies, **DESKTOP)
    page = context.new_page()
    page.goto(f"{camera.base}/rate")
    camera.take("rate-consent", "/rate", cookies)
    page.get_by_role("button", name="I agree").click()
    page.get_by_role("button", name="Start").wait_for()
    camera.take("rate-instructions", "/rate", cookies)
    page.get_by_role("button", name="Start").click()
    page.locator("#screen").wait_for()
    practice(camera, cookies, page)
    taken = questions(camera, cookies, page, "rate")
    if taken:
        camera.take("rate-done", "/rate", cookies)
    camera.take("rate-withdraw", "/rate/withdraw", cookies)
    store.close(study, "docs")
    camera.take("rate-closed", "/rate", cookies)
    if store.study(study).protocol["guess"]["pages"]:
        store.open_guessing(study, "docs")
        page.reload()
        questions(camera, cookies, page, "rate-fresh")
        camera.take("rate-told", "/rate", cookies)
        page.get_by_role("button", name="Begin to guess").click()
        page.locator("#answer").wait_for()
        camera.take("rate-guess", "/rate", cookies)
    context.close()


def practice(camera: Photographer, cookies: Any, page: Page) -> None:
    """The practice round: the first question, what is said of a wrong answer, and that it was passed."""
    tries = 0
    while (shown := item(page)) is not None and "/practice/" in shown:
        if tries == 0:
            camera.take("rate-practice", "/rate", cookies)
        if tries == 1:
            camera.take("rate-feedback", "/rate", cookies)
        guess = "1" if tries == 0 else "5" if task(page) == "page" else str(tries % 5 + 1)
        answer_by_keyboard(page, tries, [guess, "4"] if page.locator("#answer [name=confidence]").count() else [guess])
        tries += 1
    if tries:
        camera.take("rate-practised", "/rate", cookies)
        page.get_by_role("button", name="Begin").click()
        page.locator("#answer").wait_for()


def questions(camera: Photographer, cookies: Any, page: Page, prefix: str) -> set[str]:
    """Answer until nothing is asked, with a picture of the first question of each task; returns the tasks."""
    taken: set[str] = set()
    number = 0
    while (name := task(page)) is not None:
        if name not in taken and (number or prefix != "rate"):
            taken.add(name)
            camera.take(f"{prefix}-{name}", "/rate", cookies)
            if len(taken) == 1 and prefix == "rate":
                camera.take("rate-skip", "/rate", cookies, open_skip)
                camera.take("rate-unsent", "/rate", cookies, send_without_connection)
        answer_by_keyboard(page, number)
        number += 1
    return taken


def open_skip(page: Page) -> None:
    page.locator("html.js #skip summary").click()


def send_without_connection(page: Page) -> None:
    page.locator("html.js #answer").wait_for()
    page.context.set_offline(True)
    write_by_keyboard(page, "words for motion")
    for key in [*keys_for(page, 3), "Enter"]:
        page.keyboard.press(key)
    page.get_by_role("button", name="Send again").wait_for()


def link(base: str, *command: str | Path) -> str:
    """The link that a command prints, at the server's own address."""
    return base + re.findall(r"https?://[^/\s]+(/(?:login|invite)/\S+)", dartboard(*command))[0]


def name_in(study: Path) -> str:
    return re.findall(r'(?m)^name\s*=\s*"(.+?)"', study.read_text("utf-8"))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "demo", help="folder with a features.sqlite")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the pictures go")
    parser.add_argument("--study", type=Path, default=STUDY, help="study file of the admin's pages")
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=PAGES, help="which pages")
    options = parser.parse_args()
    if not (options.data / "features.sqlite").is_file():
        parser.error(f"there is no feature store in {options.data}; build it with `make demo`")
    reads = "reader" in options.pages
    if reads and not (options.data / "weights").is_dir():
        parser.error(f"there are no dictionaries beside the store in {options.data}; build it with `make demo`")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        data, empty = Path(scratch) / "data", Path(scratch) / "empty"
        data.mkdir()
        empty.mkdir()
        shutil.copy(options.data / "features.sqlite", data)
        if reads:
            shutil.copytree(options.data / "weights", data / "weights")
        with serving(data, *(["--live"] if reads else []), seconds=STARTED) as base:
            camera = Photographer(browser, base, options.out)
            if "rater" in options.pages:
                rated = name_in(RATED)
                dartboard("study", "new", RATED, "--data", data)
                rater = camera.person(link(base, "study", "invite", rated, "--data", data))
                store = StudyStore.open(f"sqlite:///{data}/study.sqlite")
                rater_pages(camera, rater, store, rated)
                store.dispose()
            staff = camera.person(link(base, "login", "--data", data), "Log in")
            if "staff" in options.pages:
                staff_pages(camera, staff, *DICTIONARIES)
            if "admin" in options.pages:
                dartboard("study", "new", options.study, "--data", data)
                text = options.study.read_text("utf-8")
                admin_pages(camera, staff, data, name_in(options.study), text)
            if reads:
                reader_pages(camera, staff, *DICTIONARIES)
            if "results" in options.pages:
                before = some_ratings(data)
                dartboard("study", "simulate", SIMULATED, "--raters", "12", "--data", data)
                results_pages(camera, staff, before, f"simulated-{name_in(SIMULATED)}")
        if "staff" in options.pages:
            with serving(empty, seconds=STARTED) as base:
                Photographer(browser, base, options.out).take("empty", "/")


if __name__ == "__main__":
    main()
