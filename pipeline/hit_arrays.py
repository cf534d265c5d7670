"""Hits as parallel arrays, and how they are put in order: by sorts of single 64-bit integers, some thousand features at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipeline.runs import firsts, ranks
from pipeline.single import mark_single

# A sort key: feature within the block, 32 bits of what is sorted by, place within the block.
PLACE_BITS, FEATURE_BITS = 20, 12
FEATURE_SHIFT = np.uint64(32 + PLACE_BITS)
PLACE_SHIFT, PLACE_MASK = np.uint64(PLACE_BITS), np.uint64(2**PLACE_BITS - 1)
BLOCK = 2**17  # hits in a block, about: its keys stay in a core's cache
NOWHERE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Hits:
    """Hits as parallel arrays `[h]`; the tokens that fire are ragged: hit i owns `[start[i], start[i] + active[i])`."""

    feature: NDArray[np.uint32]
    context: NDArray[np.uint32]
    document: NDArray[np.uint32]
    peak: NDArray[np.uint16]
    value: NDArray[np.float32]
    active: NDArray[np.uint16]
    positions: NDArray[np.uint16]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.feature)

    @classmethod
    def none(cls) -> "Hits":
        u16, u32, f32 = np.zeros(0, np.uint16), np.zeros(0, np.uint32), np.zeros(0, np.float32)
        return cls(u32, u32, u32, u16, f32, u16, u16, f32)

    def take(self, index: NDArray[np.integer]) -> "Hits":
        """The hits at `index`, in that order, with their tokens."""
        active = self.active[index].astype(np.int64)
        starts = np.cumsum(self.active, dtype=np.int64) - self.active
        offsets = np.cumsum(active) - active
        tokens = np.repeat(starts[index] - offsets, active) + np.arange(active.sum())
        whole = {name: getattr(self, name)[index] for name in _WHOLE}
        return Hits(**whole, positions=self.positions[tokens], values=self.values[tokens])

    def heads(self, index: NDArray[np.integer]) -> "Hits":
        """The hits at `index`, in that order, without their tokens."""
        none = np.zeros(len(index), np.uint16), np.zeros(0, np.uint16), np.zeros(0, np.float32)
        columns = {name: getattr(self, name)[index] for name in _WHOLE if name != "active"}
        return Hits(**columns, active=none[0], positions=none[1], values=none[2])

    def cut(self, bounds: NDArray[np.int64]) -> "list[Hits]":
        """Consecutive pieces, `[bounds[i], bounds[i + 1])`; views."""
        ends = np.r_[0, np.cumsum(self.active, dtype=np.int64)]
        pieces = []
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            whole = {name: getattr(self, name)[first:last] for name in _WHOLE}
            tokens = slice(ends[first], ends[last])
            pieces.append(Hits(**whole, positions=self.positions[tokens], values=self.values[tokens]))
        return pieces


_WHOLE = tuple(field.name for field in fields(Hits) if field.name not in ("positions", "values"))


def by_strength(hits: Hits) -> Hits:
    """From the order of feature and context to that of feature and strength."""
    return hits.take(strength_order(hits))


def strength_order(hits: Hits) -> NDArray[np.int64]:
    """Places in order of feature and strength, of hits in order of feature and context."""
    return np.concatenate([block.strongest() + first for first, block in _blocks(hits)] or [NOWHERE])


def concatenate(parts: Sequence[Hits]) -> Hits:
    """One after the other."""
    return Hits(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Hits)})


@dataclass(frozen=True, slots=True)
class Block:
    """Hits of at most 2¹² features, at most 2²⁰ of them, in order of feature and context; `feature` counts from 0."""

    feature: NDArray[np.uint64]
    hits: Hits

    def strongest(self) -> NDArray[np.int64]:
        """Places in order of feature and strength; among equals, the lowest context."""
        bits = np.abs(self.hits.value).view(np.uint32)  # in the order of the values, as none is negative
        return _sorted(self.feature, np.invert(bits))

    def best(self, n: int) -> NDArray[np.int64]:
        """The n strongest hits of each feature, at most one a document; in no order."""
        few, many = self._parted(n)
        kept = np.zeros(len(few), bool)
        mark_single(_bounded(self.feature[few]), self.hits.document[few], self.hits.value[few], kept)
        return np.concatenate([few[kept], many[self._some(many)._best(n)]])

    def drawn(self, hashes: NDArray[np.uint32], n: int) -> NDArray[np.int64]:
        """The n hits of each feature whose hashes are smallest; among equals, the lowest context. In no order."""
        few, many = self._parted(n)
        order = _sorted(self.feature[many], hashes[many])
        return np.concatenate([few, many[order[ranks(self.feature[many][order]) < n]]])

    def _parted(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the hits of features with n hits at most, whose hits need no sorting, and of the others."""
        crowded = (np.bincount(self.feature) > n)[self.feature]
        return np.flatnonzero(~crowded), np.flatnonzero(crowded)

    def _some(self, places: NDArray[np.int64]) -> "Block":
        return Block(self.feature[places], self.hits.heads(places))

    def _best(self, n: int) -> NDArray[np.int64]:
        order = self.strongest()
        feature = self.feature[order]
        by_document = _keys(feature, self.hits.document[order])
        by_document.sort()
        repeats = by_document[1:] >> PLACE_SHIFT == by_document[:-1] >> PLACE_SHIFT
        if repeats.any():
            first = np.ones(len(order), bool)
            first[by_document[1:][repeats] & PLACE_MASK] = False
            order, feature = order[first], feature[first]
        return order[ranks(feature) < n]


