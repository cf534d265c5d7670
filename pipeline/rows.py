"""What the store says of some features of a dictionary, or of some contexts, as rows: made on the workers, block by block.

    parts of the pass → merged summary of a block → pages → facts and packed hits

A block is blocks.WIDTH features; no worker holds more of a summary than that.
"""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from app.store.packing import Group, HitColumns, pack, pack_related
from pipeline.blocks import WIDTH
from pipeline.config import PagesConfig
from pipeline.engines import Shared
from pipeline.facts import FeatureFacts, Peaks, feature_facts, stability
from pipeline.hit_arrays import Hits, chosen, concatenate, strength_order
from pipeline.hits import TOP, Keep, Summary
from pipeline.pages import Pages, pages, top_page
from pipeline.shown import Shown, output_rows
from pipeline.tables import Outputs, Related, Tables

Columns = dict[str, Sequence[Any]]
Summarised = Callable[[int], Summary]
"""The merged summary of a block of features, by its number, each counting its features from 0."""


@dataclass(frozen=True, slots=True)
class ReadText:
    """A text: the id of its first context, and how many of its tokens are not masked."""

    shown: Shown
    first: int
    unmasked: int

    @property
    def tokens(self) -> NDArray[np.int32]:
        return self.shown.contexts.tokens


@dataclass(frozen=True, slots=True)
class Entry:
    """A dictionary: which features can't fire, `dead[m]`, and where the rest comes from."""

    dead: NDArray[np.bool_]
    signed: bool
    summary: Summarised
    second: Summarised | None
    tables: Callable[[], Tables]


@dataclass(frozen=True, slots=True, eq=False)
class SiteRows:
    """What workers know of a site; `ids` of all dictionaries of the store, by name."""

    texts: tuple[ReadText, ...]  # the text, and the second one
    keep: Keep
    pages: PagesConfig
    entries: tuple[Entry, ...]
    ids: dict[str, int]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of work: block `number` of the features of the site's dictionary `entry`."""

    entry: int
    number: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where features fire most: `[h]` each, a hit each. `strength`: its share of its feature's largest, 1 to 255."""

    context: NDArray[np.uint32]
    feature: NDArray[np.uint32]
    peak: NDArray[np.uint16]
    strength: NDArray[np.uint8]

    @classmethod
    def of(cls, hits: HitColumns, first: int) -> "Places":
        """`first`: the number of the feature that the hits count as 0."""
        size = np.abs(hits.value.astype(np.float64))
        largest = np.zeros(int(hits.feature.max(initial=0)) + 1)
        np.maximum.at(largest, hits.feature, size)
        strength = np.clip(np.rint(size / largest[hits.feature] * 255), 1, 255)
        feature = (hits.feature + first).astype(np.uint32)
        return cls(hits.context.astype(np.uint32), feature, hits.peak.astype(np.uint16), strength.astype(np.uint8))

    @classmethod
    def concatenate(cls, parts: "Sequence[Places]") -> "Places":
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """A block's rows without its dictionary's id; `used`: contexts that some hit names, for each text."""

    feature: Columns
    hit: Columns
    relation: Columns
    places: Places
    used: tuple[NDArray[np.uint32], ...]

    @property
    def frequency(self) -> NDArray[np.float64]:
        return np.array(self.feature["frequency"])


def feature_rows(shared: Shared[SiteRows], block: Block) -> FeatureRows:
    """A piece of work."""
    site = shared.get()
    entry, text = site.entries[block.entry], site.texts[0]
    first = block.number * WIDTH
    span = slice(first, min(first + WIDTH, len(entry.dead)))
    m = span.stop - span.start
    summary, keep, tokens = entry.summary(block.number), site.keep.at(first), text.tokens
    order = strength_order(summary.hits)
    page = pages(summary, order, tokens, keep, site.pages)
    top = page.hits.heads(page.groups["top"])
    facts = feature_facts(
        summary,
        order,
        top,
        tokens,
        unmasked=text.unmasked,
        unit=keep.unit,
        wanted=site.pages.top,
        dead=entry.dead[span],
        signed=entry.signed,
    )
    found = [(page, text), (top_page(summary.bottom, tokens, site.pages.top, "bottom"), text)]
    frequency_there = alike = np.full(m, np.nan)
    if entry.second is not None:
        second, there = entry.second(block.number), site.texts[1]
        strongest = chosen(second.hits, (second.role & TOP) > 0)
        shown = top_page(strongest, there.tokens, site.pages.top, "second")
        found.append((shown, there))
        frequency_there = second.totals.count / there.unmasked
        alike = stability(Peaks.of(top, tokens), Peaks.of(shown.hits, there.tokens), m)
    tables = _tables(shared, block.entry)
    columns = _features(facts, top, text.shown, None if tables.outputs is None else tables.outputs.cut(span))
    columns |= {"second_frequency": _nullable(frequency_there), "second_stability": _nullable(alike)}
    hits, groups = _hits(found)
    blobs = list(pack(hits, groups))
    return FeatureRows(
        feature={"index": range(span.start, span.stop), **columns},
        hit={"feature": [first + feature for feature, _ in blobs], "blob": [blob for _, blob in blobs]},
        places=Places.of(hits, first),
        relation=_relations(tables.related, span, site.ids),
        used=tuple(np.unique(np.concatenate([p.hits.context for p, t in found if t is one])) for one in site.texts),
    )


