"""What a screen asks: the questions of each task in words, the previous answer filled in where undo has reopened it."""

from dataclasses import asdict, dataclass

from app.store.study import Screen
from app.study.answers import Task

HEADINGS: dict[Task, str] = {"page": "One page", "pair": "Two pages"}
SIDES = ("Left page", "Right page")
ANCHORS = ("no pattern", "a hint", "partial", "clear", "very clear")  # of the scores 1 to 5
CHOICES = (("left", "Left", "←"), ("tie", "Tie", "↑"), ("right", "Right", "→"), ("neither", "Neither", "↓"))


@dataclass(frozen=True)
class Option:
    value: str
    number: str  # "" where the word says it all
    word: str
    key: str  # the key that answers with it
    arrow: str  # another one, or ""
    checked: bool


@dataclass(frozen=True)
class Question:
    name: str  # of the form's field
    legend: str
    options: tuple[Option, ...]


def questions(screen: Screen) -> tuple[Question, ...]:
    """The questions in the order in which they are answered; on a pair, one a page and then the choice."""
    before = asdict(screen.previous) if screen.previous is not None else {}
    if screen.task == "page":
        return (_score("score", "How clear is the pattern on this page?", before),)
    return (
        _score("left", "Left page: how clear is its pattern?", before),
        _score("right", "Right page: how clear is its pattern?", before),
        _choice("Which page is more coherent?", before),
    )


def _score(name: str, legend: str, before: dict[str, object]) -> Question:
    options = (
        Option(str(score), str(score), word, str(score), "", before.get(name) == score)
        for score, word in enumerate(ANCHORS, start=1)
    )
    return Question(name, legend, tuple(options))


def _choice(legend: str, before: dict[str, object]) -> Question:
    options = (
        Option(value, "", word, value[0], arrow, before.get("choice") == value) for value, word, arrow in CHOICES
    )
    return Question("choice", legend, tuple(options))
