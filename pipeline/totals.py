"""What is counted of every feature over all tokens: exact integers, so that shards add up in any order."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.bins import fill
from pipeline.hit_arrays import Hits
from pipeline.runs import firsts

BINS_PER_OCTAVE = 8
LOWEST_OCTAVE = -24
OCTAVES = 64
BINS = OCTAVES * BINS_PER_OCTAVE
SIDES = 2  # a feature's bins: BINS for activations above zero, then as many for those below
# The mantissas at which an eighth of an octave begins: the least 23 bits b with 1 + b·2⁻²³ ≥ 2^(j/8).
EDGES = np.ceil((2.0 ** (np.arange(1, BINS_PER_OCTAVE) / BINS_PER_OCTAVE) - 1) * 2**23).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class Totals:
    """Per feature `[m]`: tokens on which it fires, those of them below zero, contexts, fixed-point sum, maximum, minimum.

    The histogram is sparse: bin `bins[b]` (ascending, feature · SIDES · BINS + side · BINS + bin) holds `filling[b]` tokens.
    """

    count: NDArray[np.int64]
    negative: NDArray[np.int64]
    contexts: NDArray[np.int64]
    sum: NDArray[np.int64]
    max: NDArray[np.float32]
    min: NDArray[np.float32]
    bins: NDArray[np.uint32]
    filling: NDArray[np.int64]

    @classmethod
    def none(cls, m: int) -> "Totals":
        def counts() -> NDArray[np.int64]:
            return np.zeros(m, np.int64)

        def extremes() -> NDArray[np.float32]:
            return np.zeros(m, np.float32)

        bins, filling = np.zeros(0, np.uint32), np.zeros(0, np.int64)
        return cls(counts(), counts(), counts(), counts(), extremes(), extremes(), bins, filling)

    @staticmethod
    def add(parts: "Sequence[Totals]") -> "Totals":
        if len(parts) == 1:
            return parts[0]
        bins = np.concatenate([part.bins for part in parts])
        order = np.argsort(bins)
        bins, filling = bins[order], np.concatenate([part.filling for part in parts])[order]
        first = firsts(bins)
        return Totals(
            count=np.sum([part.count for part in parts], axis=0),
            negative=np.sum([part.negative for part in parts], axis=0),
            contexts=np.sum([part.contexts for part in parts], axis=0),
            sum=np.sum([part.sum for part in parts], axis=0),
            max=np.max([part.max for part in parts], axis=0),
            min=np.min([part.min for part in parts], axis=0),
            bins=bins[first],
            filling=np.add.reduceat(filling, first) if len(first) else filling,
        )

    def cut(self, bounds: NDArray[np.int64]) -> "list[Totals]":
        """Of consecutive features, `[bounds[i], bounds[i + 1])`, each counting its features from 0."""
        places = np.searchsorted(self.bins, bounds * (SIDES * BINS))
        pieces = []
        for (first, last), (begin, end) in zip(pairwise(bounds.tolist()), pairwise(places.tolist()), strict=True):
            columns = {name: getattr(self, name)[first:last] for name in _BY_FEATURE}
            bins = self.bins[begin:end] - np.uint32(first * SIDES * BINS)
            pieces.append(Totals(**columns, bins=bins, filling=self.filling[begin:end]))
        return pieces

    def histogram(self, side: int = 0) -> NDArray[np.int64]:
        """`histogram[m, BINS]` of the activations above zero, or (side 1) of the size of those below."""
        dense = np.zeros((len(self.count), SIDES, BINS), np.int64)
        dense.reshape(-1)[self.bins] = self.filling
        return dense[:, side]


_BY_FEATURE = ("count", "negative", "contexts", "sum", "max", "min")


def count_totals(
    value: NDArray[np.float32],
    bounds: NDArray[np.integer],
    hits: Sequence[Hits],
    unit: float,
) -> Totals:
    """Count activations `value[n]`, sorted by feature: feature f owns `[bounds[f], bounds[f + 1])`.

    `hits` are those of the activations above zero and, where there are any, those of the ones below.
    """
    m = len(bounds) - 1
    units = np.rint(value.astype(np.float64) / unit).astype(np.int64)
    sums = np.r_[0, np.cumsum(units)]
    below = value < 0
    negatives = np.r_[0, np.cumsum(below)]
    largest, smallest = np.zeros(m, np.float32), np.zeros(m, np.float32)
    contexts = np.zeros(m, np.int64)
    for some, extreme, extremes in zip(hits, (np.maximum, np.minimum), (largest, smallest), strict=False):
        first = firsts(some.feature)
        if len(first):
            extremes[some.feature[first]] = extreme.reduceat(some.value, first)
        contexts += np.bincount(some.feature, minlength=m)
    bins, filling = np.empty(len(value), np.uint32), np.empty(len(value), np.int64)
    found = fill(bounds, below * np.uint32(BINS) + bins_of(value), SIDES * BINS, bins, filling)
    return Totals(
        count=np.diff(bounds).astype(np.int64),
        negative=np.diff(negatives[bounds]),
        contexts=contexts,
        sum=np.diff(sums[bounds]),
        max=largest,
        min=smallest,
        bins=bins[:found].copy(),
        filling=filling[:found].copy(),
    )


def bins_of(value: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The histogram's bin of each size of activation, from its bits, so that every machine finds the same one."""
    bits = np.abs(value).view(np.uint32)
    mantissa = bits & np.uint32(2**23 - 1)
    bins = (bits >> np.uint32(23)).astype(np.int32) * BINS_PER_OCTAVE
    for edge in EDGES:
        bins += mantissa >= edge
    bins -= (127 + LOWEST_OCTAVE) * BINS_PER_OCTAVE
    return np.clip(bins, 0, BINS - 1).astype(np.uint32)
