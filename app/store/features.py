"""Read the feature store. Opened read-only; every query returns frozen dataclasses."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Engine, MetaData, Select, create_engine, func, select
from sqlalchemy.pool import QueuePool

from app.errors import NotFound, UserError
from app.files import database_marks, read_only
from app.store import feature_schema as t
from app.store import score_schema
from app.store.columns import Columns
from app.store.digest import rows_digest
from app.store.packing import Group, PackedHit, unpack, unpack_at, unpack_first, unpack_related

State = Literal["live", "rare", "never", "dead"]
"""`rare`: fires in too few contexts for a page. `never`: fired on no token of this corpus. `dead`: no text makes it fire
(a zero or non-finite encoder row), or it was dead by its training and never fired here."""
RelationKind = Literal["neighbour", "cofiring"]
scored = score_schema.score.to_metadata(MetaData(), schema="scores")  # in the file that `attach` names
SORTS = ("index", "frequency", "max", "mean", "entropy", "score")
"""What a list is sorted by; `score`: of features that have the score of the filter."""


@dataclass(frozen=True, slots=True)
class Site:
    id: int
    name: str
    model: str
    model_hash: str
    layer: int
    d: int
    corpus: str
    corpus_hash: str
    context_length: int
    tokens: int
    masked: dict[str, int] = field(hash=False)
    contexts: int
    documents: int
    median_norm: float
    gamma: float
    spread: float
    weights: str
    embeddings: str
    second_corpus: str | None
    second_tokens: int | None
    drift: dict[str, float] | None = field(hash=False)


@dataclass(frozen=True, slots=True)
class Dictionary:
    id: int
    name: str
    title: str
    family: str
    kind: str
    trained: bool
    site_id: int
    m: int
    natural_size: bool
    k: int | None
    rule: str
    encoding: str
    decoder: str
    seed: int
    fve: float | None
    fve_fit: float | None
    mse: float | None
    floor_isotropic: float | None
    floor_covariance: float | None
    l0: float | None
    alive: float
    above_1pct: float
    above_10pct: float
    ce_recovered: float | None
    kl_score: float | None
    weights_hash: str
    provenance: dict[str, Any] = field(hash=False)


class FeatureScale(Protocol):
    """What is needed of a feature to show its contexts: the strongest activations on the two sides of zero."""

    @property
    def dictionary_id(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def max(self) -> float: ...
    @property
    def min(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Feature:
    dictionary_id: int
    index: int
    state: State
    count: int
    frequency: float
    contexts: int
    max: float
    min: float | None
    mean: float
    peak_entropy: float
    single_token: bool
    top_token: str
    histogram: dict[str, Any]
    decile_slope: float | None
    second_frequency: float | None
    second_stability: float | None
    outputs: dict[str, list[tuple[str, float]]] | None  # "top" and "bottom": tokens of the vocabulary and their values


Related = tuple[int, float]
"""A feature among those nearest to another, and a cosine, or the Jaccard index of the tokens that they fire on."""


@dataclass(frozen=True, slots=True)
class Relation:
    """The features of one dictionary that are nearest to some feature, nearest first."""

    other_id: int
    kind: RelationKind
    features: tuple[Related, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much of one dictionary another holds. `curves`: by neighbour ("1", "10", "100"), the cosines at `quantiles`."""

    dictionary_id: int
    other_id: int
    mmcs: float
    curves: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Columns of a dictionary's features, `[m]` each; `live` says which are."""

    frequency: NDArray[np.float64]
    max: NDArray[np.float64]
    peak_entropy: NDArray[np.float64]
    live: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Nearest:
    """Features of a dictionary, the nearest feature of another to each, and the cosine of the two: `[n]` each."""

    feature: NDArray[np.int64]
    other: NDArray[np.int64]
    cosine: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Context:
    id: int
    site_id: int
    document_id: int
    document: str
    held_out: bool
    pool: bool
    tokens: list[str]
    masked: list[int]


