"""What a reader makes of the pages, for docs.screenshots: a text that the model reads, stars, lists and notes."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from playwright.sync_api import TimeoutError

from app.browse.text_code import text_url

if TYPE_CHECKING:
    from docs.screenshots import Photographer

TEXT = (
    "Typhoon Nina struck Taiwan on 3 August and crossed the strait as a tropical storm. Heavy rain flooded rice fields, sugar "
    "plantations and banana crops; in one county the cyclone destroyed four hundred homes. The storm weakened over land, and its "
    "remnants brought rain to the coast for two more days."
)
CHOSEN = "?from=18&to=19"  # “tropical storm”, by the tokenizer of the demo's model
LOADED = 60_000  # milliseconds within which the worker has loaded the model and read the text, on a quiet machine
TRIES = 5
LIST = "To look at again"
NOTES = (
    "Storms, in all its top contexts? Look at the lower fifths, too.",
    "Fires on the same word as the trained one above, and was never trained.",
)


def reader_pages(camera: "Photographer", cookies: Any, dictionary: str, other: str) -> None:
    """`other`: a dictionary whose features are on the list, too."""
    context = camera.browser.new_context(storage_state=cookies)
    page = context.new_page()
    for _ in range(TRIES):  # a page gives up sooner than a busy machine
        with suppress(TimeoutError):
            page.goto(camera.base + text_url(TEXT), timeout=LOADED)
            page.locator("a.t").first.wait_for(timeout=LOADED)
            break
    for name in (dictionary, other):
        page.goto(f"{camera.base}/search?q=storm&dictionary={name}")
        found = [link.get_attribute("href") for link in page.locator(".result-head a").all()[:2]]
        for number, address in enumerate(found):
            page.goto(f"{camera.base}{address}")
            page.get_by_role("button", name="Star").click()
            page.locator("#star [aria-pressed=true]").wait_for()
            if number == 0:
                page.get_by_label("Note", exact=True).fill(NOTES[name == other])
                page.get_by_role("button", name="Save the note").click()
                page.locator("#kept").get_by_text("saved").wait_for()
            if page.get_by_role("button", name=LIST).count():
                page.get_by_role("button", name=LIST).click()
            else:
                page.get_by_label("New list with this feature").fill(LIST)
                page.get_by_role("button", name="Make").click()
            page.locator(".switch-list[aria-pressed=true]").wait_for()
    page.goto(f"{camera.base}/lists")
    address = page.get_by_role("link", name=LIST).get_attribute("href")
    context.close()
    assert address is not None
    camera.take("text", text_url(TEXT) + CHOSEN, cookies)
    camera.take("lists", "/lists", cookies)
    camera.take("list", address, cookies)
