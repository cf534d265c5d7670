"""The rater's routes. They read what the study store returns for this rater, and never the feature store."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.rate.pages import done_page, instructions_page, screen_page
from app.render import render, wants_fragment
from app.security import client_of
from app.sessions import CurrentSession, current_rater, session_token, set_session
from app.state import state
from app.store.study import Rater
from app.study.answers import Task, from_form

router = APIRouter()
CurrentRater = Annotated[Rater, Depends(current_rater)]
LONGEST_VISIBLE_MS = 24 * 3600 * 1000


@router.get("/invite/{token}")
def open_invite(request: Request, token: str) -> Response:
    """Redeem the invite into the cookie and leave its address at once, so that it stays in no history or log."""
    app = state(request)
    with app.failures.attempt(client_of(request)):
        session = app.study.redeem_invite(token, session_token(request))
    response = RedirectResponse("/rate", 303)
    set_session(response, session, app.settings)
    return response


@router.get("/rate")
def show(request: Request, rater: CurrentRater) -> Response:
    """The instructions until they were left, then the current screen, then thanks."""
    store = state(request).study
    study = store.study(rater.study)
    if study.state == "open":
        if rater.started_at is None:
            return render(request, "rate/instructions.html", instructions_page(study, store.progress(rater)))
        screen = store.screen(rater)
        if screen is not None:
            return render(request, "rate/screen.html", screen_page(study, screen))
    return render(request, "rate/done.html", done_page(study, store.progress(rater)))


@router.post("/rate/start")
def start(request: Request, rater: CurrentRater) -> Response:
    state(request).study.start(rater)
    return RedirectResponse("/rate", 303)


@router.post("/rate/undo")
def undo(request: Request, rater: CurrentRater) -> Response:
    state(request).study.undo(rater)
    return _next(request, rater)


@router.post("/rate/{public_id}")
def answer(
    request: Request,
    rater: CurrentRater,
    session: CurrentSession,
    public_id: str,
    task: Annotated[Task, Form()],
    revision: Annotated[int, Form()],
    visible_ms: Annotated[str, Form()] = "",
    score: Annotated[str, Form()] = "",
    left: Annotated[str, Form()] = "",
    right: Annotated[str, Form()] = "",
    choice: Annotated[str, Form()] = "",
) -> Response:
    given = from_form(task, {"score": score, "left": left, "right": right, "choice": choice})
    staff = session is not None and session.was_staff
    state(request).study.submit(rater, public_id, revision, given, _milliseconds(visible_ms), staff)
    return _next(request, rater)


def _next(request: Request, rater: Rater) -> Response:
    """The next screen at once for htmx; a redirect for a plain form, so that reloading sends nothing twice."""
    return show(request, rater) if wants_fragment(request) else RedirectResponse("/rate", 303)


def _milliseconds(text: str) -> int | None:
    """Visible time as the browser measured it; None where it did not, or says what cannot be."""
    milliseconds = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1
    return milliseconds if 0 <= milliseconds <= LONGEST_VISIBLE_MS else None
