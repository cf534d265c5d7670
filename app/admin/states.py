"""Moving a study on: pause and resume; close, the round of guesses, reveal, each of which asks first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.admin.confirm import ConfirmPage, check_confirmed
from app.admin.studies import Admin
from app.errors import Conflict
from app.render import render
from app.state import state
from app.store.study import State, Study, StudyStore

router = APIRouter(prefix="/admin/studies/{name}")


@dataclass(frozen=True)
class Step:
    """A move that cannot be taken back."""

    before: tuple[State, ...]
    otherwise: str  # why not now
    title: str
    consequences: tuple[str, ...]
    button: str
    move: Callable[[StudyStore, str, str], Study]


STEPS = {
    "close": Step(
        ("open", "paused"),
        "is not open; only an open study can be closed",
        "Close the study",
        ("No further rating is accepted, from anybody.", "It cannot be opened again."),
        "Close for good",
        StudyStore.close,
    ),
    "guessing": Step(
        ("closed",),
        "is not closed; the round of guesses comes after the close",
        "Open the round of guesses",
        (
            "Every rater who comes back by the own link rates fresh pages, learns which arms there were, and guesses.",
            "From then on a rater may tell others what was compared.",
        ),
        "Open the round",
        StudyStore.open_guessing,
    ),
    "reveal": Step(
        ("closed", "guessing"),
        "is not closed; close it first, since a reveal ends all rating",
        "Reveal the key",
        (
            "The export names the arm, the dictionary and the feature of each page that was rated.",
            "From then on nobody can rate this study blind; a round of guesses ends.",
            "It cannot be taken back.",
        ),
        "Reveal for good",
        StudyStore.reveal,
    ),
}


def _ask(request: Request, admin: str, name: str, word: str) -> Response:
    step, study = STEPS[word], state(request).study.study(name)
    if study.state not in step.before:
        raise Conflict(f"The study “{name}” {step.otherwise}.")
    address = f"/admin/studies/{name}"
    page = ConfirmPage(admin, address, name, step.title, step.consequences, f"{address}/{word}", step.button)
    return render(request, "admin/confirm.html", page)


def _go(request: Request, admin: str, name: str, word: str, final: str) -> Response:
    check_confirmed(final)
    STEPS[word].move(state(request).study, name, admin)
    return RedirectResponse(f"/admin/studies/{name}", 303)


@router.get("/close")
def ask_close(request: Request, admin: Admin, name: str) -> Response:
    return _ask(request, admin.name, name, "close")


@router.post("/close")
def close(request: Request, admin: Admin, name: str, final: Annotated[str, Form()] = "") -> Response:
    return _go(request, admin.name, name, "close", final)


@router.get("/guessing")
def ask_guessing(request: Request, admin: Admin, name: str) -> Response:
    return _ask(request, admin.name, name, "guessing")


@router.post("/guessing")
def open_guessing(request: Request, admin: Admin, name: str, final: Annotated[str, Form()] = "") -> Response:
    return _go(request, admin.name, name, "guessing", final)


@router.get("/reveal")
def ask_reveal(request: Request, admin: Admin, name: str) -> Response:
    return _ask(request, admin.name, name, "reveal")


@router.post("/reveal")
def reveal(request: Request, admin: Admin, name: str, final: Annotated[str, Form()] = "") -> Response:
    return _go(request, admin.name, name, "reveal", final)


@router.post("/pause")
def pause(request: Request, admin: Admin, name: str) -> Response:
    state(request).study.pause(name, admin.name)
    return RedirectResponse(f"/admin/studies/{name}", 303)


@router.post("/resume")
def resume(request: Request, admin: Admin, name: str) -> Response:
    state(request).study.resume(name, admin.name)
    return RedirectResponse(f"/admin/studies/{name}", 303)