def gathered(parts: Sequence[Hits]) -> Iterator[Block]:
    """The hits of all parts, put in order, as blocks."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return
    counts = np.sum([np.bincount(part.feature, minlength=_features(parts)) for part in parts], axis=0)
    bounds = _bounds(counts)
    pieces = [part.cut(np.searchsorted(part.feature, bounds)) for part in parts]
    for number, first in enumerate(bounds[:-1].tolist()):
        hits = concatenate([piece[number] for piece in pieces])
        feature = (hits.feature - np.uint32(first)).astype(np.uint64)
        if len(parts) > 1:
            order = _sorted(feature, hits.context)
            hits, feature = hits.take(order), feature[order]
        yield Block(feature, hits)


def _blocks(hits: Hits) -> Iterator[tuple[int, Block]]:
    """Hits in order, as blocks, each with its place."""
    if not len(hits):
        return
    bounds = _bounds(np.bincount(hits.feature))
    places = np.searchsorted(hits.feature, bounds)
    for first, place, piece in zip(bounds[:-1].tolist(), places.tolist(), hits.cut(places), strict=False):
        yield place, Block((piece.feature - np.uint32(first)).astype(np.uint64), piece)


def _features(parts: Sequence[Hits]) -> int:
    return max(int(part.feature[-1]) for part in parts) + 1


def _bounds(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where to cut features so that a block has about BLOCK hits; `counts[feature]`."""
    ends = np.r_[0, np.cumsum(counts)]
    bounds = [0]
    while bounds[-1] < len(counts):
        enough = int(np.searchsorted(ends, ends[bounds[-1]] + BLOCK, "right")) - 1
        bounds.append(min(max(enough, bounds[-1] + 1), bounds[-1] + 2**FEATURE_BITS, len(counts)))
    return np.array(bounds)


def _bounded(feature: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where each feature's hits begin, and where the last one's end."""
    return np.append(firsts(feature), len(feature))


def _keys(feature: NDArray[np.uint64], by: NDArray[np.uint32]) -> NDArray[np.uint64]:
    places = np.arange(len(feature), dtype=np.uint64)
    if len(places) > 2**PLACE_BITS:
        raise ValueError(f"{len(places)} hits in a block are more than its keys can tell apart")
    return feature << FEATURE_SHIFT | by.astype(np.uint64) << PLACE_SHIFT | places


def _sorted(feature: NDArray[np.uint64], by: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Places in order of feature, then `by`, then place."""
    keys = _keys(feature, by)
    keys.sort()
    return (keys & PLACE_MASK).astype(np.int64)


def chosen(hits: Hits, wanted: NDArray[np.bool_]) -> Hits:
    """Those of the hits that are wanted, in the same order."""
    return hits if wanted.all() else hits.take(np.flatnonzero(wanted))
