"""Write the feature store: every summary, dictionary and context into one SQLite file, in one go or not at all."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, create_engine, insert, text
from sqlalchemy.exc import DatabaseError

from app.errors import UserError
from app.store import feature_schema as t
from app.store.packing import pack_arrays, pack_related
from pipeline.activations import ShardFolder, Statistics
from pipeline.config import NATURAL_SIZE, AnyDictionary, PagesConfig, SiteConfig
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.decoders import Fidelity
from pipeline.facts import feature_facts, pages
from pipeline.hashing import derive, mix
from pipeline.hits import Hits, Keep, Summary
from pipeline.tables import NO_TABLES, Outputs, Tables
from pipeline.text import TokenText


@dataclass(frozen=True, slots=True)
class PublishedDictionary:
    config: AnyDictionary
    load: Callable[[], Dictionary]
    summary: Callable[[], Summary]
    fidelity: Fidelity
    extra: dict[str, Any]  # training curve, seconds
    tables: Tables = NO_TABLES


@dataclass(frozen=True, slots=True)
class PublishedSite:
    config: SiteConfig
    model_hash: str
    corpus_hash: str
    shards: ShardFolder
    statistics: Statistics
    keep: Keep
    text: TokenText
    dictionaries: list[PublishedDictionary]
    weights: str = "trained"
    embeddings: str = "trained"
    second_corpus: str | None = None
    second_tokens: int | None = None
    drift: dict[str, float] | None = None


def publish(
    path: Path,
    sites: list[PublishedSite],
    config: PagesConfig,
    seed: int,
    provenance: dict[str, Any],
    advance: Callable[[int], None],
) -> None:
    """Replace the store at `path`; `advance` is told of dictionaries as they are written.

    Raises UserError where the disk is full.
    """
    temporary = path.with_name(f".{path.name}.part")  # one build at a time: what a killed one left is overwritten
    try:
        with _writing(temporary) as connection:
            _write(connection, sites, config, seed, provenance, advance)
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
    path.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.begin() as connection:
            connection.execute(text("PRAGMA journal_mode = OFF"))
            t.metadata.create_all(connection)
            yield connection
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))
            connection.execute(text(f"PRAGMA user_version = {t.SCHEMA_VERSION}"))
            connection.execute(text(f"PRAGMA application_id = {t.APPLICATION_ID}"))
    finally:
        engine.dispose()


def _write(
    connection: Connection,
    sites: list[PublishedSite],
    config: PagesConfig,
    seed: int,
    provenance: dict[str, Any],
    advance: Callable[[int], None],
) -> None:
    rows = [{"key": key, "value": value} for key, value in provenance.items()]
    rows.append({"key": "published_at", "value": datetime.now(UTC).isoformat(timespec="seconds")})
    connection.execute(insert(t.provenance), rows)
    ids = {
        name: number for number, name in enumerate(entry.config.name for site in sites for entry in site.dictionaries)
    }
    first_context = first_document = 0
    for site_id, site in enumerate(sites):
        writer = _SiteWriter(connection, site, site_id, first_context, first_document, config)
        writer.site()
        for dictionary in site.dictionaries:
            writer.dictionary(ids[dictionary.config.name], dictionary)
            writer.relations(ids, dictionary)
            advance(1)
        writer.contexts(derive(seed, "pool", site.config.name))
        first_context += site.shards.contexts.count
        first_document += len(site.shards.contexts.titles)


@dataclass(slots=True)
class _SiteWriter:
    connection: Connection
    work: PublishedSite
    id: int
    first_context: int
    first_document: int
    config: PagesConfig
    used: NDArray[np.bool_] = field(init=False)  # contexts that some hit names
    shown: dict[int, tuple[list[str], NDArray[np.int64]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.used = np.zeros(self.work.shards.contexts.count, bool)

    def site(self) -> None:
        site, statistics, contexts = self.work.config, self.work.statistics, self.work.shards.contexts
        row = {
            "id": self.id,
            "name": site.name,
            "model": site.model,
            "model_hash": self.work.model_hash,
            "layer": site.layer,
            "d": len(statistics.mean),
            "corpus": site.corpus,
            "corpus_hash": self.work.corpus_hash,
            "context_length": contexts.length,
            "tokens": contexts.count * contexts.length,
            "masked": statistics.masked,
            "contexts": contexts.count,
            "documents": len(contexts.titles),
            "median_norm": statistics.median_norm,
            "gamma": statistics.gamma,
            "spread": statistics.spread,
            "weights": self.work.weights,
            "embeddings": self.work.embeddings,
            "second_corpus": self.work.second_corpus,
            "second_tokens": self.work.second_tokens,
            "drift": self.work.drift,
        }
        _insert(self.connection, t.site, [row])
        titles = [{"id": self.first_document + number, "title": title} for number, title in contexts.titles.items()]
        _insert(self.connection, t.document, titles)

    def dictionary(self, dictionary_id: int, published: PublishedDictionary) -> None:
        statistics, keep, tokens = self.work.statistics, self.work.keep, self.work.shards.contexts.tokens
        dictionary, config, tables = published.load(), published.config, published.tables
        summary = published.summary()
        groups = pages(summary, tokens, keep, self.config)
        top = groups["top"]
        facts = feature_facts(
            summary, top, np.asarray(tokens[top.context, top.peak]), statistics.unmasked, keep.unit, self.config.top
        )
        row = {
            "id": dictionary_id,
            "name": config.name,
            "title": config.title,
            "family": config.family,
            "kind": config.kind,
            "trained": config.kind.endswith("-sae") or config.kind == "file",
            "site_id": self.id,
            "m": dictionary.m,
            "natural_size": config.kind in NATURAL_SIZE,
            "k": dictionary.k,
            "rule": dictionary.rule,
            "encoding": config.encoding,
            "decoder": config.decoder,
            "seed": config.seed,
            "fve": published.fidelity.fve,
            "fve_fit": published.fidelity.fve_fit,
            "mse": None,
            "floor_isotropic": tables.floor_isotropic,
            "floor_covariance": tables.floor_covariance,
            "l0": published.fidelity.l0,
            "alive": sum(fact.count > 0 for fact in facts) / dictionary.m,
            "above_1pct": sum(fact.frequency > 0.01 for fact in facts) / dictionary.m,
            "above_10pct": sum(fact.frequency > 0.1 for fact in facts) / dictionary.m,
            "ce_recovered": tables.ce_recovered,
            "kl_score": tables.kl_score,
            "weights_hash": dictionary.hash(),
            "provenance": {"config": config.model_dump(mode="json"), **published.extra},
        }
        _insert(self.connection, t.dictionary, [row])
        features = []
        outputs = self._outputs(tables.outputs) if tables.outputs else [None] * dictionary.m
        for fact, output in zip(facts, outputs, strict=True):
            values = {name: getattr(fact, name) for name in fact.__slots__ if name != "top_hit"}
            top_token = (
                ""
                if fact.top_hit is None
                else self._token_at(int(top.context[fact.top_hit]), int(top.peak[fact.top_hit]))
            )
            features.append({"dictionary_id": dictionary_id, "top_token": top_token, "outputs": output, **values})
        _insert(self.connection, t.feature, features)
        hits = [
            row for name, group in groups.items() for row in self._hit_rows(dictionary_id, name, group, dictionary.m)
        ]
        hits.sort(key=lambda row: (row["feature"], row["group"]))
        _insert(self.connection, t.hit, hits)

    def relations(self, ids: dict[str, int], published: PublishedDictionary) -> None:
        """Nearest features, partners and comparisons of one dictionary, in order of their key."""
        own, tables = ids[published.config.name], published.tables
        related = sorted(tables.related, key=lambda one: (ids[one.other], one.kind))
        blobs = [(ids[one.other], one.kind, pack_related(one.feature, one.value)) for one in related]
        rows = [
            {"dictionary_id": own, "feature": feature, "other_id": other, "kind": kind, "blob": packed[feature]}
            for feature in range(max((len(packed) for _, _, packed in blobs), default=0))
            for other, kind, packed in blobs
            if packed[feature]
        ]
        _insert(self.connection, t.relation, rows)
        compared = [
            {"dictionary_id": own, "other_id": ids[one.other], "mmcs": one.mmcs, "curves": one.curves}
            for one in sorted(tables.comparisons, key=lambda one: ids[one.other])
        ]
        _insert(self.connection, t.comparison, compared)

    def contexts(self, seed: int) -> None:
        """The contexts that some hit names, and the pool."""
        contexts, allowed = self.work.shards.contexts, self.work.shards.allowed()
        pool = np.zeros(contexts.count, bool)
        pool[np.argsort(mix(seed, np.arange(contexts.count)), kind="stable")[: self.config.pool]] = True
        rows = [
            {
                "id": self.first_context + context,
                "site_id": self.id,
                "document_id": self.first_document + int(contexts.document[context]),
                "held_out": bool(contexts.held_out[context]),
                "pool": bool(pool[context]),
                "tokens": self._shown(context)[0],
                "masked": np.flatnonzero(~allowed[context]).tolist(),
            }
            for context in np.flatnonzero(self.used | pool).tolist()
        ]
        _insert(self.connection, t.context, rows)

    def _outputs(self, outputs: Outputs) -> list[dict[str, list[tuple[str, float]]]]:
        """Of every feature, the tokens as they are shown and their values, to four digits."""
        sides = {
            "top": (outputs.top_token.tolist(), outputs.top_value.tolist()),
            "bottom": (outputs.bottom_token.tolist(), outputs.bottom_value.tolist()),
        }
        return [
            {
                side: [
                    (self.work.text.token(token), float(f"{value:.4g}"))
                    for token, value in zip(tokens[feature], values[feature], strict=True)
                ]
                for side, (tokens, values) in sides.items()
            }
            for feature in range(len(outputs.top_token))
        ]

    def _shown(self, context: int) -> tuple[list[str], NDArray[np.int64]]:
        if context not in self.shown:
            self.shown[context] = self.work.text.show(self.work.shards.contexts.tokens[context].tolist())
        return self.shown[context]

    def _token_at(self, context: int, position: int) -> str:
        strings, leaders = self._shown(context)
        return strings[int(leaders[position])]

    def _hit_rows(self, dictionary_id: int, group: str, hits: Hits, m: int) -> Iterator[dict[str, Any]]:
        self.used[hits.context] = True
        peak, active, positions, values = self._on_leaders(hits)
        bounds = np.searchsorted(hits.feature, np.arange(m + 1))
        ends = np.r_[0, np.cumsum(active)]
        for feature in np.unique(hits.feature).tolist():
            some = slice(bounds[feature], bounds[feature + 1])
            tokens = slice(ends[some.start], ends[some.stop])
            blob = pack_arrays(
                hits.context[some] + np.uint32(self.first_context),
                peak[some],
                active[some],
                positions[tokens],
                values[tokens],
            )
            yield {"dictionary_id": dictionary_id, "feature": feature, "group": group, "blob": blob}

    def _on_leaders(self, hits: Hits) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Peaks, active counts, positions and values with joined tokens at their leader, by the largest of their values."""
        leaders = np.zeros(self.work.shards.contexts.tokens.shape, np.uint16)
        for context in np.unique(hits.context):
            leaders[context] = self._shown(int(context))[1]
        owner = np.repeat(np.arange(len(hits)), hits.active)
        positions = leaders[hits.context[owner], hits.positions]
        first = np.flatnonzero(np.r_[True, (owner[1:] != owner[:-1]) | (positions[1:] != positions[:-1])][: len(owner)])
        values = np.maximum.reduceat(hits.values, first) if len(first) else hits.values
        active = np.bincount(owner[first], minlength=len(hits))
        return leaders[hits.context, hits.peak], active, positions[first], values


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)
