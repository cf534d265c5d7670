"""A rater's hands: answer screens by keyboard alone, as the pages' own key list says."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

CHOICE_KEYS = "ltrn"  # left, tie, right, neither


def task(page: Page) -> str | None:
    """The task of the screen shown: `page`, `pair`, `intruder` or `guess`; None where no question is left."""
    answer = page.locator("#answer")
    return answer.locator("input[name=task]").get_attribute("value") if answer.count() else None


def item(page: Page) -> str | None:
    """The address that the shown screen's answer goes to: one a rater and item."""
    answer = page.locator("#answer")
    return answer.get_attribute("action") if answer.count() else None


def keys_for(page: Page, number: int) -> list[str]:
    """Keys of one complete answer, the words aside; another for each number, so that all scores and choices occur."""
    score = str(number % 5 + 1)
    match task(page):
        case "pair":
            return [score, str((number + 2) % 5 + 1), CHOICE_KEYS[number % len(CHOICE_KEYS)]]
        case "guess":
            return [str(number % page.locator("#answer [name=guess]").count() + 1), score]
        case "page" if page.locator("#answer [name=confidence]").count():
            return [score, str((number + 1) % 5 + 1)]
        case _:
            return [score]


def write_by_keyboard(page: Page, words: str) -> None:
    """Fill in the text field where the screen has one, and go on to the next question."""
    if page.locator("#answer textarea").count():
        page.keyboard.press("e")
        page.keyboard.press("Control+a")
        page.keyboard.type(words)
        page.keyboard.press("Enter")


@contextmanager
def another_screen(page: Page) -> Iterator[None]:
    """Wait, after what is done inside, until another screen is there, or the same question once more."""
    shown, revision = item(page), page.locator("#answer input[name=revision]").get_attribute("value")
    yield
    page.locator(f'#answer[action="{shown}"] input[name=revision][value="{revision}"]').wait_for(state="detached")
    page.locator("#screen").wait_for()


def answer_by_keyboard(page: Page, number: int, keys: list[str] | None = None) -> list[str]:
    """Answer the screen shown and wait until another one is there; returns the keys pressed before Enter."""
    page.locator("html.js #answer").wait_for()  # keys work once the script has run
    keys = keys or keys_for(page, number)
    with another_screen(page):
        write_by_keyboard(page, f"pattern {number}")
        for key in [*keys, "Enter"]:
            page.keyboard.press(key)
    return keys


def undo_by_keyboard(page: Page) -> None:
    """Take the last answer back and wait until its screen is there again."""
    shown = item(page)
    page.keyboard.press("u")
    if shown:
        page.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    page.locator("#answer").wait_for()
