"""What the rating templates are given, and nothing else: no field of these can hold an arm, a dictionary or a feature.

But for `StepPage.names` and the options of a guess: the arms' names, told after the study has closed to rating.
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from markupsafe import Markup

from app.markdown import markdown
from app.rate.questions import HEADINGS, SIDES, Given, Option, Question, given_before, questions, reasons
from app.store.study import Feedback, Finished, Practice, Progress, Screen, Stage, Study
from app.study.answers import Task
from app.study.content import Page

FRESH = "The study has closed; these pages are new. Rate them as before: afterwards you will be asked what they were."


@dataclass(frozen=True)
class Note:
    """What is told above a question."""

    kind: Literal["right", "wrong", "told"]
    title: str
    text: Markup


@dataclass(frozen=True)
class ConsentPage:
    heading: str
    consent: Markup


@dataclass(frozen=True)
class InstructionsPage:
    heading: str
    instructions: Markup
    total: int


@dataclass(frozen=True)
class ScreenPage:
    action: str  # the address that the answer goes to; it holds the question's public id
    task: Task
    heading: str
    announcement: str  # read aloud when this screen takes the place of another
    note: Note | None
    problem: str  # why the answer that was sent is not taken, or ""
    pages: tuple[Page, ...]  # in display order; none where the pieces themselves are what is chosen from
    sides: tuple[str, ...]
    questions: tuple[Question, ...]
    skips: tuple[Option, ...]  # reasons to skip; none where a question cannot be skipped
    revision: int
    wait_seconds: int  # until an answer is taken
    done: int
    total: int
    undo: Literal["no", "not-now", "yes"]  # whether there is such a button, and whether it works
    instructions: Markup


@dataclass(frozen=True)
class StepPage:
    """A step between two parts of a session, with one button to go on."""

    heading: str
    note: Note | None
    paragraphs: tuple[str, ...]
    names: tuple[str, ...]
    action: str
    button: str
    instructions: Markup


@dataclass(frozen=True)
class DonePage:
    heading: str
    message: str
    debrief: Markup | None
    completion_code: str | None
    done: int
    total: int  # 0: no progress is shown
    can_undo: bool
    instructions: Markup


@dataclass(frozen=True)
class WithdrawPage:
    heading: str
    paragraphs: tuple[str, ...]


def consent_page(study: Study) -> ConsentPage:
    return ConsentPage(study.title, markdown(study.protocol["texts"]["consent"]))


def instructions_page(study: Study, progress: Progress) -> InstructionsPage:
    return InstructionsPage(study.title, instructions(study), progress.total)


def screen_page(study: Study, screen: Screen, *, problem: str = "", given: Given | None = None) -> ScreenPage:
    """The screen of a question. `problem` says why what was `given` is not taken."""
    count = f"{screen.done} of {screen.total} done."
    saved = "Your last answer is open again." if screen.previous is not None else "Saved."
    fresh = study.state == "guessing" and screen.task == "page"
    return _screen(
        study,
        screen,
        given,
        action=f"/rate/{screen.public_id}",
        heading=HEADINGS[screen.task],
        announcement=problem or f"{saved} {count}",
        note=Note("told", "", Markup.escape(FRESH)) if fresh else None,
        problem=problem,
        skips=screen.task != "guess",
        undo="yes" if screen.can_undo else "not-now",
    )


def practice_page(
    study: Study, practice: Practice, screen: Screen, *, problem: str = "", given: Given | None = None
) -> ScreenPage:
    """A question of the practice round, below what is told of the last one, or of the round as a whole."""
    if practice.feedback is not None:
        note = feedback_note(practice.feedback)
        said = f"{note.title} {practice.feedback.text}"
    else:
        note = Note("told", "", markdown(study.protocol["texts"]["practice"]))
        said = "Practice."
    return _screen(
        study,
        screen,
        given,
        action=f"/rate/practice/{screen.public_id}",
        heading=f"Practice: {HEADINGS[screen.task].lower()}",
        announcement=problem or said,
        note=note,
        problem=problem,
        skips=False,
        undo="no",
        done=practice.done,
        total=practice.total,
    )


def _screen(
    study: Study, screen: Screen, given: Given | None, *, skips: bool, done: int = -1, total: int = -1, **said: object
) -> ScreenPage:
    if given is None:
        given = given_before(screen.previous)
    return ScreenPage(
        task=screen.task,
        pages=() if screen.task == "intruder" else screen.pages,
        sides=SIDES,
        questions=questions(screen, given),
        skips=reasons(given) if skips else (),
        revision=screen.revision,
        wait_seconds=ceil(screen.wait_seconds),
        done=screen.done if done < 0 else done,
        total=screen.total if total < 0 else total,
        instructions=instructions(study),
        **said,  # type: ignore[arg-type]
    )


def feedback_note(feedback: Feedback) -> Note:
    kind: Literal["right", "wrong"] = "right" if feedback.correct else "wrong"
    title = "That is right." if feedback.correct else "Not quite. Try this one again."
    return Note(kind, title, Markup.escape(feedback.text))


def practised_page(study: Study, practice: Practice) -> StepPage:
    return StepPage(
        heading="Practice passed",
        note=feedback_note(practice.feedback) if practice.feedback is not None else None,
        paragraphs=("From here on your answers count, and you are not told whether they are right.",),
        names=(),
        action="/rate/practised",
        button="Begin",
        instructions=instructions(study),
    )


def told_page(study: Study, arms: tuple[str, ...]) -> StepPage:
    """After the fresh pages of the guessing round: which arms there were."""
    return StepPage(
        heading="What the pages were",
        note=None,
        paragraphs=(
            "Every page of this study was of one of these kinds:",
            "You will now see the new pages once more. Say of each which kind it is, or that you don't know.",
        ),
        names=arms,
        action="/rate/guess",
        button="Begin to guess",
        instructions=instructions(study),
    )


SAVED = "Every answer is saved. You can close this window."
ENDS: dict[Stage, tuple[str, str]] = {
    "finished": ("All done. Thank you!", SAVED),
    "closed": ("This study is closed", "It takes no more answers; all that you sent are saved. Thank you!"),
    "paused": (
        "This study is paused",
        "It takes no answers at the moment; all that you sent are saved. Come back later.",
    ),
    "withdrawn": ("You have withdrawn", "Your answers were erased, and nothing more is asked of you. Thank you!"),
}


def done_page(study: Study, stage: Stage, progress: Progress | None, finished: Finished | None) -> DonePage:
    """What a rater sees who has nothing to answer now; `finished` where there is a closing text to show."""
    heading, message = ENDS[stage]
    return DonePage(
        heading,
        message,
        markdown(finished.debrief) if finished else None,
        finished.completion_code if finished else None,
        progress.done if progress else 0,
        progress.total if progress else 0,
        progress is not None and progress.can_undo and stage == "finished",
        instructions(study),
    )


def withdraw_page() -> WithdrawPage:
    return WithdrawPage(
        "Leave the study",
        (
            "You can stop at any time by closing the window; what you have answered so far then stays in the study.",
            "If you withdraw, your answers are erased as well. That you took part, and withdrew, stays on record.",
        ),
    )


def instructions(study: Study) -> Markup:
    return markdown(study.instructions)
