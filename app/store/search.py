"""Find features by the text of their contexts, and by tokens. Reads what a build wrote down to be searched.

found = contexts_with(store, "a phrase")
ranked = features_in(store, dictionary.id, found)

A text has features without number; each answer is bounded, and says of how much it is an answer.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text, tuple_

from app.store import feature_schema as t
from app.store.features import Context, FeatureStore, listed
from app.store.matching import match_query, plain, token_key
from app.store.postings import unpack_postings

CONTEXTS = 200  # looked at, of those that match
TOKENS = 200  # of a vocabulary, that begin alike
ELSEWHERE = 0.05  # what a hit counts whose peak is on none of the words searched for
BEGIN, END = "\x01", "\x02"  # no text has them: control characters are indexed as spaces


@dataclass(frozen=True, slots=True)
class FoundContexts:
    """Contexts in order of how well they match: their ids, a `weight` each, and where the words found stand.

    `spots[context, position]` is true at tokens of the words; None where nothing in particular was found (by meaning).
    `total`: how many contexts match, of which these are the first.
    """

    ids: NDArray[np.int64]
    weight: NDArray[np.float64]
    spots: NDArray[np.bool_] | None
    total: int

    def positions(self, context: int) -> frozenset[int]:
        """The tokens of a context that hold words found."""
        place = np.flatnonzero(self.ids == context)
        if self.spots is None or not len(place):
            return frozenset()
        return frozenset(np.flatnonzero(self.spots[place[0]]).tolist())


@dataclass(frozen=True, slots=True)
class RankedFeatures:
    """Features of a dictionary, best first, `[n]` each. `context`: the one of the found in which it fires most.

    `at`: whether its peak there is on a word searched for.
    """

    feature: NDArray[np.int64]
    context: NDArray[np.int64]
    at: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.feature)


def contexts_with(store: FeatureStore, typed: str, limit: int = CONTEXTS) -> FoundContexts:
    """Contexts that have the words typed (app.store.matching), those first that have them most often; empty for no word."""
    query = match_query(typed)
    if not query:
        return FoundContexts(np.zeros(0, np.int64), np.zeros(0), None, 0)
    with store.engine.connect() as connection:
        match = {"query": query, "limit": limit}
        total = connection.execute(text(f"SELECT count(*) {MATCHING}"), match).scalar_one()
        ids = connection.execute(text(f"SELECT rowid {MATCHING} ORDER BY rank, rowid LIMIT :limit"), match).scalars()
        found = np.array(list(ids), np.int64)
    contexts = store.contexts(found.tolist())
    spots = _spots([contexts[number] for number in found.tolist()], query)
    return FoundContexts(found, np.ones(len(found)), spots, total)


MATCHING = "FROM context_text WHERE context_text MATCH :query"


def contexts_like(near: Sequence[tuple[int, float]]) -> FoundContexts:
    """Contexts of these numbers, each with how near it is in meaning."""
    ids, weight = zip(*near, strict=True) if near else ((), ())
    return FoundContexts(np.array(ids, np.int64), np.array(weight, np.float64), None, len(ids))


def features_in(store: FeatureStore, dictionary_id: int, found: FoundContexts) -> RankedFeatures:
    """The features of a dictionary that have a hit in the contexts found.

    First those that fire most strongly on the words themselves: by the sum, over the contexts, of weight × strength.
    """
    row = {number: place for place, number in enumerate(found.ids.tolist())}
    c = t.context_feature.c
    query = select(c.context_id, c.blob).where(
        c.dictionary_id == dictionary_id, c.context_id.in_(listed(found.ids.tolist()))
    )
    with store.engine.connect() as connection:
        blobs = connection.execute(query.order_by(c.context_id)).all()
    unpacked = [unpack_postings(blob, 2) for _, blob in blobs]
    if not unpacked:
        none = np.zeros(0, np.int64)
        return RankedFeatures(none, none, np.zeros(0, bool))
    feature, peak, strength = (np.concatenate(column) for column in zip(*unpacked, strict=True))
    sizes = [len(columns[0]) for columns in unpacked]
    place = np.repeat([row[number] for number, _ in blobs], sizes)
    at = np.zeros(len(feature), bool) if found.spots is None else found.spots[place, peak]
    counts = found.weight[place] * strength * (1.0 if found.spots is None else np.where(at, 1.0, ELSEWHERE))
    numbers, which = np.unique(feature, return_inverse=True)
    total = np.bincount(which, counts)
    best = np.lexsort((place, -counts, which))  # each feature's best hit comes first
    best = best[np.flatnonzero(np.diff(which[best], prepend=-1))]
    order = np.lexsort((numbers, -total, ~at[best]))
    return RankedFeatures(numbers[order], found.ids[place[best]][order], at[best][order])


def features_of_context(store: FeatureStore, dictionary_id: int, context: int) -> list[tuple[int, int, float]]:
    """Each feature that has a hit in a context: its number, the peak's position, the hit's share of its largest."""
    c = t.context_feature.c
    query = select(c.blob).where(c.dictionary_id == dictionary_id, c.context_id == context)
    with store.engine.connect() as connection:
        blob = connection.execute(query).scalar_one_or_none()
    if blob is None:
        return []
    columns = [column.tolist() for column in unpack_postings(blob, 2)]
    return [(feature, peak, round(strength / 255, 3)) for feature, peak, strength in zip(*columns, strict=True)]


@dataclass(frozen=True, slots=True)
class OutputFeature:
    """A feature that makes a token more or less likely; `place`: the token's in its list, from 1."""

    feature: int
    token: str
    side: Literal["raises", "lowers"]
    place: int


