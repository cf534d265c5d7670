"""Read what is scored from a feature store, and write what was found beside it: whole, or not at all."""

import contextlib
import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DatabaseError

from app.errors import NotFound, UserError
from app.store import feature_schema as f
from app.store import score_schema as t
from app.store.features import FeatureStore
from app.store.packing import GROUPS, unpack, unpack_peaks
from app.store.scores import FILE, Scores
from pipeline.files import whole
from pipeline.hits import sampled
from pipeline.scores.hits import FIFTHS, BlockHits, FeatureHits
from pipeline.scores.measures import ALL
from pipeline.scores.text import SiteText, StoredContext
from pipeline.sqlite import unread

PLACES = [GROUPS.index(group) for group in ("top", *(f"q{n + 1}" for n in range(FIFTHS)), "second")]
AT_A_TIME = 500  # parameters of a query
MARKED = 0.5
ROWS = 100_000  # written at a time
MEASURE = ("name", "source", "title", "meaning", "chance", "low", "high")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """Columns of a dictionary's features that have hits, in order of index; NaN where the store has no figure."""

    index: NDArray[np.int64]
    live: NDArray[np.bool_]
    frequency: NDArray[np.float64]
    count: NDArray[np.int64]
    decile_slope: NDArray[np.float64]
    second_stability: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Entry:
    """A dictionary to be scored."""

    id: int
    name: str
    site_id: int


@dataclass(frozen=True, slots=True)
class SiteEntry:
    """Where dictionaries were read; `first`: the id of its first context, `contexts`: of its first text."""

    id: int
    name: str
    first: int
    contexts: int


class Source:
    """A feature store to be scored. Raises NotFound, UserError."""

    def __init__(self, path: Path) -> None:
        self.store = FeatureStore(path)
        self.record = self.store.provenance()
        self.build_key: str | None = self.record.get("build_key")

    @property
    def dictionaries(self) -> list[Entry]:
        return [Entry(one.id, one.name, one.site_id) for one in self.store.dictionaries()]

    @property
    def sites(self) -> list[SiteEntry]:
        found, first = [], 0
        for site in self.store.sites():
            found.append(SiteEntry(site.id, site.name, first, site.contexts))
            first += site.contexts + (site.second_tokens or 0) // site.context_length
        return found

    @property
    def sampled(self) -> int:
        """Hits that a decile slope is measured on, at most."""
        return sampled(int(self.record.get("config", {}).get("pages", {}).get("per_quantile", 5)))

    def identity(self) -> Row:
        """What scores of this store are bound to."""
        return {"build_key": self.build_key, "digest": self.store.stated_digest}

    def text(self, site: SiteEntry, seed: int) -> SiteText:
        """A site's stored contexts. Those of its second text follow those of the first in the numbering of contexts."""
        c = f.context.c
        query = select(c.id, c.document_id, c.pool, c.tokens, c.masked).where(c.site_id == site.id).order_by(c.id)
        second = site.first + site.contexts
        with self.store.engine.connect() as connection:
            rows = [
                StoredContext(row.id, row.document_id, row.pool, row.id >= second, row.tokens, row.masked)
                for row in connection.execute(query)
            ]
        return SiteText.of(rows, seed)

    def facts(self, dictionary: Entry) -> Facts:
        """Of the features that have hits."""
        c = f.feature.c
        columns = c.index, c.state, c.frequency, c.count, c.decile_slope, c.second_stability
        query = select(*columns).where(c.dictionary_id == dictionary.id, c.count > 0).order_by(c.index)
        with self.store.engine.connect() as connection:
            rows = connection.execute(query).all()
        index, state, frequency, count, slope, stability = zip(*rows, strict=True) if rows else [()] * len(columns)
        return Facts(
            np.array(index, np.int64),
            np.array(state, str) == "live",
            np.array(frequency, np.float64),
            np.array(count, np.int64),
            np.array(slope, np.float64),
            np.array(stability, np.float64),
        )

    def hits(self, dictionary: Entry, features: Sequence[int], text_: SiteText, seed: int) -> BlockHits:
        """The hits of some features, ascending, each of which has any. Raises UserError where they are not there."""
        found: list[FeatureHits] = []
        h = f.hit.c
        with self.store.engine.connect() as connection:
            for first in range(0, len(features), AT_A_TIME):
                some = features[first : first + AT_A_TIME]
                query = select(h.blob).where(h.dictionary_id == dictionary.id, h.feature.in_(some)).order_by(h.feature)
                blobs = connection.execute(query).scalars().all()
                if len(blobs) != len(some):
                    raise UserError(f"{self.store.path} lacks hits of {dictionary.name}; build the store anew.")
                for context, peak, groups in map(unpack_peaks, blobs):
                    found.append(FeatureHits(context, peak, [groups[place] for place in PLACES]))
        return BlockHits.of(features, found, text_, seed, dictionary.name)

    def marks(self, dictionary: Entry, index: int, contexts: Sequence[int]) -> list[tuple[int, ...]]:
        """Of a feature's hits in these contexts, the positions that fire at least half as strongly as the peak."""
        with self.store.engine.connect() as connection:
            query = select(f.hit.c.blob).where(f.hit.c.dictionary_id == dictionary.id, f.hit.c.feature == index)
            blob = connection.execute(query).scalar_one()
        hits = {hit.context: hit for place in PLACES for hit in unpack(blob, GROUPS[place])}
        return [
            tuple(
                position
                for position, value in zip(hits[context].positions, hits[context].values, strict=True)
                if abs(value) >= MARKED * abs(hits[context].value)
            )
            for context in contexts
        ]


