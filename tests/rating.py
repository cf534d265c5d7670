"""A rater's hands: answer screens by keyboard alone, as the pages' own key list says."""

from playwright.sync_api import Page

CHOICE_KEYS = "ltrn"  # left, tie, right, neither


def task(page: Page) -> str | None:
    """`page` or `pair`, the task of the screen shown; None where no question is left."""
    answer = page.locator("#answer")
    return answer.locator("input[name=task]").get_attribute("value") if answer.count() else None


def item(page: Page) -> str | None:
    """The address that the shown screen's answer goes to: one a rater and item."""
    answer = page.locator("#answer")
    return answer.get_attribute("action") if answer.count() else None


def keys_for(task_name: str, number: int) -> list[str]:
    """Keys of one complete answer; another for each number, so that all scores and choices occur."""
    score = str(number % 5 + 1)
    if task_name == "page":
        return [score]
    return [score, str((number + 2) % 5 + 1), CHOICE_KEYS[number % len(CHOICE_KEYS)]]


def answer_by_keyboard(page: Page, number: int) -> list[str]:
    """Answer the screen shown and wait until another one is there; returns the keys pressed before Enter."""
    page.locator("html.js #screen").wait_for()  # keys work once the script has run
    name, shown = task(page), item(page)
    assert name is not None, "there is no question on this screen"
    keys = keys_for(name, number)
    for key in [*keys, "Enter"]:
        page.keyboard.press(key)
    page.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    page.locator("#screen").wait_for()
    return keys


def undo_by_keyboard(page: Page) -> None:
    """Take the last answer back and wait until its screen is there again."""
    shown = item(page)
    page.keyboard.press("u")
    if shown:
        page.locator(f'#answer[action="{shown}"]').wait_for(state="detached")
    page.locator("#answer").wait_for()
