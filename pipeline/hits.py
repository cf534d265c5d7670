"""The mergeable summary of what each feature of a dictionary fires on.

A hit is a (feature, context) pair; its value is the feature's largest activation in the context, its peak the first
position where that is reached. Where the rule has two tails, activations below zero make hits of their own, whose value is
the lowest. A summary keeps, for every feature, the top hits (one a document), the bottom ones of the negative tail, and a
uniform sample of hits (those with the smallest seeded hash), and counts, sums, extremes and a histogram over tokens.

Merging is exact, associative and commutative: order is (value descending, then context id), and sums are kept in fixed
point. Sorts are of single 64-bit integers, some thousand features at a time (`_Block`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dictionaries import Codes
from pipeline.files import write_arrays
from pipeline.hashing import mix
from pipeline.totals import Totals, count_totals

FIXED_POINT_BITS = 24  # sums are integers in units of spread × 2⁻²⁴, so that their order does not matter
TOP, SAMPLE = 1, 2  # roles of a hit; one that has neither is not kept
PENDING = 2**19  # hits that an accumulator lets gather, at least, before it sorts out those to keep

# A sort key: feature within the block, 32 bits of what is sorted by, place within the block.
PLACE_BITS, FEATURE_BITS = 20, 12
FEATURE_SHIFT = np.uint64(32 + PLACE_BITS)
PLACE_SHIFT, PLACE_MASK = np.uint64(PLACE_BITS), np.uint64(2**PLACE_BITS - 1)
BLOCK = 2**17  # hits in a block, about: its keys stay in a core's cache
MERGED_AT_A_TIME = 64  # a feature's hits in so many summaries fit in one block


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


@dataclass(frozen=True, slots=True)
class Summary:
    """`hits` by feature and context, each with its `role[h]` (TOP, SAMPLE or both); `bottom`, by feature and context."""

    hits: Hits
    role: NDArray[np.uint8]
    bottom: Hits
    totals: Totals

    @property
    def top(self) -> Hits:
        """By feature, strongest first."""
        return by_strength(self.hits.take(np.flatnonzero(self.role & TOP)))

    @property
    def sample(self) -> Hits:
        """By feature, strongest first."""
        return by_strength(self.hits.take(np.flatnonzero(self.role & SAMPLE)))


@dataclass(frozen=True, slots=True)
class Keep:
    """How much a summary keeps: `top` hits and `sample` hits a feature, the sample's seed, and the unit of the sums."""

    top: int
    sample: int
    seed: int
    unit: float

    @classmethod
    def of(cls, top: int, per_quantile: int, seed: int, spread: float) -> "Keep":
        """A surplus of top hits (4×) and of samples (3×), from which near-duplicates go at publishing."""
        return cls(4 * top, 15 * per_quantile, seed, spread * 2.0**-FIXED_POINT_BITS)

    def hash(self, feature: NDArray[np.uint32], context: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """What the sample is drawn by: the smallest of each feature are in it; among equals, the lowest context."""
        key = feature.astype(np.uint64) << np.uint64(32) | context
        return (mix(self.seed, key) >> np.uint64(32)).astype(np.uint32)


class Accumulator:
    """What one worker has seen of one dictionary of m features."""

    def __init__(self, m: int, keep: Keep, signed: bool) -> None:
        self.m, self.keep, self.signed = m, keep, signed
        self._totals: list[Totals] = []
        self._kept, self._role, self._bottom = Hits.none(), np.zeros(0, np.uint8), Hits.none()
        self._pending: list[Hits] = []
        self._pending_bottom: list[Hits] = []
        # What a hit must reach to be among those kept: the weakest of a full top, the largest hash of a full sample.
        self._weakest, self._weakest_bottom = np.zeros(m, np.float32), np.zeros(m, np.float32)
        self._largest = np.full(m, np.iinfo(np.uint32).max, np.uint32)

    def absorb(
        self, codes: Codes, context: NDArray[np.int64], position: NDArray[np.int64], document: NDArray[np.int32]
    ) -> None:
        """Take in the codes of some tokens, whole contexts of them.

        `context[token]` and `position[token]` ascend; `document[context]` is the whole corpus's.
        """
        by_feature = codes.csr(self.m).tocsc()
        feature = np.repeat(np.arange(self.m, dtype=np.uint32), np.diff(by_feature.indptr))
        token, value = by_feature.indices, by_feature.data
        hits = [find_hits(feature, value, token, context, position, document)]
        if self.signed:
            sides = [np.flatnonzero(value > 0), np.flatnonzero(value < 0)]
            hits = [find_hits(feature[s], value[s], token[s], context, position, document) for s in sides]
            bottom = hits[1]
            self._pending_bottom.append(_taken(bottom, -bottom.value >= self._weakest_bottom[bottom.feature]))
        top = hits[0]
        self._totals.append(count_totals(feature, value, by_feature.indptr, hits, self.keep.unit))
        if len(self._totals) > MERGED_AT_A_TIME // 8:
            self._totals = [Totals.add(self._totals)]
        strong = top.value >= self._weakest[top.feature]
        drawn = self.keep.hash(top.feature, top.context) <= self._largest[top.feature]
        self._pending.append(_taken(top, strong | drawn))
        if sum(map(len, self._pending + self._pending_bottom)) > max(PENDING, len(self._kept) // 2):
            self._compact()

    def summary(self) -> Summary:
        self._compact()
        totals = Totals.add(self._totals) if self._totals else Totals.none(self.m)
        return Summary(self._kept, self._role, self._bottom, totals)

    def _compact(self) -> None:
        self._kept, self._role = _choose([self._kept, *self._pending], self.keep)
        self._bottom = _choose_bottom([self._bottom, *self._pending_bottom], self.keep)
        self._pending, self._pending_bottom = [], []
        top, sample = np.flatnonzero(self._role & TOP), np.flatnonzero(self._role & SAMPLE)
        kept, bottom, keep = self._kept, self._bottom, self.keep
        hashes = keep.hash(kept.feature[sample], kept.context[sample])
        _limit(self._weakest, kept.feature[top], kept.value[top], keep.top, np.minimum)
        _limit(self._weakest_bottom, bottom.feature, -bottom.value, keep.top, np.minimum)
        _limit(self._largest, kept.feature[sample], hashes, keep.sample, np.maximum)


def find_hits(
    feature: NDArray[np.uint32],
    value: NDArray[np.float32],
    token: NDArray[np.int32],
    context: NDArray[np.int64],
    position: NDArray[np.int64],
    document: NDArray[np.int32],
) -> Hits:
    """The hits that activations make, from `feature`, `value` (of one sign) and `token`, sorted by feature, then token."""
    if not len(feature):
        return Hits.none()
    owner, positions = context.astype(np.uint32)[token], position.astype(np.uint16)[token]
    begins = np.ones(len(feature), bool)
    begins[1:] = (feature[1:] != feature[:-1]) | (owner[1:] != owner[:-1])
    first = np.flatnonzero(begins)
    active = np.diff(first, append=len(feature))
    extreme = np.maximum.reduceat(value, first) if value[0] > 0 else np.minimum.reduceat(value, first)
    reached = np.flatnonzero(value == np.repeat(extreme, active))
    hit = np.cumsum(begins)[reached]
    earliest = np.ones(len(hit), bool)
    earliest[1:] = hit[1:] != hit[:-1]
    contexts = owner[first]
    return Hits(
        feature=feature[first],
        context=contexts,
        document=document[contexts].astype(np.uint32),
        peak=positions[reached[earliest]],
        value=extreme,
        active=active.astype(np.uint16),
        positions=positions,
        values=value,
    )


def merge(summaries: Sequence[Summary], keep: Keep) -> Summary:
    """The summary of everything that the given ones have seen, whatever their order."""
    while len(summaries) > MERGED_AT_A_TIME:
        groups = range(0, len(summaries), MERGED_AT_A_TIME)
        summaries = [merge(summaries[first : first + MERGED_AT_A_TIME], keep) for first in groups]
    hits, role = _choose([summary.hits for summary in summaries], keep)
    bottom = _choose_bottom([summary.bottom for summary in summaries], keep)
    return Summary(hits, role, bottom, Totals.add([summary.totals for summary in summaries]))


def by_strength(hits: Hits) -> Hits:
    """From the order of feature and context to that of feature and strength."""
    return hits.take(np.concatenate([block.strongest() + first for first, block in _blocks(hits)] or [_NOWHERE]))


def concatenate(parts: Sequence[Hits]) -> Hits:
    return Hits(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Hits)})


