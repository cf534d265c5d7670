"""What a form of the rating pages sends: the fields of an answer, and how long its screen was in view."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Form

from app.store.study import Screen
from app.study.answers import Answer, Task, from_form

LONGEST_VISIBLE_MS = 24 * 3600 * 1000
Text = Annotated[str, Form()]


@dataclass(frozen=True)
class SentAnswer:
    """Fields are as the browser sent them: `answer` says what is wrong with them."""

    task: Task
    revision: int
    visible_ms: int | None
    fields: dict[str, str]

    def answer(self) -> Answer:
        """Raises Unprocessable where a field is missing or out of range."""
        return from_form(self.task, self.fields)

    def is_of(self, public_id: str, screen: Screen) -> bool:
        """Whether it was sent from the screen that is shown now."""
        return (public_id, self.task, self.revision) == (screen.public_id, screen.task, screen.revision)


def sent_answer(
    task: Annotated[Task, Form()],
    revision: Annotated[int, Form()],
    visible_ms: Text = "",
    explanation: Text = "",
    score: Text = "",
    confidence: Text = "",
    left: Text = "",
    right: Text = "",
    choice: Text = "",
    pick: Text = "",
    guess: Text = "",
    skip: Text = "",
) -> SentAnswer:
    """The form of any task: each has some of these fields, and a skip has `skip` alone."""
    fields = {
        "explanation": explanation,
        "score": score,
        "confidence": confidence,
        "left": left,
        "right": right,
        "choice": choice,
        "pick": pick,
        "guess": guess,
        "skip": skip,
    }
    return SentAnswer(task, revision, milliseconds(visible_ms), fields)


def milliseconds(text: str) -> int | None:
    """Visible time as the browser measured it; None where it did not, or says what cannot be."""
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1
    return found if 0 <= found <= LONGEST_VISIBLE_MS else None
