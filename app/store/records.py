"""What the study store returns: frozen dataclasses.

None says what an item is. `Study.protocol` does name the arms, so a rater's page may hold a study's title and
instructions, and never the study.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from app.study.answers import Answer, Task
from app.study.content import Page

State = Literal["open", "paused", "closed", "guessing", "revealed"]
Stage = Literal[
    "consent",
    "instructions",
    "practice",
    "rating",  # the questions; `screen` gives the next one, or None at the end
    "finished",
    "paused",
    "closed",
    "guess-intro",  # all fresh pages are rated: the arms are told
    "guess",
    "withdrawn",
]
LinkKind = Literal["open", "crowd"]
InviteState = Literal["none", "live", "expired", "revoked"]
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
    guessing_at: datetime | None
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
    invite: InviteState
    invite_expires_at: datetime | None
    source: Literal["invite", "open", "crowd", "simulated"]
    pace_ms: int | None  # median time on a question, by the server's clock
    catch_right: int
    catch_shown: int
    repeats_same: int  # the same score, choice or pick as the first time
    repeats_shown: int
    finished_at: datetime | None
    withdrawn_at: datetime | None
    released_at: datetime | None
    completion_code: str | None
    participant: str | None  # how a crowd platform calls this rater


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
    ask_explanation: bool
    ask_confidence: bool
    wait_seconds: float  # until an answer is accepted
    choices: tuple[str, ...]  # of a guess: the arms


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a rater is told of a practice answer."""

    correct: bool
    text: str


@dataclass(frozen=True, slots=True)
class Practice:
    question: Screen | None  # None where every one was answered rightly
    feedback: Feedback | None  # on the latest answer of all
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Finished:
    completion_code: str | None  # for raters of a crowd platform
    debrief: str  # Markdown


@dataclass(frozen=True, slots=True)
class Platform:
    """The ids that a crowd platform puts into the address."""

    participant: str
    study: str
    session: str

    @property
    def ids(self) -> tuple[str, str, str]:
        return self.participant, self.study, self.session


@dataclass(frozen=True, slots=True)
class Link:
    """A link by which many may join; its token is kept by nobody."""

    id: int
    kind: LinkKind
    cap: int
    taken: int  # places held now
    joined: int  # raters who ever came by it
    state: Literal["live", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime
    completion_code: str | None


@dataclass(frozen=True, slots=True)
class JoinPage:
    title: str
    kind: LinkKind


@dataclass(frozen=True, slots=True)
class ChainHead:
    """How many ratings a study's chain holds, and the last one's hash (the protocol's where there is none)."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A study file that an admin is still writing."""

    name: str
    text: str
    updated_at: datetime
    who: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    at: datetime
    who: str
    what: str
    study: str | None
    detail: dict[str, Any]
