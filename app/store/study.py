"""The study store: everything that must outlive the server — studies, raters, sessions, assignments, ratings, audit.

    store = StudyStore.open(settings.study_database_url)

Synchronous SQLAlchemy, one engine a process, the same code on SQLite and PostgreSQL. The item→arm key is written here
once and read by `app.store.sealed` alone; no method below returns it.
"""

from typing import Self

from app.store.access import Access
from app.store.base import Clock, TokenSource, random_token, utc_now
from app.store.engine import open_engine
from app.store.rating import Rating
from app.store.records import (
    AuditEntry,
    ItemProgress,
    Progress,
    Rater,
    RaterProgress,
    Role,
    Screen,
    Session,
    State,
    Study,
)
from app.store.studies import Studies

__all__ = [
    "AuditEntry",
    "Clock",
    "ItemProgress",
    "Progress",
    "Rater",
    "RaterProgress",
    "Role",
    "Screen",
    "Session",
    "State",
    "Study",
    "StudyStore",
    "TokenSource",
    "random_token",
    "utc_now",
]


class StudyStore(Studies, Access, Rating):
    """Studies and raters; logins and sessions; screens and ratings. One instance a process, safe among threads."""

    @classmethod
    def open(cls, url: str, *, clock: Clock = utc_now, token: TokenSource = random_token) -> Self:
        """The store at an SQLAlchemy URL, made or migrated where needed. Raises UserError as `open_engine` does."""
        return cls(open_engine(url), clock, token)
