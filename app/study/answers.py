"""What a rater may answer: a page's score, a pair's scores and choice, an intruder, a guess; or, to any of them, a skip.

Stored as JSON objects: `to_json`, `from_json`. A skip has the key `skip`, whatever the task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from app.errors import Unprocessable

Task = Literal["page", "pair", "intruder", "guess"]
TASKS: tuple[Task, ...] = get_args(Task)
Choice = Literal["left", "tie", "right", "neither"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
Reason = Literal["unreadable", "unclear", "upsetting", "other"]
SKIPS: tuple[Reason, ...] = get_args(Reason)
LOWEST, HIGHEST = 1, 5  # of scores and of confidence
PIECES = 5  # of an intruder trial
UNKNOWN = "unknown"  # in a form and in exports, a guess that says "I don't know"
LONGEST_EXPLANATION = 2000  # characters


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """`confidence` and `explanation` are None where the study does not ask for them."""

    score: int
    confidence: int | None = None
    explanation: str | None = None

    def check(self) -> None:
        _check_score("score", self.score)
        if self.confidence is not None:
            _check_score("confidence", self.confidence)
        if self.explanation is not None:
            _check_text(self.explanation)


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


@dataclass(frozen=True, slots=True)
class IntruderAnswer:
    """The place of the piece picked, from 1."""

    pick: int

    def check(self) -> None:
        if type(self.pick) is not int or not 1 <= self.pick <= PIECES:
            raise Unprocessable(f"The piece picked is {self.pick!r}; it should be a whole number from 1 to {PIECES}.")


@dataclass(frozen=True, slots=True)
class GuessAnswer:
    """The arm that a page is thought to be of; None: "I don't know"."""

    arm: str | None
    confidence: int

    def check(self) -> None:
        _check_score("confidence", self.confidence)


@dataclass(frozen=True, slots=True)
class Skip:
    """A question left unanswered, and why."""

    skip: Reason

    def check(self) -> None:
        if self.skip not in SKIPS:
            raise Unprocessable(f"The reason is {self.skip!r}; it should be one of {', '.join(SKIPS)}.")


Answer = PageAnswer | PairAnswer | IntruderAnswer | GuessAnswer | Skip
KINDS: dict[Task, type[PageAnswer | PairAnswer | IntruderAnswer | GuessAnswer]] = {
    "page": PageAnswer,
    "pair": PairAnswer,
    "intruder": IntruderAnswer,
    "guess": GuessAnswer,
}

ASKS: dict[Task, str] = {"page": "a page", "pair": "a pair", "intruder": "an intruder", "guess": "a guess"}


def _check_score(name: str, value: int) -> None:
    if type(value) is not int or not LOWEST <= value <= HIGHEST:
        raise Unprocessable(
            f"The rating “{name}” is {value!r}; it should be a whole number from {LOWEST} to {HIGHEST}."
        )


def _check_text(value: str) -> None:
    if len(value) > LONGEST_EXPLANATION:
        raise Unprocessable(f"The explanation has {len(value)} characters; shorten it to {LONGEST_EXPLANATION}.")
    if "\0" in value:
        raise Unprocessable("The explanation holds a NUL character, which cannot be stored; take it out.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Unprocessable("The explanation holds half a character (a lone surrogate); type it again.")


def check_task(task: Task, answer: Answer, *, explanation: bool = False, confidence: bool = False) -> None:
    """Raise Unprocessable where the answer is out of range, belongs to another task, or lacks what is asked for.

    Any question but a guess can be skipped.
    """
    fits = isinstance(answer, KINDS[task]) or (isinstance(answer, Skip) and task != "guess")
    if not fits:
        raise Unprocessable(f"This screen asks for {ASKS[task]}; reload it and answer what it shows.")
    answer.check()
    if isinstance(answer, PageAnswer):
        if explanation and not answer.explanation:
            raise Unprocessable("Say in a few words what the marked words have in common, then send the answer again.")
        if confidence and answer.confidence is None:
            raise Unprocessable("Say how sure you are, and send the answer again.")


def check_guess(answer: GuessAnswer, arms: Sequence[str]) -> None:
    """Raise Unprocessable where a guess names none of the arms."""
    if answer.arm is not None and answer.arm not in arms:
        raise Unprocessable("There is no such kind of page in this study; choose one of those shown.")


def right(answer: Answer, expected: Mapping[str, Any]) -> bool:
    """Whether an answer to a practice or catch item is the right one: `FrozenItem.expected` says which is."""
    match answer:
        case PageAnswer():
            return bool(expected["lowest"] <= answer.score <= expected["highest"])
        case IntruderAnswer():
            return bool(answer.pick == expected["pick"])
        case _:
            return False


def from_form(task: Task, form: Mapping[str, object]) -> Answer:
    """The answer in a form's fields, named as the answer's own, but `guess` for the arm guessed.

    A field `skip` that is not empty is a skip, whatever else is there. Raises Unprocessable.
    """
    answer: Answer
    if form.get("skip"):
        answer = Skip(form["skip"])  # type: ignore[arg-type]
    elif task == "page":
        confidence = _number(form, "confidence") if form.get("confidence") else None
        answer = PageAnswer(_number(form, "score"), confidence, _text(form, "explanation"))
    elif task == "pair":
        choice = form.get("choice")
        if choice not in CHOICES:
            raise Unprocessable(f"Choose one of {', '.join(CHOICES)} and send the answer again.")
        answer = PairAnswer(_number(form, "left"), _number(form, "right"), choice)
    elif task == "intruder":
        answer = IntruderAnswer(_number(form, "pick"))
    else:
        arm = form.get("guess")
        if not isinstance(arm, str) or not arm:
            raise Unprocessable("Say which kind of page this is, or that you don't know, and send the answer again.")
        answer = GuessAnswer(None if arm == UNKNOWN else arm, _number(form, "confidence"))
    answer.check()
    return answer


def _number(form: Mapping[str, object], name: str) -> int:
    text = form.get(name)
    if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) < 3):
        raise Unprocessable(f"Give “{name}” a rating from {LOWEST} to {HIGHEST} and send the answer again.")
    return int(text)


def _text(form: Mapping[str, object], name: str) -> str | None:
    """A form's text without the spaces around it, its line ends as `\\n`; None where nothing is left."""
    text = form.get(name)
    return text.replace("\r\n", "\n").strip() or None if isinstance(text, str) else None


def to_json(answer: Answer) -> dict[str, Any]:
    """The answer's fields; what a page was not asked for is left out."""
    return {
        name: value for name, value in asdict(answer).items() if value is not None or isinstance(answer, GuessAnswer)
    }


def from_json(task: str, value: Mapping[str, Any]) -> Answer:
    """The answer in what `to_json` made of it; `task` is the screen's: `guess` for a guess."""
    return Skip(**value) if "skip" in value else KINDS[task](**value)  # type: ignore[index]