ScoreRow = tuple[int, int, str, float, float | None]
"""Dictionary, feature, measure, value, null; in that order."""


def standing(source: Source) -> Scores | None:
    """The scores beside a store, where they are of that store; a file of another store's is as good as none."""
    try:
        return Scores.beside(source.store)
    except (UserError, NotFound):
        return None


def published(source: Source, origin: str) -> Row:
    """What the standing scores say of how those of one origin were made; empty where there are none."""
    before = standing(source)
    if before is None:
        return {}
    try:
        found: Row = before.provenance().get(origin, {})
        return found
    finally:
        before.close()


def explained(
    source: Source, origin: str, made: Row, names: Sequence[str], but: set[tuple[int, int]]
) -> tuple[list[ScoreRow], list[Row]]:
    """The standing scores of these measures, and explanations, where they were `made` alike; not those of `but`."""
    before = standing(source)
    if before is None:
        return [], []
    try:
        there = before.provenance().get(origin, {})
        if any(there.get(key) != value for key, value in made.items()):
            return [], []
        with before.engine.connect() as connection:
            rows = connection.execute(select(t.score).where(t.score.c.measure.in_(names))).all()
            texts = connection.execute(select(t.explanation)).all()
    finally:
        before.close()
    return (
        [tuple(row) for row in rows if (row.dictionary_id, row.feature) not in but],
        [dict(row._mapping) for row in texts if (row.dictionary_id, row.feature) not in but],
    )


def publish_scores(
    source: Source,
    origin: str,
    names: Sequence[str],
    scores: Iterable[ScoreRow],
    provenance: Row,
    explanations: Sequence[Row] | None = None,
) -> Path:
    """Replace the scores of these measures, and the explanations where some are given; all else stays as it is.

    `scores` in order; `provenance`: how they were made, kept under `origin`. Raises UserError where the file cannot be
    written.
    """
    path = source.store.path.with_name(FILE)
    before = standing(source)
    kept, record, texts = _kept(before, names)
    record |= {"feature_store": source.identity(), origin: provenance}
    try:
        with whole(path) as temporary, _writing(temporary) as connection:
            rows = [{"key": key, "value": record[key]} for key in sorted(record)]
            connection.execute(insert(t.provenance), rows)
            used = _insert_scores(connection, heapq.merge(kept, scores))
            measures = [
                {"place": place, **{column: getattr(one, column) for column in MEASURE}}
                for place, one in enumerate(ALL)
                if one.name in used
            ]
            for table, found in (
                (t.measure, measures),
                (t.explanation, texts if explanations is None else explanations),
            ):
                if found:
                    connection.execute(insert(table), list(found))
    except (sqlite3.Error, DatabaseError, OSError) as error:
        reason = str(getattr(error, "orig", error))
        raise UserError(
            f"The scores could not be written to {path.parent} ({reason}); nothing was replaced."
        ) from error
    finally:
        if before is not None:
            before.close()
    return path


def _kept(before: Scores | None, names: Sequence[str]) -> tuple[list[ScoreRow], Row, list[Row]]:
    """What stays of the standing file: scores of other measures, provenance, explanations."""
    if before is None:
        return [], {}, []
    s = t.score
    with before.engine.connect() as connection:
        rows = connection.execute(select(s).where(s.c.measure.not_in(names)).order_by(*s.primary_key.columns))
        texts = connection.execute(select(t.explanation).order_by(*t.explanation.primary_key.columns))
        return [tuple(row) for row in rows], before.provenance(), [dict(row._mapping) for row in texts]


def _insert_scores(connection: Connection, rows: Iterator[ScoreRow]) -> set[str]:
    """The measures that there are."""
    used: set[str] = set()
    while some := list(islice(rows, ROWS)):
        used |= {row[2] for row in some}
        connection.exec_driver_sql("INSERT INTO score VALUES (?, ?, ?, ?, ?)", some)
    return used


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Connection]:
    with unread(path, t.APPLICATION_ID, t.SCHEMA_VERSION) as connection:
        t.metadata.create_all(connection)
        yield connection