def features_by_output(store: FeatureStore, dictionary_id: int, typed: str) -> list[OutputFeature]:
    """The features whose output tokens begin with what was typed; those first that have just it, high in their list."""
    key = token_key(typed)
    if not key:
        return []
    o = t.output_token.c
    begins = tuple_(o.key, o.token).between(tuple_(key, ""), tuple_(key + "\U0010ffff", ""))
    query = select(o.key, o.token, o.raises, o.lowers).where(o.dictionary_id == dictionary_id, begins)
    with store.engine.connect() as connection:
        rows = connection.execute(query.order_by(o.key, o.token).limit(TOKENS)).all()
    found = []
    for row in rows:
        for side, blob in (("raises", row.raises), ("lowers", row.lowers)):
            if blob:
                features, places = unpack_postings(blob, 1)
                exact = row.key == key
                for feature, place in zip(features.tolist(), places.tolist(), strict=True):
                    found.append((not exact, place, side == "lowers", feature, row.token))
    found.sort()
    return [
        OutputFeature(feature, token, "lowers" if lowers else "raises", place + 1)
        for _, place, lowers, feature, token in found
    ]


def features_by_peak(store: FeatureStore, dictionary_id: int, typed: str) -> list[int]:
    """The features whose most common peak token holds what was typed; those first that have just it, by frequency."""
    key = token_key(typed)
    if not key:
        return []
    columns = store.columns(dictionary_id)
    holds = np.array([key in name for name in columns.tokens], bool)[columns.token]
    exact = np.array([token_key(name) == key for name in columns.tokens], bool)[columns.token]
    found = np.flatnonzero(holds)
    ordered: list[int] = found[np.lexsort((-columns.figures["frequency"][found], ~exact[found]))].tolist()
    return ordered


def _spots(contexts: Sequence[Context], query: str) -> NDArray[np.bool_]:
    """`spots[context, position]`: the tokens that hold words which the query finds, as FTS5 itself finds them."""
    longest = max((len(context.tokens) for context in contexts), default=0)
    spots = np.zeros((len(contexts), longest), bool)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(t.HIGHLIGHTED)
        texts = [plain("".join(context.tokens)) for context in contexts]
        connection.executemany("INSERT INTO shown (rowid, text) VALUES (?, ?)", enumerate(texts))
        rows = connection.execute(
            "SELECT rowid, highlight(shown, 0, ?, ?) FROM shown WHERE shown MATCH ?", (BEGIN, END, query)
        )
        for place, marked in rows:
            tokens = contexts[place].tokens
            ends = np.cumsum([len(token) for token in tokens])
            inside = _marked(marked)
            before = np.r_[0, np.cumsum(inside)]
            spots[place, : len(tokens)] = before[ends] > before[np.r_[0, ends[:-1]]]
    return spots


def _marked(text: str) -> NDArray[np.bool_]:
    """Which characters of a text, marks left out, stand between a BEGIN and an END."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    depth = np.cumsum(np.where(codes == ord(BEGIN), 1, np.where(codes == ord(END), -1, 0)))
    inside: NDArray[np.bool_] = depth[(codes != ord(BEGIN)) & (codes != ord(END))] > 0
    return inside
