"""Log in by a one-time link, log out. The link's page has a button: a preview or a scanner must not use the link up."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.render import render
from app.security import client_of
from app.sessions import forget_session, session_token, set_session
from app.state import state

router = APIRouter()


@dataclass(frozen=True)
class LoginPage:
    action: str


@router.get("/login/{token}")
def ask(request: Request, token: str) -> Response:
    return render(request, "admin/login.html", LoginPage(f"/login/{token}"))


@router.post("/login/{token}")
def log_in(request: Request, token: str) -> Response:
    app = state(request)
    with app.failures.attempt(client_of(request)):
        session = app.study.redeem_login(token, session_token(request))
    response = RedirectResponse("/", 303)
    set_session(response, session, app.settings)
    return response


@router.post("/logout")
def log_out(request: Request) -> Response:
    token = session_token(request)
    keep = token is not None and state(request).study.end_session(token)
    response = RedirectResponse("/", 303)
    if not keep:
        forget_session(response, state(request).settings)
    return response
