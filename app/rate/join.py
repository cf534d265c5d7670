"""Joining by a link for many. The link's page has a button: a preview or a scanner must not take a place."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.render import render
from app.security import client_of
from app.sessions import session_token, set_session
from app.state import state
from app.store.study import Platform

router = APIRouter()
KEYS = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")


@dataclass(frozen=True)
class JoinPage:
    heading: str
    action: str


@router.get("/join/{token}")
def ask(request: Request, token: str) -> Response:
    app = state(request)
    with app.failures.attempt(client_of(request)):
        found = app.study.join_page(token)
    query = f"?{request.url.query}" if request.url.query else ""
    return render(request, "rate/join.html", JoinPage(found.title, f"/join/{token}{query}"))


@router.post("/join/{token}")
def join(request: Request, token: str) -> Response:
    """Redeem the link into the cookie, and leave its address, which holds the platform's ids."""
    app = state(request)
    with app.failures.attempt(client_of(request)):
        session = app.study.open_link(token, session_token(request), _platform(request))
    response = RedirectResponse("/rate", 303)
    set_session(response, session, app.settings)
    return response


def _platform(request: Request) -> Platform | None:
    """The ids in the address; None where one of them is missing."""
    values = [request.query_params.get(key, "") for key in KEYS]
    return Platform(*values) if all(values) else None
