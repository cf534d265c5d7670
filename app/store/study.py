"""The study store: everything that must outlive the server — studies, raters, sessions, assignments, ratings, audit.

    store = StudyStore.open(settings.study_database_url)

Synchronous SQLAlchemy, one engine a process, the same code on SQLite and PostgreSQL. The item→arm key is written here
once and read by `app.store.sealed` alone; no method below returns it.
"""

from typing import Self

from app.store.base import Clock, TokenSource, random_token, utc_now
from app.store.drafts import Drafts
from app.store.engine import open_engine
from app.store.links import Links
from app.store.overview import Overview
from app.store.records import (
    AuditEntry,
    ChainHead,
    Draft,
    Feedback,
    Finished,
    ItemProgress,
    JoinPage,
    Link,
    LinkKind,
    Platform,
    Practice,
    Progress,
    Rater,
    RaterProgress,
    Role,
    Screen,
    Session,
    Stage,
    State,
    Study,
)
from app.store.stages import Stages
from app.store.withdrawal import Withdrawal

__all__ = [
    "AuditEntry",
    "ChainHead",
    "Clock",
    "Draft",
    "Feedback",
    "Finished",
    "ItemProgress",
    "JoinPage",
    "Link",
    "LinkKind",
    "Platform",
    "Practice",
    "Progress",
    "Rater",
    "RaterProgress",
    "Role",
    "Screen",
    "Session",
    "Stage",
    "State",
    "Study",
    "StudyStore",
    "TokenSource",
    "random_token",
    "utc_now",
]


class StudyStore(Overview, Drafts, Links, Stages, Withdrawal):
    """Studies and raters; logins, links and sessions; screens and ratings. One instance a process, safe among threads."""

    @classmethod
    def open(cls, url: str, *, clock: Clock = utc_now, token: TokenSource = random_token) -> Self:
        """The store at an SQLAlchemy URL, made or migrated where needed. Raises UserError as `open_engine` does."""
        return cls(open_engine(url), clock, token)
