"""Keyed hashes: canonical JSON, public ids, seeded orders, the commitment to a study's key.

Every seeded choice is an HMAC of a seed and of what it decides on, not a draw from a stateful generator: the same
choice comes out on any machine, in any order of asking, and with any version of a library.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from app.study.frozen import FrozenItem

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


def key_rows(items: Sequence[FrozenItem]) -> list[list[Any]]:
    """The key as plain rows, in order of item and page: what the commitment is made to."""
    return sorted(
        [item.public_id, row.page, row.arm, row.dictionary, row.feature, row.stratum]
        for item in items
        for row in sorted(item.key, key=lambda row: row.page)
    )


def commitment(salt: str, rows: Sequence[Sequence[Any]]) -> str:
    """Salted SHA-256 of the key: published before the first rating, checked after the reveal."""
    return hmac.digest(salt.encode(), canonical_json([list(row) for row in rows]).encode(), "sha256").hex()
