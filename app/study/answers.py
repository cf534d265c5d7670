"""What a rater may answer: a page's score, or a pair's two scores and a choice."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from app.errors import Unprocessable

Task = Literal["page", "pair"]
Choice = Literal["left", "tie", "right", "neither"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True, slots=True)
class PageAnswer:
    score: int

    def check(self) -> None:
        _check_score("score", self.score)


@dataclass(frozen=True, slots=True)
class PairAnswer:
    """Scores and choice by the side on which the pages were shown."""

    left: int
    right: int
    choice: Choice

    def check(self) -> None:
        _check_score("left", self.left)
        _check_score("right", self.right)
        if self.choice not in CHOICES:
            raise Unprocessable(f"The choice is {self.choice!r}; it should be one of {', '.join(CHOICES)}.")


Answer = PageAnswer | PairAnswer


def _check_score(name: str, value: int) -> None:
    if type(value) is not int or not LOWEST <= value <= HIGHEST:
        raise Unprocessable(
            f"The rating “{name}” is {value!r}; it should be a whole number from {LOWEST} to {HIGHEST}."
        )


def check_task(task: Task, answer: Answer) -> None:
    """Raise Unprocessable where the answer is out of range or belongs to the other task."""
    if not isinstance(answer, PageAnswer if task == "page" else PairAnswer):
        raise Unprocessable(f"This screen asks for a {task}; reload it and answer what it shows.")
    answer.check()


def from_form(task: Task, form: Mapping[str, object]) -> Answer:
    """The answer in a form's fields: `score`, or `left`, `right` and `choice`. Raises Unprocessable."""
    if task == "page":
        answer: Answer = PageAnswer(_number(form, "score"))
    else:
        choice = form.get("choice")
        if choice not in CHOICES:
            raise Unprocessable(f"Choose one of {', '.join(CHOICES)} and send the answer again.")
        answer = PairAnswer(_number(form, "left"), _number(form, "right"), choice)
    answer.check()
    return answer


def _number(form: Mapping[str, object], name: str) -> int:
    text = form.get(name)
    if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) < 3):
        raise Unprocessable(f"Give “{name}” a rating from {LOWEST} to {HIGHEST} and send the answer again.")
    return int(text)


def to_json(answer: Answer) -> dict[str, Any]:
    return asdict(answer)


def from_json(task: str, value: Mapping[str, Any]) -> Answer:
    return PageAnswer(value["score"]) if task == "page" else PairAnswer(value["left"], value["right"], value["choice"])
