"""The mergeable summary of what each feature of a dictionary fires on.

A hit is a (feature, context) pair; its value is the feature's largest activation in the context, its peak the first
position where that is reached. A summary keeps, for every feature, the top hits (one a document) and a uniform sample
of hits (those with the smallest seeded hash), and counts, sums, maximum and a histogram over tokens. Merging is exact,
associative and commutative: order is (value descending, then context id), and sums are kept in fixed point.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.dictionaries import Codes
from pipeline.files import write_arrays
from pipeline.hashing import mix

BINS_PER_OCTAVE = 8
LOWEST_OCTAVE = -24
OCTAVES = 64
BINS = OCTAVES * BINS_PER_OCTAVE
FIXED_POINT_BITS = 24  # sums are integers in units of spread × 2⁻²⁴, so that their order does not matter


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

    def take(self, index: NDArray[np.int64]) -> "Hits":
        """The hits at `index`, in that order, with their tokens."""
        active = self.active[index].astype(np.int64)
        starts = np.cumsum(self.active, dtype=np.int64) - self.active
        offsets = np.cumsum(active) - active
        tokens = np.repeat(starts[index] - offsets, active) + np.arange(active.sum())
        whole = {
            name: getattr(self, name)[index] for name in ("feature", "context", "document", "peak", "value", "active")
        }
        return Hits(**whole, positions=self.positions[tokens], values=self.values[tokens])

    def ranks(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """For hits sorted by feature in `order`: each one's rank within its feature, from 0."""
        feature = self.feature[order]
        first = np.flatnonzero(np.r_[True, feature[1:] != feature[:-1]]) if len(feature) else np.zeros(0, np.int64)
        sizes = np.diff(np.r_[first, len(feature)])
        return np.arange(len(feature)) - np.repeat(first, sizes)

    def top(self, n: int) -> "Hits":
        """The n strongest of each feature, at most one a document, strongest first."""
        weakness = -self.value
        order = np.lexsort((self.context, weakness, self.document, self.feature))
        feature, document = self.feature[order], self.document[order]
        best = np.r_[True, (feature[1:] != feature[:-1]) | (document[1:] != document[:-1])][: len(order)]
        order = order[best]
        order = order[np.lexsort((self.context[order], weakness[order], self.feature[order]))]
        return self.take(order[self.ranks(order) < n])

    def sample(self, n: int, seed: int) -> "Hits":
        """A uniform sample of n of each feature's hits: those with the smallest hash of (seed, feature, context)."""
        order = np.lexsort((self.context, mix(seed, self.feature, self.context), self.feature))
        return self.take(order[self.ranks(order) < n])


@dataclass(frozen=True, slots=True)
class Totals:
    """Per feature `[m]`: tokens and contexts on which it fires, fixed-point sum, maximum; `histogram[m, bins]`."""

    count: NDArray[np.int64]
    contexts: NDArray[np.int64]
    sum: NDArray[np.int64]
    max: NDArray[np.float32]
    histogram: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Summary:
    top: Hits
    sample: Hits
    totals: Totals


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


def find_hits(
    codes: Codes, context: NDArray[np.int64], position: NDArray[np.int64], document: NDArray[np.int32]
) -> Hits:
    """All hits of a shard, by feature and context. `context[token]`, `position[token]`; `document[context]` of the corpus."""
    index, value, token = codes.index.numpy(), codes.value.numpy(), codes.owners().numpy()
    fires = value > 0
    index, value, token = index[fires], value[fires], token[fires]
    order = np.argsort(index.astype(np.int64) * len(context) + token)  # tokens come by context and position
    feature, value, token = index[order].astype(np.uint32), value[order], token[order]
    owner = context[token]
    first = np.flatnonzero(np.r_[True, (feature[1:] != feature[:-1]) | (owner[1:] != owner[:-1])][: len(feature)])
    active = np.diff(np.r_[first, len(feature)])
    peak_value = np.maximum.reduceat(value, first) if len(first) else value
    positions = position[token]
    at_peak = np.where(value == np.repeat(peak_value, active), positions, np.iinfo(np.int64).max)
    peak = np.minimum.reduceat(at_peak, first) if len(first) else at_peak
    return Hits(
        feature=feature[first],
        context=owner[first].astype(np.uint32),
        document=document[owner[first]].astype(np.uint32),
        peak=peak.astype(np.uint16),
        value=peak_value,
        active=active.astype(np.uint16),
        positions=positions.astype(np.uint16),
        values=value,
    )


def count_totals(hits: Hits, m: int, unit: float) -> Totals:
    feature = np.repeat(hits.feature, hits.active).astype(np.int64)
    octave = np.floor(np.log2(hits.values.astype(np.float64)) * BINS_PER_OCTAVE).astype(np.int64)
    bins = np.clip(octave - LOWEST_OCTAVE * BINS_PER_OCTAVE, 0, BINS - 1)
    units = np.rint(hits.values.astype(np.float64) / unit).astype(np.int64)
    sums = np.zeros(m, np.int64)
    np.add.at(sums, feature, units)
    largest = np.zeros(m, np.float32)
    np.maximum.at(largest, hits.feature, hits.value)
    return Totals(
        count=np.bincount(feature, minlength=m),
        contexts=np.bincount(hits.feature, minlength=m),
        sum=sums,
        max=largest,
        histogram=np.bincount(feature * BINS + bins, minlength=m * BINS).reshape(m, BINS),
    )


def summarise(hits: Hits, m: int, keep: Keep) -> Summary:
    return Summary(hits.top(keep.top), hits.sample(keep.sample, keep.seed), count_totals(hits, m, keep.unit))


def merge(summaries: Sequence[Summary], keep: Keep) -> Summary:
    """The summary of everything that the given ones have seen, whatever their order."""
    return Summary(
        concatenate([summary.top for summary in summaries]).top(keep.top),
        concatenate([summary.sample for summary in summaries]).sample(keep.sample, keep.seed),
        Totals(
            count=np.sum([summary.totals.count for summary in summaries], axis=0),
            contexts=np.sum([summary.totals.contexts for summary in summaries], axis=0),
            sum=np.sum([summary.totals.sum for summary in summaries], axis=0),
            max=np.max([summary.totals.max for summary in summaries], axis=0),
            histogram=np.sum([summary.totals.histogram for summary in summaries], axis=0),
        ),
    )


def concatenate(parts: Sequence[Hits]) -> Hits:
    return Hits(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Hits)})


def save(summary: Summary, path: Path) -> None:
    """The histogram is saved sparse: most bins of most features are empty."""
    totals = summary.totals
    filled = np.flatnonzero(totals.histogram)
    arrays = {f"top.{field.name}": getattr(summary.top, field.name) for field in fields(Hits)}
    arrays |= {f"sample.{field.name}": getattr(summary.sample, field.name) for field in fields(Hits)}
    arrays |= {name: getattr(totals, name) for name in ("count", "contexts", "sum", "max")}
    write_arrays(path, {**arrays, "filled": filled, "filling": totals.histogram.reshape(-1)[filled]})


def load(path: Path) -> Summary:
    with np.load(path) as arrays:
        top, sample = (
            Hits(**{field.name: arrays[f"{part}.{field.name}"] for field in fields(Hits)}) for part in ("top", "sample")
        )
        count = arrays["count"]
        histogram = np.zeros((len(count), BINS), np.int64)
        histogram.reshape(-1)[arrays["filled"]] = arrays["filling"]
        return Summary(top, sample, Totals(count, arrays["contexts"], arrays["sum"], arrays["max"], histogram))
