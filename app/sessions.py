"""Who is asking: one cookie that holds a random id and nothing else, and the dependencies that guard routes.

    require_staff   an admin or analyst; where the server is loopback-only and no study is open, anybody on it
    require_login   an admin or analyst
    require_admin   an admin
    current_rater   a rater who came by an invite link

A rater's session passes no other guard: what the other pages show would unblind it.
"""

from functools import lru_cache
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.errors import Forbidden, LoginNeeded
from app.memo import memo
from app.settings import LOOPBACK, Settings
from app.state import state
from app.store.study import Rater, Session

COOKIE_DAYS = 30  # the longest that the store keeps a session


def cookie_name(settings: Settings) -> str:
    """`__Host-` makes browsers refuse the cookie from a subdomain or over plain http; it needs https."""
    return "__Host-dartboard" if settings.secure_cookies else "dartboard"


def session_token(request: Request) -> str | None:
    return request.cookies.get(cookie_name(state(request).settings))


def set_session(response: Response, token: str, settings: Settings) -> None:
    _set_cookie(response, token, COOKIE_DAYS * 24 * 3600, settings)


def forget_session(response: Response, settings: Settings) -> None:
    _set_cookie(response, "", 0, settings)


def _set_cookie(response: Response, value: str, seconds: int, settings: Settings) -> None:
    response.set_cookie(
        cookie_name(settings),
        value,
        max_age=seconds,
        httponly=True,
        samesite="lax",
        secure=settings.secure_cookies,
    )


def current_session(request: Request) -> Session | None:
    token = session_token(request)
    if not token:
        return None
    study = state(request).study
    found = memo(study).ask(("session", token), lambda: study.session(token))
    return found if found is not None and found.expires_at > study.clock() else None


CurrentSession = Annotated[Session | None, Depends(current_session)]


def require_staff(request: Request, session: CurrentSession) -> Session | None:
    """The staff session, or None where anybody may browse. Raises as `require_login` does."""
    if (session is None or session.empty) and browsing_is_open(request):
        return None
    return require_login(session)


def browsing_is_open(request: Request) -> bool:
    """The address is compared too: a site elsewhere may point its own name at this computer (DNS rebinding)."""
    study = state(request).study
    local = state(request).settings.loopback_only and host_of(request) in LOOPBACK
    return local and not memo(study).ask("any open", study.any_open)


def host_of(request: Request) -> str | None:
    """The name by which this server was asked, without its port."""
    asked = request.headers.get("host")
    return request.url.hostname if asked is None else parsed_host(asked)


@lru_cache(maxsize=256)
def parsed_host(asked: str) -> str | None:
    try:
        return urlsplit(f"//{asked}").hostname
    except ValueError:
        return None


async def staff(request: Request) -> Session | None:
    """As `require_staff`, for routes that stand outside FastAPI's, and that must be fast."""
    if memo(state(request).study).fast:
        return require_staff(request, current_session(request))
    return await run_in_threadpool(lambda: require_staff(request, current_session(request)))


def require_login(session: CurrentSession) -> Session:
    """The staff session. Raises LoginNeeded, or Forbidden for a rater."""
    if session is None or session.empty:
        raise LoginNeeded(
            "This page needs a login; run `dartboard login` on the server and open the link that it prints."
        )
    if session.role is None:
        raise Forbidden("Your invite opens the rating pages alone; go back to them to go on.")
    return session


def require_admin(session: Annotated[Session, Depends(require_login)]) -> Session:
    """The admin's session. Raises as `require_login` does, and Forbidden for an analyst."""
    if session.role != "admin":
        raise Forbidden("This page is for admins; ask one of them, or log in with an admin's link.")
    return session


def current_rater(session: CurrentSession) -> Rater:
    """The rater. Raises LoginNeeded where no invite was opened in this browser, or the session has ended."""
    if session is None or session.rater is None:
        raise LoginNeeded("Open your invite link to start or to go on; this browser must accept its cookie.")
    return session.rater