def save(summary: Summary, path: Path) -> None:
    parts: dict[str, Hits | Totals] = {"hits": summary.hits, "bottom": summary.bottom, "totals": summary.totals}
    arrays = {
        f"{name}.{field.name}": getattr(part, field.name) for name, part in parts.items() for field in fields(part)
    }
    write_arrays(path, {**arrays, "role": summary.role})


def load(path: Path) -> Summary:
    with np.load(path) as arrays:

        def read(name: str, kind: type[Hits] | type[Totals]) -> Any:
            return kind(**{field.name: arrays[f"{name}.{field.name}"] for field in fields(kind)})

        return Summary(read("hits", Hits), arrays["role"], read("bottom", Hits), read("totals", Totals))


_NOWHERE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class _Block:
    """Hits of at most 2¹² features, at most 2²⁰ of them, in order of feature and context; `feature` counts from 0."""

    feature: NDArray[np.uint64]
    hits: Hits

    def strongest(self) -> NDArray[np.int64]:
        """Places in order of feature and strength; among equals, the lowest context."""
        bits = np.abs(self.hits.value).view(np.uint32)  # in the order of the values, as none is negative
        return _sorted(self.feature, np.invert(bits))

    def best(self, n: int) -> NDArray[np.int64]:
        """The n strongest hits of each feature, at most one a document."""
        order = self.strongest()
        feature = self.feature[order]
        by_document = _keys(feature, self.hits.document[order])
        by_document.sort()
        repeats = by_document[1:] >> PLACE_SHIFT == by_document[:-1] >> PLACE_SHIFT
        if repeats.any():
            first = np.ones(len(order), bool)
            first[by_document[1:][repeats] & PLACE_MASK] = False
            order, feature = order[first], feature[first]
        return order[_ranks(feature) < n]

    def drawn(self, keep: Keep) -> NDArray[np.int64]:
        """The sample of each feature's hits."""
        order = _sorted(self.feature, keep.hash(self.hits.feature, self.hits.context))
        return order[_ranks(self.feature[order]) < keep.sample]


