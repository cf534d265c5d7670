"""Write the feature store: every summary, dictionary and context into one SQLite file, in one go or not at all."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, create_engine, insert, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.schema import CreateTable

from app.errors import UserError
from app.store import feature_schema as t
from app.store.packing import Group, HitColumns, pack, pack_related
from pipeline.config import NATURAL_SIZE, AnyDictionary, ModelConfig, PagesConfig, SiteConfig
from pipeline.corpus import Contexts
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.decoders import Fidelity
from pipeline.facts import FeatureFacts, Peaks, feature_facts, stability
from pipeline.hashing import derive, mix
from pipeline.hit_arrays import Hits, chosen, concatenate, strength_order
from pipeline.hits import TOP, Keep, Summary
from pipeline.pages import Pages, pages, top_page
from pipeline.sample import Statistics
from pipeline.shown import Shown, output_rows
from pipeline.tables import NO_TABLES, Outputs, Tables
from pipeline.text import TokenText

PAGE_SIZE = 16_384  # rows of some kilobytes leave less of a page empty than in SQLite's usual 4,096


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
    """`second` gives the summary over the second text, where there is one; `dead[m]`: marked so by its training."""

    config: AnyDictionary
    load: Callable[[], Dictionary]
    summary: Callable[[], Summary]
    fidelity: Fidelity
    extra: dict[str, Any]  # training curve, seconds
    second: Callable[[], Summary] | None = None
    dead: NDArray[np.bool_] | None = None
    tables: Callable[[], Tables] = lambda: NO_TABLES


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
        with engine.connect() as connection:
            # The file takes its place only when it is whole and synced: SQLite need not guard what nobody reads.
            connection.execute(text(f"PRAGMA page_size = {PAGE_SIZE}"))
            connection.execute(text("PRAGMA journal_mode = OFF"))
            connection.execute(text("PRAGMA synchronous = OFF"))
            for table in t.metadata.sorted_tables:
                connection.execute(CreateTable(table))
            yield connection
            for table in t.metadata.sorted_tables:  # after the rows: faster, and packed more tightly
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    index.create(connection)
            connection.execute(text("ANALYZE"))
            connection.commit()
            connection.execute(text(f"PRAGMA user_version = {t.SCHEMA_VERSION}"))
            connection.execute(text(f"PRAGMA application_id = {t.APPLICATION_ID}"))
            connection.commit()
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
    names = [dictionary.config.name for site in sites for dictionary in site.dictionaries]
    ids = {name: number for number, name in enumerate(names)}
    first = _Numbers()
    for site_id, site in enumerate(sites):
        writer = _SiteWriter(connection, site, site_id, first, ids, config)
        writer.site()
        for dictionary in site.dictionaries:
            writer.dictionary(dictionary)
            advance(1)
        writer.contexts(derive(seed, "pool", site.config.name))
        first = writer.following()


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
    texts: list[tuple[PublishedText, _Numbers, Shown]] = field(init=False)  # the text, and the second one

    def __post_init__(self) -> None:
        self.texts = []
        first = self.first
        for one in (self.work.text, self.work.second):
            if one is not None:
                self.texts.append((one, first, Shown(one.contexts.tokens, self.work.tokens)))
                first = first.after(one.contexts)

    def following(self) -> _Numbers:
        last, first, _ = self.texts[-1]
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
        for one, first, _ in self.texts:
            titles = [{"id": first.document + number, "title": title} for number, title in one.contexts.titles.items()]
            _insert(self.connection, t.document, titles)

    def dictionary(self, published: PublishedDictionary) -> None:
        dictionary = published.load()
        with ThreadPoolExecutor(1) as aside:
            self._dictionary(published, dictionary, aside.submit(dictionary.hash))

    def _dictionary(self, published: PublishedDictionary, dictionary: Dictionary, weights_hash: Future[str]) -> None:
        summary, tables = published.summary(), published.tables()
        second = published.second() if published.second is not None and self.work.second is not None else None
        tokens, keep, config = self.work.text.contexts.tokens, self.work.keep, published.config
        order = strength_order(summary.hits)
        page = pages(summary, order, tokens, keep, self.config)
        top = page.hits.heads(page.groups["top"])
        largest = torch.linalg.vector_norm(dictionary.encoder, torch.inf, dim=1).numpy()
        dead = ~np.isfinite(largest) | (largest == 0)
        facts = feature_facts(
            summary,
            order,
            top,
            tokens,
            unmasked=self.work.text.unmasked,
            unit=keep.unit,
            wanted=self.config.top,
            dead=dead if published.dead is None else dead | published.dead,
            signed=dictionary.signed,
        )
        frequency, fidelity, number = facts.frequency, published.fidelity, self.ids[config.name]
        row = {
            "id": number,
            "name": config.name,
            "title": config.title,
            "family": config.family,
            "kind": config.kind,
            "trained": config.kind == "file" or config.kind.endswith("-sae"),
            "site_id": self.id,
            "m": dictionary.m,
            "natural_size": config.kind in NATURAL_SIZE,
            "k": dictionary.k,
            "rule": dictionary.rule,
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
            "weights_hash": weights_hash.result(),
            "provenance": {"config": config.model_dump(mode="json"), **published.extra},
        }
        _insert(self.connection, t.dictionary, [row])
        found: list[tuple[Pages, int]] = [(page, 0), (top_page(summary.bottom, tokens, self.config.top, "bottom"), 0)]
        frequency_there = alike = np.full(dictionary.m, np.nan)
        if second is not None and self.work.second is not None:
            there = self.work.second.contexts.tokens
            shown = top_page(chosen(second.hits, (second.role & TOP) > 0), there, self.config.top, "second")
            found.append((shown, 1))
            frequency_there = second.totals.count / self.work.second.unmasked
            alike = stability(Peaks.of(top, tokens), Peaks.of(shown.hits, there), dictionary.m)
        self._features(number, facts, top, frequency_there, alike, tables.outputs)
        self._hits(number, found)
        self._tables(number, tables)

    def _features(
        self,
        number: int,
        facts: FeatureFacts,
        top: Hits,
        second_frequency: NDArray[np.float64],
        second_stability: NDArray[np.float64],
        outputs: Outputs | None,
    ) -> None:
        m = len(facts.count)
        hits = facts.top_hit[facts.top_hit >= 0]
        tokens = np.full(m, "", object)
        tokens[facts.top_hit >= 0] = self.texts[0][2].tokens_at(top.context[hits], top.peak[hits])
        columns: dict[str, Any] = {
            "dictionary_id": [number] * m,
            "index": range(m),
            "top_token": tokens.tolist(),
            "second_frequency": _nullable(second_frequency),
            "second_stability": _nullable(second_stability),
            "outputs": [None] * m if outputs is None else list(output_rows(outputs, self.work.tokens)),
        }
        for column in fields(facts):
            if column.name != "top_hit":
                values = getattr(facts, column.name)
                if values is None:
                    columns[column.name] = [None] * m
                else:
                    columns[column.name] = values if isinstance(values, list) else _nullable(values)
        _insert_columns(self.connection, t.feature, columns)

    def _hits(self, number: int, found: Sequence[tuple[Pages, int]]) -> None:
        """One row a feature, of the hits of all its pages; beside each page the number of its text."""
        parts: list[Hits] = []
        groups: dict[Group, NDArray[np.int64]] = {}
        place = 0
        for page, which in found:
            _, first, shown = self.texts[which]
            hits = shown.on_leaders(page.hits)
            parts.append(replace(hits, context=hits.context + np.uint32(first.context)))
            groups |= {cast(Group, group): places + place for group, places in page.groups.items()}
            place += len(hits)
        hits, rank = concatenate(parts), np.arange(place)
        if sum(len(part) > 0 for part in parts) > 1:
            order = np.argsort(hits.feature.astype(np.int64) << 32 | hits.context, kind="stable")
            hits, rank[order] = hits.take(order), np.arange(place)
        columns = HitColumns(
            hits.feature, hits.context, hits.value, hits.peak, hits.active, hits.positions, hits.values
        )
        blobs = list(pack(columns, {group: rank[places] for group, places in groups.items()}))
        _insert_columns(
            self.connection,
            t.hit,
            {
                "dictionary_id": [number] * len(blobs),
                "feature": [feature for feature, _ in blobs],
                "blob": [blob for _, blob in blobs],
            },
        )

    def _tables(self, number: int, tables: Tables) -> None:
        rows = [
            (number, feature, self.ids[related.other], related.kind, blob)
            for related in tables.related
            for feature, blob in enumerate(pack_related(related.feature, related.value))
            if blob
        ]
        names = [column.name for column in t.relation.columns]
        columns = zip(*sorted(rows), strict=True) if rows else [[] for _ in names]
        _insert_columns(self.connection, t.relation, dict(zip(names, map(list, columns), strict=True)))
        comparisons = [
            {"dictionary_id": number, "other_id": self.ids[one.other], "mmcs": one.mmcs, "curves": one.curves}
            for one in tables.comparisons
        ]
        _insert(self.connection, t.comparison, comparisons)

    def contexts(self, seed: int) -> None:
        """The contexts that some hit names, and the pool, which is of the first text alone."""
        for number, (one, first, shown) in enumerate(self.texts):
            contexts = one.contexts
            pool = np.zeros(contexts.count, bool)
            if number == 0:
                drawn = np.argsort(mix(seed, np.arange(contexts.count)), kind="stable")[: self.config.pool]
                pool[drawn] = True
            rows = [
                {
                    "id": first.context + context,
                    "site_id": self.id,
                    "document_id": first.document + int(contexts.document[context]),
                    "held_out": bool(contexts.held_out[context]),
                    "pool": bool(pool[context]),
                    "tokens": shown.strings(context),
                    "masked": np.flatnonzero(~one.allowed[context]).tolist(),
                }
                for context in np.flatnonzero(shown.used | pool).tolist()
            ]
            _insert(self.connection, t.context, rows)


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


def _nullable(values: NDArray[Any]) -> list[Any]:
    """As Python's values, NaN as None."""
    listed: list[Any] = values.tolist()
    if values.dtype.kind == "f" and np.isnan(values).any():
        return [None if value != value else value for value in listed]  # noqa: PLR0124 (NaN alone differs from itself)
    return listed
