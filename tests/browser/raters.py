"""What the browser tests of rating share: a server over a study, its raters' invites, and what is stored of them."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Request

from app.store.study import StudyStore

Browsers = Callable[..., BrowserContext]


@dataclass(frozen=True)
class Server:
    base: str
    data: Path
    store: StudyStore
    numbers: Iterator[int]
    name: str  # of the study

    def invite(self) -> str:
        """The address of a fresh rater's invite."""
        rater = self.store.add_rater(self.name, f"rater {next(self.numbers)}", "test")
        return f"{self.base}/invite/{self.store.invite(self.name, rater.id, 1, 'test')}"

    def answers(self) -> list[dict[str, object]]:
        """The newest rater's answers as they stand: the last revision of each, in the order of the screens."""
        query = """
            SELECT answer, MAX(revision) FROM rating JOIN assignment ON assignment.id = assignment_id
            WHERE rater_id = (SELECT MAX(id) FROM rater) GROUP BY assignment_id ORDER BY position
        """
        with closing(sqlite3.connect(self.data / "study.sqlite")) as connection:
            return [json.loads(answer) for answer, _ in connection.execute(query)]

    def times(self) -> tuple[int, int]:
        """Server time and visible time of the newest answer, in milliseconds."""
        with closing(sqlite3.connect(self.data / "study.sqlite")) as connection:
            found: tuple[int, int] = connection.execute(
                "SELECT server_ms, visible_ms FROM rating ORDER BY id DESC LIMIT 1"
            ).fetchone()
        return found


def begin(page: Page, invite: str, *, script: bool = True) -> Page:
    """Open an invite, agree and start; the first question is there."""
    page.goto(invite)
    page.get_by_role("button", name="I agree").click()
    page.get_by_role("button", name="Start").click()
    page.locator("html.js #answer" if script else "#answer").wait_for()
    return page


def checked(page: Page) -> dict[str, str]:
    """The chosen value of each question on the screen."""
    radios = page.locator("#answer input[type=radio]:checked").all()
    return {str(radio.get_attribute("name")): str(radio.get_attribute("value")) for radio in radios}


def posts(page: Page) -> list[Request]:
    """A list that grows with each form that the page sends."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    return sent


def check_width(page: Page) -> None:
    """Nothing stands out of the window to the side."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than the window"


def check_by_axe(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [(v["id"], [node["target"] for node in v["nodes"]]) for v in found] == []
