"""Write the feature store: every summary, dictionary and context into one SQLite file, in one go or not at all."""

import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, insert
from sqlalchemy.exc import DatabaseError
from sqlalchemy.schema import CreateTable

from app.errors import UserError
from app.store import feature_schema as t
from app.store.digest import rows_digest
from pipeline.blocks import blocks
from pipeline.config import ModelConfig, PagesConfig, SiteConfig
from pipeline.corpus import Contexts
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.decoders import Fidelity
from pipeline.engines import Piece, Result, Shared
from pipeline.engines.local import Local
from pipeline.entries import NATURAL_SIZE, AnyDictionary
from pipeline.hashing import derive, mix
from pipeline.hits import Keep
from pipeline.publish_search import (
    add_full_text,
    create_full_text,
    finish_full_text,
    write_context_features,
    write_output_tokens,
)
from pipeline.rows import (
    Block,
    Entry,
    FeatureRows,
    Places,
    ReadText,
    SiteRows,
    SomeContexts,
    Summarised,
    context_rows,
    feature_rows,
)
from pipeline.sample import Statistics
from pipeline.shown import Shown
from pipeline.sqlite import unread
from pipeline.tables import Tables, no_tables
from pipeline.text import TokenText

PAGE_SIZE = 16_384  # rows of some kilobytes leave less of a page empty than in SQLite's usual 4,096
CONTEXTS = 512  # whose rows are made at a time


@dataclass(frozen=True, slots=True)
class PublishedText:
    """A text that was read: `allowed[context, position]` is false where no feature may fire; `masked` counts why."""

    corpus: str
    contexts: Contexts
    allowed: NDArray[np.bool_]
    masked: dict[str, int]

    @property
    def size(self) -> int:
        """Tokens read, masked ones included."""
        return self.contexts.count * self.contexts.length

    @property
    def unmasked(self) -> int:
        return self.size - sum(self.masked.values())


@dataclass(frozen=True, slots=True)
class PublishedDictionary:
    """`dead[m]`: can't fire, or marked so by its training. What is called is called by workers, and must be picklable.

    `second` gives summaries over the second text, where there is one.
    """

    config: AnyDictionary
    k: int | None
    rule: str
    signed: bool
    dead: NDArray[np.bool_]
    fidelity: Fidelity
    extra: dict[str, Any]  # training curve, seconds
    load: Callable[[], Dictionary]
    summary: Summarised
    second: Summarised | None = None
    tables: Callable[[], Tables] = no_tables

    @classmethod
    def of(cls, config: AnyDictionary, dictionary: Dictionary, extra: dict[str, Any], **rest: Any) -> Self:
        """With what the dictionary itself says."""
        largest = torch.linalg.vector_norm(dictionary.encoder, torch.inf, dim=1).numpy()
        dead = ~np.isfinite(largest) | (largest == 0)
        if dictionary.dead is not None:
            dead |= dictionary.dead.numpy()
        facts = {**dictionary.provenance, **extra}
        return cls(config, dictionary.k, dictionary.rule, dictionary.signed, dead, extra=facts, **rest)


@dataclass(frozen=True, slots=True)
class PublishedSite:
    config: SiteConfig
    model: ModelConfig
    model_hash: str
    corpus_hash: str
    text: PublishedText
    statistics: Statistics
    keep: Keep
    tokens: TokenText
    dictionaries: list[PublishedDictionary]
    second: PublishedText | None = None
    drift: dict[str, float] | None = None


def publish(
    path: Path,
    sites: list[PublishedSite],
    config: PagesConfig,
    seed: int,
    provenance: dict[str, Any],
    engine: Local,
    advance: Callable[[int], None],
) -> None:
    """Replace the store at `path`; `engine` makes its rows, `advance` is told of dictionaries as they are written.

    Raises UserError where the disk is full.
    """
    temporary = path.with_name(f".{path.name}.part")  # one build at a time: what a killed one left is overwritten
    try:
        with _writing(temporary) as connection:
            _write(connection, sites, config, seed, provenance, engine, advance)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (sqlite3.Error, DatabaseError) as error:
        reason = str(getattr(error, "orig", error))
        raise UserError(
            f"The feature store could not be written to {path.parent} ({reason}); nothing was replaced."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Connection]:
    with unread(path, t.APPLICATION_ID, t.SCHEMA_VERSION, PAGE_SIZE) as connection:
        for table in t.metadata.sorted_tables:
            connection.execute(CreateTable(table))
        create_full_text(connection)
        yield connection
        finish_full_text(connection)
        for table in t.metadata.sorted_tables:  # after the rows: faster, and packed more tightly
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                index.create(connection)


