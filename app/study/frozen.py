"""A frozen study, ready to be stored: what raters will see, and apart from it the key that says what they saw."""

from dataclasses import dataclass
from typing import Any

from app.study.answers import Task
from app.study.content import Page


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What one page of an item is; dictionary and feature are None for a control."""

    page: str  # "a" or "b"
    arm: str
    dictionary: str | None
    feature: int | None
    stratum: dict[str, Any]  # decile of firing frequency, single-token flag; for a null page, what its levels copy


@dataclass(frozen=True, slots=True)
class FrozenItem:
    public_id: str  # random, for the whole study; a rater sees another id
    task: Task
    pages: dict[str, Page]  # {"a": …} or {"a": …, "b": …}
    turns: int  # items of one number take sides in turn
    key: tuple[KeyRow, ...]


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
