"""What the rows of a feature's page need, read by key, by SQLite's own interface: SQLAlchemy takes longer than the answer.

The same rows as `FeatureStore.hits` and `FeatureStore.contexts`, as arrays and plain tuples.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any
from weakref import WeakKeyDictionary

from app.store.feature_schema import FEATURE_FIGURES
from app.store.features import Feature, FeatureStore, Related, RelationKind
from app.store.packing import (
    GROUPS,
    Group,
    PackedHit,
    group_sizes,
    unpack_contexts,
    unpack_first,
    unpack_related,
)

BLOB = "SELECT blob FROM hit WHERE dictionary_id = ? AND feature = ?"
CONTEXTS = (
    "SELECT context.id, context.tokens, document.title, context.held_out FROM context "
    "JOIN document ON document.id = context.document_id WHERE context.id IN ({})"
)

FEATURE_COLUMNS = tuple(field.name for field in fields(Feature))
FEATURE = f"""SELECT {", ".join(f'"{name}"' for name in FEATURE_COLUMNS)} FROM feature WHERE dictionary_id = ? AND "index" = ?"""
STORED_AS: dict[str, Callable[[Any], Any]] = {"histogram": json.loads, "outputs": json.loads, "single_token": bool}
READERS = [STORED_AS.get(name) for name in FEATURE_COLUMNS]
SCALE = 'SELECT dictionary_id, "index", max, min FROM feature WHERE dictionary_id = ? AND "index" = ?'
RELATIONS = (
    "SELECT other_id, kind, blob FROM relation WHERE dictionary_id = ? AND feature = ? "
    "ORDER BY kind DESC, other_id != ?, other_id"
)


LINES = (
    'SELECT "index", state, top_token, single_token, frequency, max, mean, peak_entropy FROM feature INDEXED BY '
    f'{FEATURE_FIGURES} WHERE dictionary_id = ? AND "index" IN ({{}})'
)
LEADING = "SELECT feature, blob FROM hit WHERE dictionary_id = ? AND feature IN ({})"


@dataclass(frozen=True, slots=True)
class FeatureLine:
    """A feature as a list shows it: all of it stands in one index."""

    index: int
    state: str
    top_token: str
    single_token: bool
    frequency: float
    max: float
    mean: float
    peak_entropy: float


@dataclass(frozen=True, slots=True)
class ShownScale:
    dictionary_id: int
    index: int
    max: float
    min: float | None


@dataclass(frozen=True, slots=True)
class ShownContext:
    tokens: list[str]
    document: str
    held_out: bool


_OPEN = threading.local()  # by store: this thread's connection, closed when one of the two goes


def reading(store: FeatureStore) -> sqlite3.Connection:
    """This thread's connection to the store's file."""
    known: WeakKeyDictionary[FeatureStore, sqlite3.Connection]
    known = _OPEN.__dict__.setdefault("connections", WeakKeyDictionary())
    found = known.get(store)
    if found is None:
        found = known[store] = store.connection()
    return found


def read_feature(store: FeatureStore, dictionary_id: int, index: int) -> Feature | None:
    """As `FeatureStore.feature`; None where there is none of that number."""
    row = reading(store).execute(FEATURE, (dictionary_id, index)).fetchone()
    if row is None:
        return None
    return Feature(
        *[read(value) if read and value is not None else value for read, value in zip(READERS, row, strict=True)]
    )


def read_scale(store: FeatureStore, dictionary_id: int, index: int) -> ShownScale | None:
    """The little of a feature that its contexts need; None where there is none of that number."""
    row = reading(store).execute(SCALE, (dictionary_id, index)).fetchone()
    return ShownScale(*row) if row is not None else None


def read_relations(
    store: FeatureStore, dictionary_id: int, index: int
) -> list[tuple[int, RelationKind, list[Related]]]:
    """What `FeatureStore.relations` tells, as plain tuples: a page has a dozen."""
    rows = reading(store).execute(RELATIONS, (dictionary_id, index, dictionary_id))
    return [(other, kind, unpack_related(blob)) for other, kind, blob in rows]


def read_blob(store: FeatureStore, dictionary_id: int, feature: int) -> bytes | None:
    """All hits of a feature, packed. None where it has none."""
    found = reading(store).execute(BLOB, (dictionary_id, feature)).fetchone()
    return found[0] if found else None


def read_contexts(store: FeatureStore, ids: Collection[int]) -> dict[int, ShownContext]:
    return _contexts(reading(store), sorted(ids))


def hit_contexts(store: FeatureStore, dictionary_id: int, feature: int, group: Group) -> list[int]:
    """The contexts of a group's hits, strongest first."""
    blob = read_blob(store, dictionary_id, feature)
    return unpack_contexts(blob, [group])[0] if blob is not None else []


def group_counts(blob: bytes | None) -> dict[str, int]:
    """How many contexts each group of a feature's hits has."""
    return dict(zip(GROUPS, group_sizes(blob) if blob is not None else [0] * len(GROUPS), strict=True))


def lines(store: FeatureStore, dictionary_id: int, indices: Collection[int]) -> dict[int, FeatureLine]:
    """By number."""
    rows = reading(store).execute(LINES.format(", ".join("?" * len(indices))), (dictionary_id, *indices))
    return {row[0]: FeatureLine(*row) for row in rows}


def leading(
    store: FeatureStore, dictionary_id: int, indices: Collection[int]
) -> dict[int, tuple[PackedHit, ShownContext]]:
    """The strongest hit of each of these features that has any, with its context, by number."""
    rows = reading(store).execute(LEADING.format(", ".join("?" * len(indices))), (dictionary_id, *indices)).fetchall()
    hits = {index: hit for index, blob in rows if (hit := unpack_first(blob, "top"))}
    contexts = read_contexts(store, {hit.context for hit in hits.values()})
    return {index: (hit, contexts[hit.context]) for index, hit in hits.items()}


def _contexts(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, ShownContext]:
    rows = connection.execute(CONTEXTS.format(", ".join("?" * len(ids))), ids)
    return {number: ShownContext(json.loads(tokens), title, bool(held)) for number, tokens, title, held in rows}
