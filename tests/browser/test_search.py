"""Search and the API's pages in a real Chromium: from the box in the masthead to a feature and back; without JavaScript; by axe."""

import re
from collections.abc import Callable

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

RESULTS = ".result-head a"


def test_a_reader_searches_narrows_and_comes_back(page: Page, server: str) -> None:
    page.goto(server)
    page.get_by_label("Search features").fill("the")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/search\?q=the$"))
    expect(page.locator(".results mark").first).to_be_visible()
    page.evaluate("window.sameDocument = true")

    page.get_by_role("link", name=re.compile("^All ")).first.click()
    expect(page.get_by_text(re.compile("^Page 1 of"))).to_be_visible()
    first = page.locator(RESULTS).first.inner_text()
    page.locator("#step-j").click()
    expect(page).to_have_url(re.compile(r"page=2$"))
    expect(page.locator(RESULTS).first).not_to_have_text(first)
    assert page.evaluate("window.sameDocument"), "results were fetched by loading the page anew"

    page.get_by_label("In", exact=True).select_option("token")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile("by=token"))
    name = page.locator(RESULTS).first.inner_text()
    page.locator(RESULTS).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    page.go_back()
    expect(page.locator(RESULTS).first).to_have_text(name)


def test_search_without_javascript(watched: Callable[..., BrowserContext], server: str) -> None:
    page = watched(java_script_enabled=False).new_page()
    page.goto(server)
    page.get_by_label("Search features").fill("the -of")
    page.get_by_label("Search features").press("Enter")
    expect(page.get_by_role("status")).to_contain_text(re.compile("contexts? "))
    page.get_by_role("link", name=re.compile("^All ")).first.click()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text(re.compile("^Page 2 of"))).to_be_visible()
    page.goto(f"{server}/api")
    expect(page.get_by_role("heading", name="GET /api/search")).to_be_visible()


def test_the_viewer_tries_a_call_within_the_content_policy(page: Page, server: str) -> None:
    page.goto(f"{server}/api/docs/try#/features/list_dictionaries_api_dictionaries_get")
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table td.response-col_status:not(.col_header)")).to_contain_text("200")


def test_the_pages_are_accessible_and_fit(watched: Callable[..., BrowserContext], server: str) -> None:
    for width, scheme in ((1280, "light"), (360, "dark")):
        page = watched(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
        for address in ("/search", "/search?q=the", "/search?q=a&by=output", "/api/docs"):
            page.goto(server + address)
            page.wait_for_load_state("networkidle")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{address} is {wide} pixels too wide at {width}"
            report = Axe().run(page)
            assert not report.response["violations"], f"{address}:\n{report.generate_report()}"