@dataclass(frozen=True, slots=True)
class FeatureFilter:
    """What a list of features is narrowed to; None means no bound."""

    state: str | None = None
    single_token: bool | None = None
    token: str | None = None  # part of the most common peak token
    min_frequency: float | None = None
    max_frequency: float | None = None
    min_max: float | None = None
    max_max: float | None = None
    min_entropy: float | None = None
    max_entropy: float | None = None
    among: frozenset[int] | None = None  # features of these numbers alone
    score: str | None = None  # features that have this machine score; `FeatureStore.attach` says where those are
    min_score: float | None = None
    max_score: float | None = None

    def bounds(self) -> Iterable[tuple[str, float | None, float | None]]:
        """By what a list can be sorted by: the least and the most."""
        return (
            ("frequency", self.min_frequency, self.max_frequency),
            ("max", self.min_max, self.max_max),
            ("entropy", self.min_entropy, self.max_entropy),
            ("score", self.min_score, self.max_score),
        )


def listed(numbers: Iterable[int]) -> Select[tuple[int]]:
    """Whole numbers as a subquery of one parameter, however many they are."""
    values = func.json_each(json.dumps(sorted(numbers))).table_valued("value")
    return select(values.c.value)


class FeatureStore:
    """A feature store on disk.

    Raises UserError where the file is no feature store or was written by another version's schema, NotFound where it is
    missing.
    """

    def __init__(self, path: Path) -> None:
        if check_store(path) < t.SCHEMA_VERSION:
            raise UserError(
                f"{path} was written by an older dartboard; make it anew with `dartboard build BUILD.toml`."
            )
        self.path = path
        self._columns: dict[int, Columns] = {}
        self._values: dict[tuple[int, str], NDArray[np.float64]] = {}
        self._scores: str | None = None
        self._uri = read_only(path)
        self.engine: Engine = create_engine(
            "sqlite://",
            creator=self.connection,
            poolclass=QueuePool,
        )

    def close(self) -> None:
        self.engine.dispose()

    def attach(self, scores: str | None) -> None:
        """Have the scores at this address beside the features, for lists by score; app.store.scores checks whose they are."""
        self._scores = scores
        self._values.clear()
        self.engine.dispose()  # connections from now on have them

    def provenance(self) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return {row.key: row.value for row in connection.execute(select(t.provenance).order_by(t.provenance.c.key))}

    def sites(self) -> list[Site]:
        return list(self._sites)

    def dictionaries(self) -> list[Dictionary]:
        return list(self._dictionaries)

    @cached_property
    def _sites(self) -> tuple[Site, ...]:  # read once: the file never changes
        with self.engine.connect() as connection:
            return tuple(Site(**row._mapping) for row in connection.execute(select(t.site).order_by(t.site.c.id)))

    @cached_property
    def _dictionaries(self) -> tuple[Dictionary, ...]:
        with self.engine.connect() as connection:
            rows = connection.execute(select(t.dictionary).order_by(t.dictionary.c.id))
            return tuple(Dictionary(**row._mapping) for row in rows)

    def dictionary(self, name: str) -> Dictionary:
        dictionaries = self.dictionaries()
        for dictionary in dictionaries:
            if dictionary.name == name:
                return dictionary
        known = ", ".join(dictionary.name for dictionary in dictionaries)
        raise NotFound(f"There is no dictionary “{name}” in this store; it has {known}.")

    def features(
        self,
        dictionary_id: int,
        *,
        where: FeatureFilter = FeatureFilter(),
        sort: str = "index",
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Feature]:
        """Those that pass a filter, in order: found in columns that are kept, and only then read by key."""
        found = self.indices(dictionary_id, where=where, sort=sort, descending=descending, limit=limit, offset=offset)
        known = self.some(dictionary_id, found)
        return [known[index] for index in found]

    def indices(
        self,
        dictionary_id: int,
        *,
        where: FeatureFilter = FeatureFilter(),
        sort: str = "index",
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[int]:
        """The numbers of those that pass a filter, in order.

        Of equals the one with the smaller number comes first, or last where the order is descending: as an index is read.
        """
        found = self.columns(dictionary_id).order(where, sort, descending, self._scores_of(dictionary_id))
        chosen: list[int] = found[offset : None if limit is None else offset + limit].tolist()
        return chosen

    def count(self, dictionary_id: int, where: FeatureFilter = FeatureFilter()) -> int:
        """How many pass a filter."""
        return int(self.columns(dictionary_id).passing(where, self._scores_of(dictionary_id)).sum())

    def columns(self, dictionary_id: int) -> Columns:
        """What lists are made of, kept from the first time on."""
        found = self._columns.get(dictionary_id)
        if found is None:
            with closing(self.connection()) as connection:
                found = self._columns[dictionary_id] = Columns.read(connection, dictionary_id)
        return found

    def _scores_of(self, dictionary_id: int) -> Callable[[str], NDArray[np.float64]]:
        return lambda measure: self._score(dictionary_id, measure)

    def _score(self, dictionary_id: int, measure: str) -> NDArray[np.float64]:
        """A measure's value of every feature, NaN where it has none."""
        values = self._values.get((dictionary_id, measure))
        if values is None:
            values = np.full(len(self.columns(dictionary_id).state), np.nan)
            c = scored.c
            query = select(c.feature, c.value).where(c.dictionary_id == dictionary_id, c.measure == measure)
            with self.engine.connect() as connection:
                for feature, value in connection.execute(query):
                    values[feature] = value
            self._values[dictionary_id, measure] = values
        return values

    def feature(self, dictionary: Dictionary, index: int) -> Feature:
        query = select(t.feature).where(t.feature.c.dictionary_id == dictionary.id, t.feature.c.index == index)
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(
                f"{dictionary.name} has no feature {index}; its features are numbered 0 to {dictionary.m - 1}."
            )
        return Feature(**row._mapping)

    def some(self, dictionary_id: int, indices: Iterable[int]) -> dict[int, Feature]:
        """The features of these numbers, by number; numbers that there are not are left out."""
        f = t.feature.c
        query = select(t.feature).where(f.dictionary_id == dictionary_id, f.index.in_(listed(set(indices))))
        with self.engine.connect() as connection:
            return {one.index: one for one in (Feature(**row._mapping) for row in connection.execute(query))}

    def figures(self, dictionary_id: int) -> Figures:
        """What the histograms of a dictionary are made of, in order of index."""
        found = self.columns(dictionary_id)
        figures = found.figures
        return Figures(figures["frequency"], figures["max"], figures["entropy"], found.state == "live")

    def leading(self, dictionary_id: int, indices: Iterable[int]) -> dict[int, PackedHit]:
        """The strongest hit of each of these features that has any."""
        h = t.hit.c
        query = select(h.feature, h.blob).where(h.dictionary_id == dictionary_id, h.feature.in_(listed(set(indices))))
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return {row.feature: hit for row in rows if (hit := unpack_first(row.blob, "top"))}

    def nearest(self, dictionary_id: int, other_id: int) -> Nearest:
        """For each feature the one of another dictionary whose direction is nearest; empty where none were compared."""
        query = (  # a blob is as many numbers of features, then as many cosines
            "SELECT feature, substr(blob, 1, 4), substr(blob, length(blob) / 2 + 1, 4) FROM relation WHERE dictionary_id = ?"
            " AND other_id = ? AND kind = 'neighbour' AND length(blob) > 0 ORDER BY feature"
        )
        with closing(self.connection()) as connection:
            rows = connection.execute(query, (dictionary_id, other_id)).fetchall()
        features, others, cosines = zip(*rows, strict=True) if rows else ((), (), ())
        return Nearest(
            np.array(features, np.int64),
            np.frombuffer(b"".join(others), "<u4").astype(np.int64),
            np.frombuffer(b"".join(cosines), "<f4").astype(np.float64),
        )

    def frequencies(self, dictionary_id: int) -> list[float]:
        """How often each feature fires, in order of index."""
        return list(self.figures(dictionary_id).frequency.tolist())

    def states(self, dictionary_id: int) -> dict[str, int]:
        """How many features are in each state; a state that none is in is left out."""
        names, counts = np.unique(self.columns(dictionary_id).state, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))

    def hits(self, dictionary_id: int, index: int, group: Group = "top") -> tuple[PackedHit, ...]:
        """The hits of one group, strongest first; empty where the feature has none."""
        query = select(t.hit.c.blob).where(t.hit.c.dictionary_id == dictionary_id, t.hit.c.feature == index)
        with self.engine.connect() as connection:
            blob = connection.execute(query).scalar_one_or_none()
        return unpack(blob, group) if blob is not None else ()

    def hit_in(self, dictionary_id: int, index: int, context: int) -> PackedHit | None:
        """A feature's hit in one context, in whatever group it is shown; None where it has none."""
        query = select(t.hit.c.blob).where(t.hit.c.dictionary_id == dictionary_id, t.hit.c.feature == index)
        with self.engine.connect() as connection:
            blob = connection.execute(query).scalar_one_or_none()
        return unpack_at(blob, context) if blob is not None else None

    def relations(self, dictionary_id: int, index: int) -> tuple[Relation, ...]:
        """What is nearest to a feature: neighbours, then features that fire with it; its own dictionary's come first."""
        r = t.relation.c
        query = select(r.other_id, r.kind, r.blob).where(r.dictionary_id == dictionary_id, r.feature == index)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(r.kind.desc(), r.other_id != dictionary_id, r.other_id)).all()
        return tuple(Relation(row.other_id, row.kind, tuple(unpack_related(row.blob))) for row in rows)

    def comparisons(self) -> tuple[Comparison, ...]:
        """What the directions of dictionaries find in each other's, by id and the other's id."""
        query = select(t.comparison).order_by(*t.comparison.primary_key.columns)
        with self.engine.connect() as connection:
            return tuple(Comparison(**row._mapping) for row in connection.execute(query))

    def contexts(self, ids: Iterable[int]) -> dict[int, Context]:
        return self._contexts([t.context.c.id.in_(sorted(set(ids)))])

    def nearest_context(self, number: int) -> int:
        """The number, nearest to this one, of a context that there is."""
        c = t.context.c
        with self.engine.connect() as connection:
            query = select(c.id).order_by(func.abs(c.id - number), c.id).limit(1)
            return int(connection.execute(query).scalar_one())

    def pool(self, site_id: int) -> list[Context]:
        """The arm-neutral sample of contexts, in order of id."""
        return list(self._contexts([t.context.c.pool, t.context.c.site_id == site_id]).values())

    def _contexts(self, where: Sequence[ColumnElement[bool]]) -> dict[int, Context]:
        query = (
            select(t.context, t.document.c.title.label("document"))
            .join(t.document, t.document.c.id == t.context.c.document_id)
            .where(*where)
            .order_by(t.context.c.id)
        )
        with self.engine.connect() as connection:
            return {row.id: Context(**row._mapping) for row in connection.execute(query)}

    def digest(self) -> str:
        """SHA-256 of the rows of the feature, hit and context tables, hex. Worked out once: it reads them all."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        with closing(self.connection()) as connection:
            return rows_digest(connection)

    @property
    def stated_digest(self) -> str:
        """What the build wrote down as the digest: a label to compare with, where nobody need check it."""
        return str(self.provenance()["digest"])

    def connection(self) -> sqlite3.Connection:
        """A connection of one's own, read-only, for what SQLAlchemy adds nothing to; to be closed."""
        connection = sqlite3.connect(self._uri, uri=True, check_same_thread=False)
        if self._scores is not None:
            with suppress(sqlite3.OperationalError):  # gone since: then there are no lists by score, but all the rest
                connection.execute("ATTACH ? AS scores", (self._scores,))
        return connection


def check_store(path: Path) -> int:
    """The schema of the feature store at `path`. Raises NotFound, or UserError where it is none, or newer than this version."""
    if not path.is_file():
        raise NotFound(f"There is no feature store at {path}; make one with `dartboard build BUILD.toml`.")
    try:
        application_id, version = database_marks(path)
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{path} is not a dartboard feature store ({error}); name the file that a build wrote."
        ) from error
    if application_id != t.APPLICATION_ID:
        raise UserError(f"{path} is a database, but not a dartboard feature store; name the file that a build wrote.")
    if version > t.SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema {version}, newer than the {t.SCHEMA_VERSION} that this dartboard reads; upgrade dartboard."
        )
    return version