def _write(
    connection: Connection,
    sites: list[PublishedSite],
    config: PagesConfig,
    seed: int,
    provenance: dict[str, Any],
    engine: Local,
    advance: Callable[[int], None],
) -> None:
    rows = [{"key": key, "value": value} for key, value in provenance.items()]
    rows.append({"key": "published_at", "value": datetime.now(UTC).isoformat(timespec="seconds")})
    names = [dictionary.config.name for site in sites for dictionary in site.dictionaries]
    ids = {name: number for number, name in enumerate(names)}
    first = _Numbers()
    for site_id, site in enumerate(sites):
        writer = _SiteWriter(connection, site, site_id, first, ids, config, engine)
        writer.site()
        writer.dictionaries(advance)
        writer.contexts(derive(seed, "pool", site.config.name))
        first = writer.following()
    written = connection.connection.driver_connection
    assert isinstance(written, sqlite3.Connection)
    rows.append({"key": "digest", "value": rows_digest(written)})
    connection.execute(insert(t.provenance), rows)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The first ids that are free."""

    context: int = 0
    document: int = 0

    def after(self, contexts: Contexts) -> "_Numbers":
        return _Numbers(self.context + contexts.count, self.document + len(contexts.titles))


@dataclass(slots=True)
class _SiteWriter:
    connection: Connection
    work: PublishedSite
    id: int
    first: _Numbers
    ids: dict[str, int]  # of dictionaries, by name
    config: PagesConfig
    engine: Local
    texts: list[tuple[PublishedText, _Numbers]] = field(init=False)  # the text, and the second one
    used: list[NDArray[np.bool_]] = field(init=False)  # contexts that some hit names, for each text
    rows: Shared[SiteRows] = field(init=False)

    def __post_init__(self) -> None:
        self.texts = []
        first = self.first
        for one in (self.work.text, self.work.second):
            if one is not None:
                self.texts.append((one, first))
                first = first.after(one.contexts)
        self.used = [np.zeros(one.contexts.count, bool) for one, _ in self.texts]
        self.rows = self.engine.share(self._shared())

    def _shared(self) -> SiteRows:
        work = self.work
        read = [ReadText(Shown(one.contexts, work.tokens), first.context, one.unmasked) for one, first in self.texts]
        entries = [
            Entry(one.dead, one.signed, one.summary, one.second if work.second is not None else None, one.tables)
            for one in work.dictionaries
        ]
        return SiteRows(tuple(read), work.keep, self.config, tuple(entries), self.ids)

    def following(self) -> _Numbers:
        last, first = self.texts[-1]
        return first.after(last.contexts)

    def site(self) -> None:
        work, statistics, read = self.work, self.work.statistics, self.work.text
        row = {
            "id": self.id,
            "name": work.config.name,
            "model": work.config.model,
            "model_hash": work.model_hash,
            "weights": work.model.weights,
            "embeddings": work.model.embeddings,
            "layer": work.config.layer,
            "d": len(statistics.mean),
            "corpus": read.corpus,
            "corpus_hash": work.corpus_hash,
            "context_length": read.contexts.length,
            "tokens": read.size,
            "masked": read.masked,
            "contexts": read.contexts.count,
            "documents": len(read.contexts.titles),
            "median_norm": statistics.median_norm,
            "gamma": statistics.gamma,
            "spread": statistics.spread,
            "second_corpus": work.second.corpus if work.second else None,
            "second_tokens": work.second.size if work.second else None,
            "drift": work.drift,
        }
        _insert(self.connection, t.site, [row])
        for one, first in self.texts:
            titles = [{"id": first.document + number, "title": title} for number, title in one.contexts.titles.items()]
            _insert(self.connection, t.document, titles)

    def dictionaries(self, advance: Callable[[int], None]) -> None:
        """Blocks of features are made on all workers, and written in order as they come."""
        dictionaries = self.work.dictionaries
        pieces = [Block(entry, n) for entry, one in enumerate(dictionaries) for n in range(blocks(len(one.dead)))]
        made = self.engine.run(functools.partial(feature_rows, self.rows), pieces)
        with ThreadPoolExecutor(1) as aside:
            hashes = [aside.submit(_hash, one.load) for one in dictionaries]
            for entry, mine in groupby(_in_order(pieces, made), lambda found: found[0].entry):
                published, number = dictionaries[entry], self.ids[dictionaries[entry].config.name]
                frequencies: list[NDArray[np.float64]] = []
                places: list[Places] = []
                for _, rows in mine:
                    self._block(number, rows)
                    frequencies.append(rows.frequency)
                    places.append(rows.places)
                write_context_features(self.connection, number, places)
                self._dictionary(published, number, np.concatenate(frequencies), hashes[entry].result())
                advance(1)

    def _block(self, number: int, rows: FeatureRows) -> None:
        for table, columns in ((t.feature, rows.feature), (t.hit, rows.hit), (t.relation, rows.relation)):
            ids = [number] * len(columns["feature" if "feature" in columns else "index"])
            _insert_columns(self.connection, table, {"dictionary_id": ids, **columns})
        for used, some in zip(self.used, rows.used, strict=True):
            used[some] = True

    def _dictionary(
        self, published: PublishedDictionary, number: int, frequency: NDArray[np.float64], weights_hash: str
    ) -> None:
        tables, config, fidelity = published.tables(), published.config, published.fidelity
        row = {
            "id": number,
            "name": config.name,
            "title": config.title,
            "family": config.family,
            "kind": config.kind,
            "trained": config.kind == "file" or config.kind.endswith("-sae"),
            "site_id": self.id,
            "m": len(frequency),
            "natural_size": config.kind in NATURAL_SIZE,
            "k": published.k,
            "rule": published.rule,
            "encoding": config.encoding,
            "decoder": config.decoder,
            "seed": config.seed,
            "fve": fidelity.fve,
            "fve_fit": fidelity.fve_fit,
            "mse": fidelity.mse,
            "l0": fidelity.l0,
            "floor_isotropic": tables.floor_isotropic,
            "floor_covariance": tables.floor_covariance,
            "alive": float((frequency > 0).mean()),
            "above_1pct": float((frequency > 0.01).mean()),
            "above_10pct": float((frequency > 0.1).mean()),
            "ce_recovered": tables.ce_recovered,
            "kl_score": tables.kl_score,
            "weights_hash": weights_hash,
            "provenance": {"config": config.model_dump(mode="json"), **published.extra},
        }
        _insert(self.connection, t.dictionary, [row])
        comparisons = [
            {"dictionary_id": number, "other_id": self.ids[one.other], "mmcs": one.mmcs, "curves": one.curves}
            for one in tables.comparisons
        ]
        _insert(self.connection, t.comparison, comparisons)
        write_output_tokens(self.connection, number, tables.outputs, self.work.tokens.token)

    def contexts(self, seed: int) -> None:
        """The contexts that some hit names, and the pool, which is of the first text alone."""
        pieces = []
        for number, ((one, _), used) in enumerate(zip(self.texts, self.used, strict=True)):
            count = one.contexts.count
            pool = np.zeros(count, bool)
            if number == 0:
                pool[np.argsort(mix(seed, np.arange(count)), kind="stable")[: self.config.pool]] = True
            wanted = np.flatnonzero(used | pool)
            for some in np.split(wanted, range(CONTEXTS, len(wanted), CONTEXTS)):
                pieces.append(SomeContexts(number, some, ~one.allowed[some], pool[some]))
        made = self.engine.run(functools.partial(context_rows, self.rows), pieces)
        for piece, columns in _in_order(pieces, made):
            first = self.texts[piece.text][1].document
            columns["document_id"] = [first + document for document in columns["document_id"]]
            columns["site_id"] = [self.id] * len(piece.context)
            add_full_text(self.connection, columns["id"], columns.pop("text"))
            _insert_columns(self.connection, t.context, columns)


def _in_order(pieces: Sequence[Piece], made: Iterable[tuple[Piece, Result]]) -> Iterator[tuple[Piece, Result]]:
    """Results in the order of their pieces; those that come too early wait."""
    early: dict[int, Result] = {}
    found = iter(made)
    for piece in pieces:
        while id(piece) not in early:
            other, result = next(found)
            early[id(other)] = result
        yield piece, early.pop(id(piece))


def _hash(load: Callable[[], Dictionary]) -> str:
    return load().hash()


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _insert_columns(connection: Connection, table: Table, columns: dict[str, Sequence[Any]]) -> None:
    """Rows from columns whose values are SQLite's already: JSON as text. Many times faster than `_insert`."""
    names = ", ".join(f'"{name}"' for name in columns)
    rows = list(zip(*columns.values(), strict=True))
    if rows:
        places = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({names}) VALUES ({places})', rows)
