"""What the rating templates are given, and nothing else: no field of these can hold an arm, a dictionary or a feature."""

from dataclasses import dataclass

from markdown_it import MarkdownIt
from markupsafe import Markup

from app.rate.questions import HEADINGS, SIDES, Question, questions
from app.store.study import Progress, Screen, Study
from app.study.answers import Task
from app.study.content import Page


@dataclass(frozen=True)
class InstructionsPage:
    heading: str
    instructions: Markup
    total: int


@dataclass(frozen=True)
class ScreenPage:
    public_id: str
    task: Task
    heading: str
    announcement: str  # read aloud when this screen takes the place of another
    pages: tuple[Page, ...]  # in display order
    sides: tuple[str, ...]
    questions: tuple[Question, ...]
    revision: int
    done: int
    total: int
    can_undo: bool
    instructions: Markup


@dataclass(frozen=True)
class DonePage:
    heading: str
    message: str
    done: int
    total: int
    can_undo: bool
    instructions: Markup


def instructions_page(study: Study, progress: Progress) -> InstructionsPage:
    return InstructionsPage(study.title, instructions(study), progress.total)


def screen_page(study: Study, screen: Screen) -> ScreenPage:
    reopened = screen.previous is not None
    count = f"{screen.done} of {screen.total} done."
    return ScreenPage(
        public_id=screen.public_id,
        task=screen.task,
        heading=HEADINGS[screen.task],
        announcement=f"Your last answer is open again. {count}" if reopened else f"Saved. {count}",
        pages=screen.pages,
        sides=SIDES,
        questions=questions(screen),
        revision=screen.revision,
        done=screen.done,
        total=screen.total,
        can_undo=screen.can_undo,
        instructions=instructions(study),
    )


def done_page(study: Study, progress: Progress) -> DonePage:
    if study.state == "open":
        heading, message = "All done. Thank you!", "Every answer is saved. You can close this window."
    else:
        heading, message = "This study is closed", "It takes no more answers; all that you sent are saved. Thank you!"
    return DonePage(
        heading,
        message,
        progress.done,
        progress.total,
        progress.can_undo and study.state == "open",
        instructions(study),
    )


def instructions(study: Study) -> Markup:
    """The study's Markdown as HTML. HTML in it is shown as text, an image as a link: pages load nothing from elsewhere."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    return Markup(renderer.render(study.instructions))
