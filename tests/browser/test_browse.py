"""The browse pages in a real Chromium: with htmx, with keys alone, without JavaScript, on a phone, in the dark, by axe."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from app.store.features import Dictionary, Feature, FeatureFilter, FeatureStore

WIDTHS = {"phone": {"width": 360, "height": 740}, "desktop": {"width": 1280, "height": 860}}
SHIFTS = """
() => new Promise((done) => {
  let total = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => { total += entry.value; }))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(total), 300);
})
"""


@pytest.fixture(scope="module")
def store(small_store: Path) -> Iterator[FeatureStore]:
    store = FeatureStore(small_store / "features.sqlite")
    yield store
    store.close()


@pytest.fixture(scope="module")
def dictionary(store: FeatureStore) -> Dictionary:
    return next(dictionary for dictionary in store.dictionaries() if dictionary.trained)


@pytest.fixture(scope="module")
def feature(store: FeatureStore, dictionary: Dictionary) -> Feature:
    """A live feature with one before and one after it."""
    live = store.features(dictionary.id, where=FeatureFilter(state="live"))
    return next(feature for feature in live if 0 < feature.index < dictionary.m - 1)


@pytest.fixture(scope="module")
def addresses(store: FeatureStore, dictionary: Dictionary, feature: Feature) -> dict[str, str]:
    never = store.features(dictionary.id, where=FeatureFilter(state="never"), limit=1)
    pages = {
        "home": "/",
        "dictionary": f"/dictionaries/{dictionary.name}",
        "none match": f"/dictionaries/{dictionary.name}?token=no+such+token",
        "feature": f"/dictionaries/{dictionary.name}/features/{feature.index}",
        "group": f"/dictionaries/{dictionary.name}/features/{feature.index}/groups/q5",
        "compare": "/compare",
        "compare at random": "/compare?by=random&seed=1&at=2",
        "compare three": "/compare?" + "&".join(f"d={one.name}" for one in store.dictionaries()) + "&by=nearest&at=2",
        "what the others lack": f"/compare/lacking?d={dictionary.name}",
        "bounds": f"/dictionaries/{dictionary.name}?min_entropy=1&max_max=1e6&state=live",
        "not found": f"/dictionaries/{dictionary.name}/features/999999",
    }
    return pages | {f"never {f.index}": f"/dictionaries/{dictionary.name}/features/{f.index}" for f in never}


def indices(page: Page) -> list[str]:
    return page.locator("#features tbody td:first-child").all_inner_texts()


def test_a_reader_goes_from_home_to_a_feature_and_back(page: Page, server: str, dictionary: Dictionary) -> None:
    page.goto(server)
    page.get_by_role("link", name=dictionary.title, exact=True).click()
    expect(page).to_have_url(f"{server}/dictionaries/{dictionary.name}")
    first = page.locator("#features tbody a").first
    index = first.inner_text()
    first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Feature {index}")
    page.go_back()
    expect(page.locator("#features tbody a").first).to_have_text(index)


def test_sorting_filtering_and_paging_replace_the_list_and_the_address(
    page: Page, server: str, store: FeatureStore, dictionary: Dictionary
) -> None:
    page.goto(f"{server}/dictionaries/{dictionary.name}")
    page.evaluate("window.sameDocument = true")
    before = indices(page)

    page.locator("#sort-max").click()
    expect(page).to_have_url(re.compile(r"\?sort=max$"))
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Maximum")
    strongest = store.features(dictionary.id, sort="max", descending=True, limit=51)
    assert indices(page) == [str(feature.index) for feature in strongest[:50]]

    page.locator("#step-j").click()
    expect(page.get_by_text("Page 2 of")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?sort=max&page=2$"))
    assert indices(page)[0] == str(strongest[50].index)

    token = next(feature.top_token.strip() for feature in strongest if feature.top_token.strip())
    page.get_by_label("Peak token contains").fill(token)
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("link", name="Clear")).to_be_visible()
    assert all(
        token.lower() in text.lower() for text in page.locator("#features tbody td:nth-child(2)").all_inner_texts()
    )
    assert "state=" not in page.url

    assert page.evaluate("window.sameDocument"), "a list was fetched by loading the page anew"
    for address, words in [("?sort=max&page=2", "Page 2 of"), ("?sort=max", "↓ Maximum"), ("", "↓ Frequency")]:
        page.evaluate("history.back()")
        expect(page).to_have_url(f"{server}/dictionaries/{dictionary.name}{address}")
        expect(page.locator("#features")).to_contain_text(words)
    assert indices(page) == before


def test_a_filter_that_makes_no_sense_leads_to_the_page_that_says_so(
    page: Page, server: str, dictionary: Dictionary
) -> None:
    page.goto(f"{server}/dictionaries/{dictionary.name}")
    page.get_by_text("Bounds").click()
    page.get_by_label("Entropy from").fill("much")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("alert")).to_contain_text("“min_entropy” in the address is a number")
    page.go_back()
    expect(page).to_have_url(f"{server}/dictionaries/{dictionary.name}")
    assert len(indices(page)) == 50


def test_a_bar_leads_to_its_features_and_a_chip_drops_the_filter(
    page: Page, server: str, dictionary: Dictionary
) -> None:
    page.goto(f"{server}/dictionaries/{dictionary.name}")
    chart = page.locator(".chart", has_text="Maximum, logarithmic")
    small = chart.locator("svg").bounding_box()
    chart.get_by_text("Larger, with numbers").click()
    large = chart.locator("svg").bounding_box()
    assert small is not None
    assert large is not None
    assert large["width"] > 2 * small["width"] < 2 * large["width"]
    number = chart.locator("td a").first
    count = number.inner_text()
    number.click()
    expect(page.get_by_role("status")).to_contain_text(f"of {count.split()[0]}")
    expect(page.locator(".chip")).to_have_count(2)
    page.locator(".chip").first.click()
    expect(page.locator(".chip")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?max_max=[\d.]+$"))
    page.keyboard.press("Escape")
    expect(page.locator(".features .thumb .peak").first).to_be_visible()


def test_focus_stays_on_the_column_that_was_sorted(page: Page, server: str, dictionary: Dictionary) -> None:
    page.goto(f"{server}/dictionaries/{dictionary.name}")
    page.locator("#sort-entropy").focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Entropy")
    expect(page.locator("#sort-entropy")).to_be_focused()


def test_keys_step_through_features_and_leave_text_fields_alone(
    page: Page, server: str, dictionary: Dictionary, feature: Feature
) -> None:
    base = f"{server}/dictionaries/{dictionary.name}"
    page.goto(f"{base}/features/{feature.index}")
    page.keyboard.press("j")
    expect(page).to_have_url(f"{base}/features/{feature.index + 1}")
    page.keyboard.press("k")
    expect(page).to_have_url(f"{base}/features/{feature.index}")
    page.keyboard.press("Control+j")
    page.keyboard.press("u")
    expect(page).to_have_url(base)
    page.keyboard.press("/")
    expect(page.get_by_label("Peak token contains")).to_be_focused()
    page.keyboard.type("jr")
    expect(page.get_by_label("Peak token contains")).to_have_value("jr")
    expect(page).to_have_url(base)
    page.locator("h1").click()
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile(r"/features/\d+$"))


def test_the_fifths_load_when_the_reader_gets_to_them(page: Page, server: str, addresses: dict[str, str]) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/groups/q" in request.url else None)
    page.goto(server + addresses["feature"])
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if url.endswith("q5")]
    for group in ("q1", "q2", "q3", "q4", "q5"):
        section = page.locator(f"section[aria-labelledby={group}]")
        section.scroll_into_view_if_needed()
        expect(section.locator(".group-rows > .hits, .group-rows > .quiet")).to_be_visible()
    assert sorted(url[-2:] for url in asked) == ["q1", "q2", "q3", "q4", "q5"]


def test_every_row_has_its_peak_at_the_same_place(page: Page, server: str, addresses: dict[str, str]) -> None:
    for size in WIDTHS.values():
        page.set_viewport_size(size)
        for name, peak in (("feature", ".hits b"), ("dictionary", ".thumb .peak")):
            page.goto(server + addresses[name])
            peaks = page.locator(peak)
            lefts = {round(box["x"]) for n in range(peaks.count()) if (box := peaks.nth(n).bounding_box())}
            assert len(lefts) == 1, name
            assert 0 < lefts.pop() < size["width"] * 0.6


def test_pairs_are_stepped_through_in_place(page: Page, server: str) -> None:
    page.goto(f"{server}/compare")
    page.evaluate("window.sameDocument = true")
    before = page.locator(".side h2").all_inner_texts()
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(r"at=1$"))
    assert page.locator(".side h2").all_inner_texts() != before
    page.get_by_label("Matched by").select_option("random")
    page.get_by_label("Random seed").fill("5")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("status")).to_contain_text("Draw 1 with seed 5")
    page.get_by_label("Third").select_option(index=2)
    page.get_by_label("Matched by").select_option("nearest")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".side")).to_have_count(3)
    expect(page.get_by_text("Cosine", exact=True)).to_have_count(2)
    page.get_by_role("heading", name="What each has").scroll_into_view_if_needed()
    expect(page.locator(".lone").first).to_be_visible()
    assert page.evaluate("window.sameDocument")
    assert len(re.findall(r"[?&]d=", page.url)) == 3, "what loads below has no address of its own"
    sides = page.locator(".side h2").all_inner_texts()
    page.reload()
    assert page.locator(".side h2").all_inner_texts() == sides
    page.get_by_role("link", name="remove").first.click()
    expect(page.locator(".sides-2 > .side h2")).to_have_count(2)


def test_everything_can_be_read_without_javascript(
    watched: Callable[..., BrowserContext], server: str, dictionary: Dictionary, addresses: dict[str, str]
) -> None:
    page = watched(java_script_enabled=False).new_page()
    page.goto(f"{server}/dictionaries/{dictionary.name}")
    page.locator("#sort-max").click()
    expect(page).to_have_url(re.compile(r"\?sort=max#features$"))
    page.get_by_label("State").select_option("live")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile(r"\?sort=max&state=live(#features)?$"))
    page.goto(server + addresses["feature"])
    page.get_by_role("link", name="Show contexts of the weakest fifth").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Weakest fifth")
    page.goto(f"{server}/compare")
    page.get_by_label("Matched by").select_option("frequency")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("status")).to_contain_text("fires about as often")


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("desktop", "light"),
        ("phone", "dark"),
        pytest.param("desktop", "dark", marks=pytest.mark.slow),
        pytest.param("phone", "light", marks=pytest.mark.slow),
    ],
)
def test_pages_are_accessible_and_fit(
    watched: Callable[..., BrowserContext], server: str, addresses: dict[str, str], scheme: str, size: str
) -> None:
    page = watched(viewport=WIDTHS[size], color_scheme=scheme).new_page()
    for name, address in addresses.items():
        page.goto(server + address)
        page.wait_for_load_state("networkidle")
        for closed in page.locator("details:not([open]) > summary").all()[:2]:
            closed.click()
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is {wide} pixels wider than a {size}"
        report = Axe().run(page)
        assert not report.response["violations"], f"{name}:\n{report.generate_report()}"


@pytest.mark.parametrize("size", ["phone", pytest.param("desktop", marks=pytest.mark.slow)])
def test_nothing_jumps_while_a_page_loads(
    watched: Callable[..., BrowserContext], server: str, addresses: dict[str, str], size: str
) -> None:
    page = watched(viewport=WIDTHS[size]).new_page()
    for name, address in addresses.items():
        page.goto(server + address)
        page.wait_for_load_state("networkidle")
        assert page.evaluate(SHIFTS) < 0.01, name