def _choose(parts: Sequence[Hits], keep: Keep) -> tuple[Hits, NDArray[np.uint8]]:
    """Those of the hits, each in one part alone, that a summary keeps, and their roles."""
    chosen, roles = [Hits.none()], [np.zeros(0, np.uint8)]
    for block in _gathered(parts):
        role = np.zeros(len(block.hits), np.uint8)
        role[block.best(keep.top)] = TOP
        role[block.drawn(keep)] |= SAMPLE
        chosen.append(_taken(block.hits, role > 0))
        roles.append(role[role > 0])
    return concatenate(chosen), np.concatenate(roles)


def _choose_bottom(parts: Sequence[Hits], keep: Keep) -> Hits:
    found = [Hits.none()]
    for block in _gathered(parts):
        found.append(block.hits.take(np.sort(block.best(keep.top))))
    return concatenate(found)


def _gathered(parts: Sequence[Hits]) -> Any:
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
        yield _Block(feature, hits)


def _blocks(hits: Hits) -> Any:
    """Hits in order, as blocks, each with its place."""
    if not len(hits):
        return
    bounds = _bounds(np.bincount(hits.feature))
    places = np.searchsorted(hits.feature, bounds)
    for first, place, piece in zip(bounds[:-1].tolist(), places.tolist(), hits.cut(places), strict=False):
        yield place, _Block((piece.feature - np.uint32(first)).astype(np.uint64), piece)


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


def _ranks(feature: NDArray[np.integer]) -> NDArray[np.int64]:
    """For features in order: how many of the same stand before."""
    first = _firsts(feature)
    return np.arange(len(feature)) - np.repeat(first, np.diff(first, append=len(feature)))


def _firsts(feature: NDArray[np.integer]) -> NDArray[np.int64]:
    begins = np.ones(len(feature), bool)
    begins[1:] = feature[1:] != feature[:-1]
    return np.flatnonzero(begins)


def _taken(hits: Hits, wanted: NDArray[np.bool_]) -> Hits:
    return hits if wanted.all() else hits.take(np.flatnonzero(wanted))


def _limit(limit: NDArray[Any], feature: NDArray[np.uint32], by: NDArray[Any], full: int, extreme: np.ufunc) -> None:
    """Set `limit[feature]` to the extreme of `by[h]` where the feature has as many hits as are kept."""
    first = _firsts(feature)
    if len(first):
        sizes = np.diff(first, append=len(feature))
        held = sizes >= full
        limit[feature[first[held]]] = extreme.reduceat(by, first)[held]
