"""What a screen asks: the questions of each task in words, filled in with what was answered before."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from app.store.study import Screen
from app.study.answers import LONGEST_EXPLANATION, UNKNOWN, Answer, GuessAnswer, Reason, Task
from app.study.content import Snippet

Given = Mapping[str, object]  # an answer's fields by name, typed or as a form sends them
HEADINGS: dict[Task, str] = {"page": "One page", "pair": "Two pages", "intruder": "Five pieces", "guess": "Your guess"}
SIDES = ("Left page", "Right page")
ANCHORS = ("no pattern", "a hint", "partial", "clear", "very clear")  # of the scores 1 to 5
SURE = ("guessing", "unsure", "fairly sure", "sure", "certain")  # of confidence 1 to 5
CHOICES = (("left", "Left", "←"), ("tie", "Tie", "↑"), ("right", "Right", "→"), ("neither", "Neither", "↓"))
REASONS: dict[Reason, str] = {
    "unreadable": "It is not shown so that I could read it",
    "unclear": "I don't understand what is asked",
    "upsetting": "A text upsets me",
    "other": "Another reason",
}


@dataclass(frozen=True)
class Option:
    value: str
    number: str  # "" where the word says it all
    word: str
    key: str  # the key that answers with it
    arrow: str  # another one, or ""
    checked: bool
    snippet: Snippet | None = None  # what is chosen, where it is a piece of text


@dataclass(frozen=True)
class Question:
    name: str  # of the form's field
    legend: str
    kind: Literal["text", "scale", "list"]
    options: tuple[Option, ...] = ()
    text: str = ""
    longest: int = LONGEST_EXPLANATION  # characters
    hint: str = ""


def questions(screen: Screen, given: Given) -> tuple[Question, ...]:
    """The questions in the order in which they are answered; on a pair, one a page and then the choice."""
    match screen.task:
        case "page":
            asked = [_score("score", "How clear is the pattern on this page?", given)]
            if screen.ask_explanation:
                asked.insert(0, _explanation(given))
            if screen.ask_confidence:
                asked.append(_sure("How sure are you of this score?", given))
            return tuple(asked)
        case "pair":
            return (
                _score("left", "Left page: how clear is its pattern?", given),
                _score("right", "Right page: how clear is its pattern?", given),
                _choice("Which page is more coherent?", given),
            )
        case "intruder":
            return (_pieces("Which piece does not belong with the others?", screen, given),)
        case "guess":
            return (_kinds("Which kind of page is this?", screen, given), _sure("How sure are you?", given))


def given_before(answer: Answer | None) -> Given:
    """An answer as fields of a form."""
    if isinstance(answer, GuessAnswer):
        return {"guess": answer.arm or UNKNOWN, "confidence": answer.confidence}
    return asdict(answer) if answer is not None else {}


def reasons(given: Given) -> tuple[Option, ...]:
    """Why a question may be left unanswered."""
    return tuple(
        Option(reason, str(number), word, str(number), "", given.get("skip") == reason)
        for number, (reason, word) in enumerate(REASONS.items(), start=1)
    )


def _scale(name: str, legend: str, words: Iterable[str], given: Given) -> Question:
    options = (
        Option(str(number), str(number), word, str(number), "", str(given.get(name)) == str(number))
        for number, word in enumerate(words, start=1)
    )
    return Question(name, legend, "scale", tuple(options))


def _score(name: str, legend: str, given: Given) -> Question:
    return _scale(name, legend, ANCHORS, given)


def _sure(legend: str, given: Given) -> Question:
    return _scale("confidence", legend, SURE, given)


def _choice(legend: str, given: Given) -> Question:
    options = (Option(value, "", word, value[0], arrow, given.get("choice") == value) for value, word, arrow in CHOICES)
    return Question("choice", legend, "scale", tuple(options))


def _explanation(given: Given) -> Question:
    return Question(
        "explanation",
        "In your words: what do the marked words have in common?",
        "text",
        text=str(given.get("explanation") or ""),
        hint="A few words are enough. Where you see no pattern, write “none”.",
    )


def _pieces(legend: str, screen: Screen, given: Given) -> Question:
    snippets = [snippet for page in screen.pages for block in page.blocks for snippet in block.snippets]
    options = (
        Option(str(place), str(place), "", str(place), "", str(given.get("pick")) == str(place), snippet)
        for place, snippet in enumerate(snippets, start=1)
    )
    return Question("pick", legend, "list", tuple(options))


def _kinds(legend: str, screen: Screen, given: Given) -> Question:
    named = [*((name, name) for name in screen.choices), (UNKNOWN, "I don't know")]
    options = (
        Option(value, str(number), word, str(number), "", given.get("guess") == value)
        for number, (value, word) in enumerate(named, start=1)
    )
    return Question("guess", legend, "list", tuple(options))
