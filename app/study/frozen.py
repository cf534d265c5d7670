"""A frozen study, ready to be stored: what raters will see, and apart from it the key that says what they saw."""

from dataclasses import dataclass
from typing import Any, Literal

from app.study.answers import Task
from app.study.content import Page

Purpose = Literal["main", "catch", "practice", "guess"]
"""`main` items are the study; `catch` items have a known answer; `practice` comes before, `guess` after the close."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What one page of an item is; dictionary and feature are None for a control."""

    page: str  # "a" or "b"
    arm: str  # "catch" and "practice" on items of that purpose
    dictionary: str | None
    feature: int | None
    # Decile of firing frequency, single-token flag; of a null page, what its levels copy; of a planted one, its token;
    # of an intruder trial, the third of the range and the intruder's place.
    stratum: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FrozenItem:
    public_id: str  # random, for the whole study; a rater sees another id
    task: Task
    pages: dict[str, Page]  # {"a": …} or {"a": …, "b": …}
    turns: int  # items of one number take sides in turn
    key: tuple[KeyRow, ...]
    purpose: Purpose = "main"
    # Of a catch or practice item, the right answer: {"lowest": 4, "highest": 5} of a score, {"pick": 2} of an intruder;
    # "feedback", what a rater is told of it. A rater's routes may read it, so it names no arm.
    expected: dict[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        """All that a rater may meet of it, and what decides whether and how: the key binds its hash."""
        return {
            "item": self.public_id,
            "purpose": self.purpose,
            "task": self.task,
            "turns": self.turns,
            "expected": self.expected,
            "pages": {name: page.to_json() for name, page in self.pages.items()},
        }


@dataclass(frozen=True, slots=True)
class FrozenStudy:
    name: str
    title: str
    instructions: str  # Markdown
    protocol: str  # canonical JSON
    protocol_hash: str  # SHA-256 of it, hex
    secret: str  # of public ids
    key_salt: str
    key_commitment: str
    report: dict[str, Any]  # arm by arm: what was eligible, dead, rare, drawn
    items: tuple[FrozenItem, ...]  # in order of public_id
