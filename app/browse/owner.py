"""Whose stars, lists and notes a request is about: the name of its login."""

from starlette.requests import Request

from app.errors import LoginNeeded
from app.sessions import current_session
from app.store.study import Session


def owner_of(request: Request) -> str | None:
    """None where nobody is signed in, as on a computer that everybody at it may browse."""
    return owner_name(current_session(request))


def owner_name(session: Session | None) -> str | None:
    return session.name if session is not None and session.role is not None else None


def owner_needed(request: Request) -> str:
    """Raises LoginNeeded."""
    owner = owner_of(request)
    if owner is None:
        raise LoginNeeded(
            "Stars, lists and notes belong to a login; run `dartboard login` on the server and open the link that it prints."
        )
    return owner
