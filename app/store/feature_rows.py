"""What the rows of a feature's page need, read by key, by SQLite's own interface: SQLAlchemy takes longer than the answer.

The same rows as `FeatureStore.hits` and `FeatureStore.contexts`, as arrays and plain tuples.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from app.store.feature_schema import FEATURE_FIGURES
from app.store.features import FeatureStore
from app.store.packing import GROUPS, Group, HitArrays, PackedHit, group_sizes, unpack_arrays, unpack_first

BLOB = "SELECT blob FROM hit WHERE dictionary_id = ? AND feature = ?"
CONTEXTS = (
    "SELECT context.id, context.tokens, document.title, context.held_out FROM context "
    "JOIN document ON document.id = context.document_id WHERE context.id IN ({})"
)


GLANCES = 'SELECT "index", state, top_token FROM feature WHERE dictionary_id = ? AND "index" IN ({})'


@dataclass(frozen=True, slots=True)
class Glance:
    """A feature as other pages name it."""

    index: int
    state: str
    top_token: str


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
class ShownContext:
    tokens: list[str]
    document: str
    held_out: bool


@contextmanager
def reading(store: FeatureStore) -> Iterator[Any]:
    """A cursor on the store's file."""
    with closing(store.engine.raw_connection()) as connection:
        yield connection.cursor()


def read_hits(
    store: FeatureStore, dictionary_id: int, feature: int, group: Group, first: int = 0, last: int | None = None
) -> tuple[HitArrays, dict[int, ShownContext]] | None:
    """The hits of one group, from `first` to `last`, and their contexts by id. None where the feature has no hit at all."""
    with reading(store) as cursor:
        found = cursor.execute(BLOB, (dictionary_id, feature)).fetchone()
        if found is None:
            return None
        hits = unpack_arrays(found[0], group, first, last)
        return hits, _contexts(cursor, sorted(set(hits.context.tolist())))


def hit_contexts(store: FeatureStore, dictionary_id: int, feature: int, group: Group) -> list[int]:
    """The contexts of a group's hits, strongest first."""
    with reading(store) as cursor:
        found = cursor.execute(BLOB, (dictionary_id, feature)).fetchone()
    return unpack_arrays(found[0], group).context.tolist() if found else []


def group_counts(store: FeatureStore, dictionary_id: int, feature: int) -> dict[Group, int]:
    """How many contexts each group has."""
    with reading(store) as cursor:
        found = cursor.execute(BLOB, (dictionary_id, feature)).fetchone()
    return dict(zip(GROUPS, group_sizes(found[0]) if found else [0] * len(GROUPS), strict=True))


def glances(store: FeatureStore, wanted: Mapping[int, Collection[int]]) -> dict[tuple[int, int], Glance]:
    """By dictionary's id and number; `wanted`: numbers of features by dictionary's id."""
    found = {}
    with reading(store) as cursor:
        for dictionary_id, indices in wanted.items():
            rows = cursor.execute(GLANCES.format(", ".join("?" * len(indices))), (dictionary_id, *sorted(indices)))
            found.update({(dictionary_id, row[0]): Glance(*row) for row in rows})
    return found


def lines(store: FeatureStore, dictionary_id: int, indices: Collection[int]) -> dict[int, FeatureLine]:
    """By number."""
    with reading(store) as cursor:
        rows = cursor.execute(LINES.format(", ".join("?" * len(indices))), (dictionary_id, *indices))
        return {row[0]: FeatureLine(*row) for row in rows}


def leading(
    store: FeatureStore, dictionary_id: int, indices: Collection[int]
) -> dict[int, tuple[PackedHit, ShownContext]]:
    """The strongest hit of each of these features that has any, with its context, by number."""
    with reading(store) as cursor:
        rows = cursor.execute(LEADING.format(", ".join("?" * len(indices))), (dictionary_id, *indices)).fetchall()
        hits = {index: hit for index, blob in rows if (hit := unpack_first(blob, "top"))}
        contexts = _contexts(cursor, sorted({hit.context for hit in hits.values()}))
    return {index: (hit, contexts[hit.context]) for index, hit in hits.items()}


def _contexts(cursor: Any, ids: Sequence[int]) -> dict[int, ShownContext]:
    rows = cursor.execute(CONTEXTS.format(", ".join("?" * len(ids))), ids)
    return {number: ShownContext(json.loads(tokens), title, bool(held)) for number, tokens, title, held in rows}
