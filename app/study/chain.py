"""The hash chain of a study's ratings: each link holds the one before, so that none can be changed, added or taken out.

    content_hash = SHA-256 of canonical JSON [salt, content]
    hash         = SHA-256 of canonical JSON [previous hash, number, content_hash]

The first link follows the protocol's hash. `content` is what a rating says and whose it is (`content` below); the salt, 256
random bits, keeps a withdrawn rating from being guessed from its hash. A withdrawal erases content and salt, and leaves
number, content_hash and hash: the chain still holds, and its head, which exports name, stays what it was.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.study.blinding import canonical_json, sha256_hex


def iso(at: datetime) -> str:
    """An instant as text, to the microsecond: the same from SQLite, PostgreSQL and an export."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def content(
    *,
    rater: str,
    item: str,
    repeat: int,
    position: int,
    flip: bool,
    revision: int,
    state: str,
    answer: Mapping[str, Any],
    server_ms: int,
    visible_ms: int | None,
    staff: bool,
    at: datetime,
) -> dict[str, Any]:
    """What one rating says: `rater` by pseudonym, `item` by its id in exports, `state` accepted or surplus."""
    return {
        "rater": rater,
        "item": item,
        "repeat": repeat,
        "position": position,
        "flip": flip,
        "revision": revision,
        "state": state,
        "answer": dict(answer),
        "server_ms": server_ms,
        "visible_ms": visible_ms,
        "staff": staff,
        "at": iso(at),
    }


def content_hash(salt: str, what: Mapping[str, Any]) -> str:
    return sha256_hex(canonical_json([salt, dict(what)]))


def link(previous: str, number: int, hashed: str) -> str:
    """The hash of link `number` (from 1) after `previous`: the link before it, or the protocol's hash."""
    return sha256_hex(canonical_json([previous, number, hashed]))


@dataclass(frozen=True, slots=True)
class Link:
    """One rating as it is stored. A tombstone has neither salt nor content."""

    number: int
    previous: str
    content_hash: str
    hash: str
    salt: str | None
    content: Mapping[str, Any] | None
    withdrawn: bool  # says the store


def head(protocol_hash: str, links: Iterable[Link]) -> str:
    """The last link's hash; the protocol's where there is none."""
    last = protocol_hash
    for one in links:
        last = one.hash
    return last


def faults(protocol_hash: str, links: Iterable[Link]) -> Iterator[str]:
    """What does not fit, link by link, in order of number: which rating, and which part of it."""
    before = protocol_hash
    for number, one in enumerate(links, start=1):
        where = f"rating {one.number}"
        if one.number != number:
            yield f"{where}: rating {number} should stand here; ratings are missing, doubled or out of order"
            return  # every number that follows is off
        if one.previous != before:
            yield f"{where}: its link to the rating before it does not hold"
        if one.withdrawn:
            if one.salt is not None or one.content is not None:
                yield f"{where}: it was withdrawn, yet its content is still there"
        elif one.salt is None or one.content is None:
            yield f"{where}: its content is gone, yet it was not withdrawn"
        elif content_hash(one.salt, one.content) != one.content_hash:
            yield f"{where}: its content is not what was hashed when it was accepted ({_named(one.content)})"
        if link(one.previous, one.number, one.content_hash) != one.hash:
            yield f"{where}: its hash does not fit its number, its content's hash and the link before it"
        before = one.hash


def _named(what: Mapping[str, Any]) -> str:
    return f"rater {what.get('rater')}, item {what.get('item')}, revision {what.get('revision')}"
