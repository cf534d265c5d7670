"""What the study store returns: frozen dataclasses.

None says what an item is. `Study.protocol` does name the arms, so a rater's page may hold a study's title and
instructions, and never the study.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from app.study.answers import Answer, Task
from app.study.content import Page

State = Literal["open", "closed", "revealed"]
Role = Literal["admin", "analyst"]


@dataclass(frozen=True, slots=True)
class Study:
    id: int
    name: str
    title: str
    state: State
    instructions: str  # Markdown
    protocol: dict[str, Any]
    protocol_hash: str  # SHA-256 of the canonical JSON, hex
    key_commitment: str
    items: int
    created_at: datetime
    closed_at: datetime | None
    revealed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rater:
    id: int
    study_id: int
    study: str  # name
    pseudonym: str
    label: str  # what the admin calls this rater; never exported
    started_at: datetime | None  # when the instructions were left


@dataclass(frozen=True, slots=True)
class Session:
    """Who a cookie stands for; one session may be staff and rater at once."""

    role: Role | None
    name: str
    was_staff: bool  # it is staff, or ever was
    rater: Rater | None
    expires_at: datetime

    @property
    def empty(self) -> bool:
        """Neither staff nor rater: left by a logout."""
        return self.role is None and self.rater is None


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    total: int  # done, plus what is left for this rater
    can_undo: bool


@dataclass(frozen=True, slots=True)
class RaterProgress:
    """A row of the admin's table; blind to arms."""

    rater: Rater
    done: int
    last_at: datetime | None
    invite: Literal["none", "live", "expired", "revoked"]
    invite_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ItemProgress:
    """How many items have that many accepted ratings; blind to arms."""

    ratings: int
    items: int


@dataclass(frozen=True, slots=True)
class Screen:
    """One question: pages in display order, the side already applied."""

    public_id: str
    task: Task
    position: int  # 1-based place in this rater's order
    done: int
    total: int
    pages: tuple[Page, ...]
    revision: int
    previous: Answer | None  # where undo has reopened it
    can_undo: bool


@dataclass(frozen=True, slots=True)
class AuditEntry:
    at: datetime
    who: str
    what: str
    study: str | None
    detail: dict[str, Any]
