"""Keyed hashes: canonical JSON, public ids, seeded orders, the commitment to a study's key.

Every seeded choice is an HMAC of a seed and of what it decides on, not a draw from a stateful generator: the same
choice comes out on any machine, in any order of asking, and with any version of a library.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from app.study.frozen import FrozenItem, KeyRow

T = TypeVar("T")
PUBLIC_ID_DIGITS = 24  # 96 bits
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text for one value, which is what gets hashed. No NaN, no infinity."""
    return CANONICAL.encode(value)


def sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def keyed(key: str | int, *parts: str | int) -> bytes:
    """HMAC-SHA256 of the parts. They are joined as JSON, so that no two lists of parts run into one text."""
    return hmac.digest(str(key).encode(), canonical_json(list(parts)).encode(), "sha256")


def shuffled(values: Iterable[T], key: str | int, label: str, name: Callable[[T], str | int]) -> list[T]:
    """The values in a seeded order; `name` tells them apart."""
    return sorted(values, key=lambda value: keyed(key, label, name(value)))


def public_id(secret: str, rater: str, item: str) -> str:
    """What one rater sees as an item's id: two raters cannot compare notes by it."""
    return keyed(secret, "public", rater, item).hex()[:PUBLIC_ID_DIGITS]


def item_id(secret: str, number: int) -> str:
    """An item's id in the export, the same for all raters."""
    return keyed(secret, "item", number).hex()[:PUBLIC_ID_DIGITS]


def content_hash(shown: Mapping[str, Any]) -> str:
    """SHA-256 of what an item shows: `FrozenItem.shown()`, as it is stored and exported."""
    return sha256_hex(canonical_json(dict(shown)))


def key_row(public_id: str, row: KeyRow, hashed: str) -> list[Any]:
    """One page's row of the key: which item, what it is, and the hash of what the item shows."""
    return [public_id, row.page, row.arm, row.dictionary, row.feature, row.stratum, hashed]


def key_rows(items: Sequence[FrozenItem]) -> list[list[Any]]:
    """The key as plain rows, in order of item and page: what the commitment is made to."""
    return [
        key_row(item.public_id, row, content_hash(item.shown()))
        for item in sorted(items, key=lambda item: item.public_id)
        for row in sorted(item.key, key=lambda row: row.page)
    ]


def seal(salt: str, row: Sequence[Any]) -> str:
    """Salted SHA-256 of one row of the key. It is kept beside the row, so that a change can be told to the row."""
    return hmac.digest(salt.encode(), canonical_json(list(row)).encode(), "sha256").hex()


def commitment(salt: str, rows: Sequence[Sequence[Any]]) -> str:
    """Salted SHA-256 of all seals: published before the first rating, checked after the reveal."""
    return sealed(salt, [seal(salt, row) for row in rows])


def sealed(salt: str, seals: Sequence[str]) -> str:
    """The commitment to rows with these seals, in order of item and page."""
    return hmac.digest(salt.encode(), canonical_json(list(seals)).encode(), "sha256").hex()
