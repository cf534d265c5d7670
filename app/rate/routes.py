"""The rater's routes. They read what the study store returns for this rater, and never the feature store."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.errors import Conflict, Unprocessable
from app.rate.pages import (
    consent_page,
    done_page,
    instructions_page,
    practice_page,
    practised_page,
    screen_page,
    told_page,
    withdraw_page,
)
from app.rate.sent import SentAnswer, sent_answer
from app.render import render, wants_fragment
from app.security import client_of
from app.sessions import CurrentSession, current_rater, session_token, set_session
from app.state import state
from app.store.study import Rater, Stage, Study, StudyStore

router = APIRouter()
CurrentRater = Annotated[Rater, Depends(current_rater)]
Sent = Annotated[SentAnswer, Depends(sent_answer)]
SCREEN = "rate/screen.html"
STEP = "rate/step.html"


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
    """What this rater has to do now: agree, read, practise, answer, guess; or thanks."""
    store = state(request).study
    study = store.study(rater.study)
    stage = store.stage(rater)
    if stage == "practice":
        practice = store.practice(rater)
        if practice.question is not None:
            return render(request, SCREEN, practice_page(study, practice, practice.question))
        return render(request, STEP, practised_page(study, practice))
    if stage in ("rating", "guess"):
        screen = store.screen(rater)
        if screen is not None:
            return render(request, SCREEN, screen_page(study, screen))
        stage = "finished"  # others took the last free place just now
    if stage in ("consent", "instructions", "guess-intro"):
        return _reading(request, store, study, rater, stage)
    return _end(request, store, study, rater, stage)


def _reading(request: Request, store: StudyStore, study: Study, rater: Rater, stage: Stage) -> Response:
    """A page to be read, with one button to go on."""
    if stage == "consent":
        return render(request, "rate/consent.html", consent_page(study))
    if stage == "instructions":
        return render(request, "rate/instructions.html", instructions_page(study, store.progress(rater)))
    return render(request, STEP, told_page(study, store.choices(rater)))


def _end(request: Request, store: StudyStore, study: Study, rater: Rater, stage: Stage) -> Response:
    """Nothing to do now, and why."""
    finished = None
    if stage == "finished" or (stage == "closed" and rater.started_at is not None):
        try:
            finished = store.finish(rater)
        except Conflict:
            return RedirectResponse("/rate", 303)  # another rater's place became free just now: look again
        store.note_debrief(rater)
    progress = store.progress(rater) if stage != "withdrawn" else None
    return render(request, "rate/done.html", done_page(study, stage, progress, finished))


@router.post("/rate/consent")
def consent(request: Request, rater: CurrentRater) -> Response:
    state(request).study.consent(rater)
    return _next(request, rater)


@router.post("/rate/start")
def start(request: Request, rater: CurrentRater) -> Response:
    state(request).study.start(rater)
    return _next(request, rater)


@router.post("/rate/practised")
def practised(request: Request, rater: CurrentRater) -> Response:
    state(request).study.pass_practice(rater)
    return _next(request, rater)


@router.post("/rate/guess")
def guess(request: Request, rater: CurrentRater) -> Response:
    """The rater was told which arms there were."""
    state(request).study.start_guessing(rater)
    return _next(request, rater)


@router.post("/rate/undo")
def undo(request: Request, rater: CurrentRater) -> Response:
    state(request).study.undo(rater)
    return _next(request, rater)


@router.get("/rate/withdraw")
def ask_to_withdraw(request: Request, rater: CurrentRater) -> Response:
    return render(request, "rate/withdraw.html", withdraw_page())


@router.post("/rate/withdraw")
def withdraw(request: Request, rater: CurrentRater, sure: Annotated[str, Form()] = "") -> Response:
    if sure != "yes":
        raise Unprocessable("Tick the box to say that you are sure, or go back to the study.")
    state(request).study.withdraw(rater, rater.pseudonym)
    return _next(request, rater)


@router.post("/rate/practice/{public_id}")
def answer_practice(
    request: Request, rater: CurrentRater, session: CurrentSession, public_id: str, sent: Sent
) -> Response:
    store = state(request).study
    staff = session is not None and session.was_staff
    try:
        store.answer_practice(rater, public_id, sent.revision, sent.answer(), sent.visible_ms, staff)
    except Unprocessable as error:
        study, practice = store.study(rater.study), store.practice(rater)
        if practice.question is None or not sent.is_of(public_id, practice.question):
            raise
        page = practice_page(study, practice, practice.question, problem=str(error), given=sent.fields)
        return render(request, SCREEN, page, status=error.status)
    return _next(request, rater)


@router.post("/rate/{public_id}")
def answer(request: Request, rater: CurrentRater, session: CurrentSession, public_id: str, sent: Sent) -> Response:
    """Store an answer. One that is not taken yet comes back on its screen, with what is wrong with it."""
    store = state(request).study
    staff = session is not None and session.was_staff
    try:
        store.submit(rater, public_id, sent.revision, sent.answer(), sent.visible_ms, staff)
    except Unprocessable as error:
        screen = store.screen(rater)
        if screen is None or not sent.is_of(public_id, screen):
            raise
        page = screen_page(store.study(rater.study), screen, problem=str(error), given=sent.fields)
        return render(request, SCREEN, page, status=error.status)
    return _next(request, rater)


def _next(request: Request, rater: Rater) -> Response:
    """The next screen at once for htmx; a redirect for a plain form, so that reloading sends nothing twice."""
    return show(request, rater) if wants_fragment(request) else RedirectResponse("/rate", 303)
