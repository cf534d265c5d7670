"""The mergeable summary of what each feature of a dictionary fires on.

A hit is a (feature, context) pair; its value is the feature's largest activation in the context, its peak the first
position where that is reached. Where the rule has two tails, activations below zero make hits of their own, whose value is
the lowest. A summary keeps, for every feature, the top hits (one a document), the bottom ones of the negative tail, and a
uniform sample of hits (those with the smallest seeded hash), and counts, sums, extremes and a histogram over tokens.

Merging is exact, associative and commutative: order is (value descending, then context id), and sums are kept in fixed
point.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dictionaries import Codes
from pipeline.hashing import mix
from pipeline.hit_arrays import Hits, by_strength, chosen, concatenate, gathered
from pipeline.runs import firsts
from pipeline.totals import Totals, count_totals

FIXED_POINT_BITS = 24  # sums are integers in units of spread × 2⁻²⁴, so that their order does not matter
TOP, SAMPLE = 1, 2  # roles of a hit; one that has neither is not kept
PENDING = 2**19  # hits that an accumulator lets gather, at least, before it sorts out those to keep
MERGED_AT_A_TIME = 64  # a feature's hits in so many summaries fit in one block


def sampled(per_quantile: int) -> int:
    """How many hits of a feature are sampled, for fifths of so many contexts: three times what they show."""
    return 15 * per_quantile


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

    def cut(self, width: int) -> "list[Summary]":
        """The same in blocks of `width` features, each of which counts its features from 0."""
        m = len(self.totals.count)
        bounds = np.minimum(np.arange(0, m + width, width), m)
        places = np.searchsorted(self.hits.feature, bounds)
        roles = [self.role[first:last] for first, last in pairwise(places.tolist())]
        hits, bottom = _rebased(self.hits, bounds), _rebased(self.bottom, bounds)
        return [Summary(*parts) for parts in zip(hits, roles, bottom, self.totals.cut(bounds), strict=True)]


@dataclass(frozen=True, slots=True)
class Keep:
    """How much a summary keeps: `top` hits and `sample` hits a feature, the sample's seed, and the unit of the sums.

    `first` is the feature that the summary counts as 0: other than 0 in a block of a dictionary's features.
    """

    top: int
    sample: int
    seed: int
    unit: float
    first: int = 0

    @classmethod
    def of(cls, top: int, per_quantile: int, seed: int, spread: float) -> "Keep":
        """A surplus of top hits (4×) and of samples, from which near-duplicates go at publishing."""
        return cls(4 * top, sampled(per_quantile), seed, spread * 2.0**-FIXED_POINT_BITS)

    def at(self, first: int) -> "Keep":
        """The same for a block of features that begins with `first`."""
        return replace(self, first=first)

    def hash(self, feature: NDArray[np.uint32], context: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """What the sample is drawn by: the smallest of each feature are in it; among equals, the lowest context."""
        key = feature.astype(np.uint64) + np.uint64(self.first) << np.uint64(32) | context
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
            self._pending_bottom.append(chosen(bottom, -bottom.value >= self._weakest_bottom[bottom.feature]))
        top = hits[0]
        self._totals.append(count_totals(value, by_feature.indptr, hits, self.keep.unit))
        if len(self._totals) > MERGED_AT_A_TIME // 8:
            self._totals = [Totals.add(self._totals)]
        strong = top.value >= self._weakest[top.feature]
        drawn = self.keep.hash(top.feature, top.context) <= self._largest[top.feature]
        self._pending.append(chosen(top, strong | drawn))
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


def _rebased(hits: Hits, bounds: NDArray[np.int64]) -> list[Hits]:
    pieces = hits.cut(np.searchsorted(hits.feature, bounds))
    firsts_of = bounds[:-1].astype(np.uint32)
    return [replace(piece, feature=piece.feature - first) for piece, first in zip(pieces, firsts_of, strict=True)]


def _choose(parts: Sequence[Hits], keep: Keep) -> tuple[Hits, NDArray[np.uint8]]:
    """Those of the hits, each in one part alone, that a summary keeps, and their roles."""
    found, roles = [Hits.none()], [np.zeros(0, np.uint8)]
    for block in gathered(parts):
        role = np.zeros(len(block.hits), np.uint8)
        role[block.best(keep.top)] = TOP
        hashes = keep.hash(block.hits.feature, block.hits.context)
        role[block.drawn(hashes, keep.sample)] |= SAMPLE
        found.append(chosen(block.hits, role > 0))
        roles.append(role[role > 0])
    return concatenate(found), np.concatenate(roles)


def _choose_bottom(parts: Sequence[Hits], keep: Keep) -> Hits:
    found = [Hits.none()]
    for block in gathered(parts):
        found.append(block.hits.take(np.sort(block.best(keep.top))))
    return concatenate(found)


def _limit(limit: NDArray[Any], feature: NDArray[np.uint32], by: NDArray[Any], full: int, extreme: np.ufunc) -> None:
    """Set `limit[feature]` to the extreme of `by[h]` where the feature has as many hits as are kept."""
    first = firsts(feature)
    if len(first):
        sizes = np.diff(first, append=len(feature))
        held = sizes >= full
        limit[feature[first[held]]] = extreme.reduceat(by, first)[held]