@functools.lru_cache(maxsize=1)
def _tables(shared: Shared[SiteRows], entry: int) -> Tables:
    return shared.get().entries[entry].tables()


def _features(facts: FeatureFacts, top: Hits, shown: Shown, outputs: Outputs | None) -> Columns:
    m = len(facts.count)
    hits = facts.top_hit[facts.top_hit >= 0]
    tokens = np.full(m, "", object)
    tokens[facts.top_hit >= 0] = shown.tokens_at(top.context[hits], top.peak[hits])
    columns: Columns = {
        "top_token": tokens.tolist(),
        "outputs": [None] * m if outputs is None else list(output_rows(outputs, shown.text)),
    }
    for column in fields(facts):
        values = getattr(facts, column.name)
        if values is None:
            columns[column.name] = [None] * m
        elif column.name != "top_hit":
            columns[column.name] = values if isinstance(values, list) else _nullable(values)
    return columns


def _hits(found: Sequence[tuple[Pages, ReadText]]) -> tuple[HitColumns, dict[Group, NDArray[np.int64]]]:
    """The hits of all pages, by feature and context, and places of each group among them."""
    parts: list[Hits] = []
    groups: dict[Group, NDArray[np.int64]] = {}
    place = 0
    for page, text in found:
        hits = text.shown.on_leaders(page.hits)
        parts.append(replace(hits, context=hits.context + np.uint32(text.first)))
        groups |= {cast(Group, group): places + place for group, places in page.groups.items()}
        place += len(hits)
    hits, rank = concatenate(parts), np.arange(place)
    if sum(len(part) > 0 for part in parts) > 1:
        order = np.argsort(hits.feature.astype(np.int64) << 32 | hits.context, kind="stable")
        hits, rank[order] = hits.take(order), np.arange(place)
    columns = HitColumns(hits.feature, hits.context, hits.value, hits.peak, hits.active, hits.positions, hits.values)
    return columns, {group: rank[places] for group, places in groups.items()}


def _relations(related: Sequence[Related], span: slice, ids: dict[str, int]) -> Columns:
    rows = [
        (span.start + feature, ids[one.other], one.kind, blob)
        for one in related
        for feature, blob in enumerate(pack_related(one.feature[span], one.value[span]))
        if blob
    ]
    columns = zip(*sorted(rows), strict=True) if rows else [[]] * 4
    return dict(zip(("feature", "other_id", "kind", "blob"), columns, strict=True))


def _nullable(values: NDArray[Any]) -> list[Any]:
    """As Python's values, NaN as None."""
    listed: list[Any] = values.tolist()
    if values.dtype.kind == "f" and np.isnan(values).any():
        return [None if value != value else value for value in listed]  # noqa: PLR0124 (NaN alone differs from itself)
    return listed


@dataclass(frozen=True, slots=True)
class SomeContexts:
    """A piece of work: contexts of text number `text`, where they are masked, and which of them are in the pool."""

    text: int
    context: NDArray[np.int64]
    masked: NDArray[np.bool_]  # [context, position]
    pool: NDArray[np.bool_]


def context_rows(shared: Shared[SiteRows], piece: SomeContexts) -> Columns:
    """A piece of work: the rows of some contexts and, beside them, their text; documents are the text's own numbers."""
    text = shared.get().texts[piece.text]
    contexts = text.shown.contexts
    strings = [text.shown.strings(context) for context in piece.context.tolist()]
    return {
        "id": (text.first + piece.context).tolist(),
        "document_id": contexts.document[piece.context].tolist(),
        "held_out": contexts.held_out[piece.context].tolist(),
        "pool": piece.pool.tolist(),
        "tokens": [json.dumps(some) for some in strings],
        "masked": [json.dumps(np.flatnonzero(masked).tolist()) for masked in piece.masked],
        "text": ["".join(some) for some in strings],
    }
