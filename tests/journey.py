"""The whole way in a browser, as a person goes it: browse, rate by keyboard, undo, resume, close, reveal, download."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas
from playwright.sync_api import Page, expect

from tests import rating

CHOICES = {"l": "left", "t": "tie", "r": "right", "n": "neither"}


@dataclass(frozen=True)
class Links:
    """What `dartboard serve --links` prints."""

    browser: str
    invite: str
    admin: str


def printed_links(text: str) -> Links | None:
    """The three addresses in what the server printed so far; None while one is missing."""
    found = {kind: re.search(rf"https?://\S*/{kind}\S*", text) for kind in ("login", "invite", "admin")}
    if not all(found.values()):
        return None
    login, invite, admin = (match.group() for match in found.values() if match)
    return Links(login, invite, admin)


def browse(page: Page, link: str) -> None:
    """Log in, then go from the list of dictionaries to a feature, and to two dictionaries side by side."""
    page.goto(link)
    page.get_by_role("button", name="Log in").click()
    dictionary = page.locator("main a[href^='/dictionaries/']").first
    expect(dictionary).to_be_visible()
    dictionary.click()
    page.locator("main a[href*='/features/']").first.click()
    peaks = page.locator("main .hits b").filter(visible=True)
    expect(peaks.nth(3)).to_be_visible()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Compare").click()
    expect(page).to_have_url(re.compile("/compare"))
    expect(peaks.nth(3)).to_be_visible()


def rate(page: Page, invite: str, pairs: int, practice: int = 0) -> list[list[str]]:
    """Open an invite and answer by keyboard until `pairs` pairs are rated, one answer undone on the way.

    Returns the keys of each final answer, in order; those to the `practice` questions are none of them.
    """
    page.goto(invite)
    assert re.fullmatch(r"https?://[^/]+/rate", page.url), "the invite's token stays in the address"
    page.get_by_role("button", name="I agree").click()
    page.get_by_role("button", name="Start").click()
    for _ in range(practice):
        rating.answer_by_keyboard(page, 0, ["5", "3"])
    if practice:
        expect(page.get_by_role("heading", name="Practice passed")).to_be_focused()
        page.keyboard.press("Enter")
        page.locator("#answer").wait_for()
    given: list[list[str]] = []
    rated, undone = 0, False
    while rated < pairs:
        is_pair = rating.task(page) == "pair"
        rated += is_pair
        given.append(rating.answer_by_keyboard(page, len(given)))
        if is_pair and not undone:
            rating.undo_by_keyboard(page)
            given[-1] = rating.answer_by_keyboard(page, len(given) + 1)
            undone = True
    return given


def close_and_reveal(page: Page, study: str) -> None:
    """End the study on its admin page, which `page` is logged in to see; both steps ask for a confirmation."""
    page.goto(study)
    for step in ("Close", "Reveal"):
        page.locator("main").get_by_role("link", name=step).click()
        page.get_by_role("checkbox").check()
        page.locator("main form").get_by_role("button").click()
        page.wait_for_url(study)
    expect(page.locator("h1")).to_contain_text("revealed")


def download(page: Page, study: str, folder: Path) -> Path:
    page.goto(study)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="ratings.csv").click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def check_ratings(path: Path, given: list[list[str]]) -> None:
    """The downloaded file holds exactly what was given, in order, with its arms."""
    table = pandas.read_csv(path).sort_values("order", kind="stable")
    answers = [answer for _, answer in table.groupby("order", sort=True)]
    assert len(answers) == len(given)
    for answer, keys in zip(answers, given, strict=True):
        values = dict(zip(zip(answer["task"], answer["side"].fillna(""), strict=True), answer["value"], strict=True))
        if len(values) == 1:
            assert list(map(str, values.values())) == keys[:1]
            assert list(map(int, answer["confidence"].dropna())) == list(map(int, keys[1:]))
        else:
            left, right, choice = keys
            assert values[("pair-score", "left")] == left
            assert values[("pair-score", "right")] == right
            (chosen,) = (value for (task, _), value in values.items() if task == "pair-choice")
            assert chosen == CHOICES[choice]
    assert table["arm"].notna().all()
    assert not table["staff"].any()
