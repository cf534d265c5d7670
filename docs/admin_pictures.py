"""What an admin sees of a study that runs, of a draft, and what a link's page shows: pictures for docs/screenshots."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Page

from app.store.study import StudyStore
from tests.studies import SetClock, any_answer

if TYPE_CHECKING:
    from docs.screenshots import Photographer

RATERS = {"Ada": 70, "Grace": 34, "Mary": 0}  # how many questions each has answered
SCORES = (4, 5, 4, 2)  # given in turn: most of them find the questions with a known answer
MISTAKES = (("[tasks.page]", "[tasks.pages]"), ('control = "', 'kind = "'))


def admin_pages(camera: "Photographer", cookies: Any, data: Path, study: str, draft: str) -> None:
    """The study with some answers and a draft of the next, which is `draft`: sound, checked, then with mistakes."""
    clock = SetClock(datetime.now(UTC) - timedelta(hours=2))
    store = StudyStore.open(f"sqlite:///{data}/study.sqlite", clock=clock)
    some_answers(store, clock, study)
    draft = draft.replace(f'name = "{study}"', 'name = "next"', 1)
    store.new_draft("next", draft, "docs")
    address = f"/admin/studies/{study}"
    camera.take("admin", "/admin", cookies)
    camera.take("study", address, cookies)
    camera.take("study-rater", f"{address}/raters/{store.raters(study)[0].rater.id}", cookies)
    camera.take("study-close", f"{address}/close", cookies)
    camera.take("draft", "/admin/drafts/next", cookies)
    camera.take("draft-check", "/admin/drafts/next/check", cookies)
    for sound, wrong in MISTAKES:
        draft = draft.replace(sound, wrong)
    store.save_draft("next", draft, "docs")
    camera.take("draft-wrong", "/admin/drafts/next", cookies)
    camera.take("study-invite", address, cookies, add_rater)
    camera.take("study-link", address, cookies, make_link)
    camera.take("rate-join", f"/join/{store.make_link(study, 'open', 20, 30, 'docs')}")
    store.dispose()


def some_answers(store: StudyStore, clock: SetClock, study: str) -> None:
    """One rater who has come far, one who has begun, one who has not come; and a link for a crowd."""
    for label, answers in RATERS.items():
        rater = store.add_rater(study, label, "docs")
        store.invite(study, rater.id, 30, "docs")
        for number in range(answers):
            screen = store.screen(rater)
            clock.forward(seconds=9 + number * 7 % 23)
            if screen is not None:
                given = any_answer(screen, SCORES[number % len(SCORES)] - 1)
                store.submit(rater, screen.public_id, screen.revision, given, None, False)
    store.make_link(study, "crowd", 100, 30, "docs")


def add_rater(page: Page) -> None:
    page.get_by_label("Name of a new rater").fill("Emmy")
    page.get_by_role("button", name="Add and make a link").click()
    page.wait_for_load_state()


def make_link(page: Page) -> None:
    page.get_by_role("button", name="Make a crowd link").click()
    page.wait_for_load_state()
