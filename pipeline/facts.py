"""The figures of every feature, from its merged summary and its pages. docs/measures.md has the formulas."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.hit_arrays import Hits
from pipeline.hits import SAMPLE, Summary
from pipeline.runs import firsts, ranks
from pipeline.totals import BINS, BINS_PER_OCTAVE, LOWEST_OCTAVE, SIDES, Totals

DECILES = 10
SLOPE_HITS = 2 * DECILES  # sampled hits from which on a slope says something
STATES = np.array(["live", "rare", "never", "dead"])


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """Columns of the feature table; NaN and None where there is nothing to say.

    `top_hit[m]` is a place among the top hits: the strongest of those whose peak is the most common peak token, or −1.
    """

    state: NDArray[np.str_]
    count: NDArray[np.int64]
    frequency: NDArray[np.float64]
    contexts: NDArray[np.int64]
    max: NDArray[np.float32]
    min: NDArray[np.float32] | None
    mean: NDArray[np.float64]
    peak_entropy: NDArray[np.float64]
    single_token: NDArray[np.bool_]
    decile_slope: NDArray[np.float64]
    histogram: list[str]  # as JSON
    top_hit: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Peaks:
    """How often each token is at the peak of a feature's hits: runs `feature[r]`, `token[r]`, `count[r]`, in that order."""

    feature: NDArray[np.int64]
    token: NDArray[np.int64]
    count: NDArray[np.int64]
    first: NDArray[np.int64]  # the first hit of each run, as they came

    @classmethod
    def of(cls, hits: Hits, tokens: NDArray[np.int32]) -> "Peaks":
        """`tokens[context, position]` is the text that the hits are of; hits come by feature."""
        keys = hits.feature.astype(np.int64) << 32 | tokens[hits.context, hits.peak]
        order = np.argsort(keys, kind="stable")
        begins = firsts(keys[order])
        runs = keys[order][begins]
        return cls(runs >> 32, runs & 0xFFFFFFFF, np.diff(begins, append=len(keys)), order[begins])

    def shares(self, m: int) -> NDArray[np.float64]:
        """Of each run, among its feature's hits."""
        held = np.bincount(self.feature, self.count.astype(np.float64), m)
        shares: NDArray[np.float64] = self.count / held[self.feature]
        return shares

    def most_common(self, m: int) -> NDArray[np.int64]:
        """`run[m]`: each feature's most common token, that of the stronger hit among equals; −1 where it has no hit."""
        order = np.lexsort((self.first, -self.count, self.feature))
        best = order[firsts(self.feature[order])]
        run = np.full(m, -1)
        run[self.feature[best]] = best
        return run


def feature_facts(
    summary: Summary,
    order: NDArray[np.int64],
    top: Hits,
    tokens: NDArray[np.int32],
    unmasked: int,
    unit: float,
    wanted: int,
    dead: NDArray[np.bool_],
    signed: bool,
) -> FeatureFacts:
    """`order`: of the summary's hits by feature and strength; `top`: the top page's hits, in that order.

    `unmasked`: tokens of the text; `unit`: of fixed-point sums. A feature with fewer than `wanted` top contexts is rare;
    one that never fired is dead where `dead[m]` says that it can't.
    """
    totals, m = summary.totals, len(summary.totals.count)
    count = totals.count
    held = np.bincount(top.feature, minlength=m)
    peaks = Peaks.of(top, tokens)
    sample = summary.hits.heads(order[(summary.role[order] & SAMPLE) > 0])
    common = peaks.most_common(m)
    state = np.where(count == 0, np.where(dead, 3, 2), np.where(held < wanted, 1, 0))
    return FeatureFacts(
        state=STATES[state],
        count=count,
        frequency=count / unmasked,
        contexts=held,
        max=totals.max,
        min=totals.min if signed else None,
        mean=totals.sum * unit / np.maximum(count, 1),
        peak_entropy=_entropy(peaks.feature, peaks.shares(m), m),
        single_token=(np.bincount(peaks.feature, minlength=m) == 1) & (held > 1),
        decile_slope=_decile_slope(sample, tokens, np.where(common < 0, -1, _at(peaks.token, common)), m),
        histogram=_histograms(totals, signed),
        top_hit=np.where(common < 0, -1, _at(peaks.first, common)),
    )


def stability(first: Peaks, second: Peaks, m: int) -> NDArray[np.float64]:
    """How alike the peak tokens of the top contexts in two texts are: 1 − the Jensen–Shannon divergence of their shares, in bits.

    1: the same tokens in the same shares; 0: no token in common; NaN where a feature has no context in one of them.
    (Lin 1991, "Divergence measures based on the Shannon entropy".)
    """
    sides = [np.bincount(side.feature, minlength=m) > 0 for side in (first, second)]
    keys = np.concatenate([side.feature << 32 | side.token for side in (first, second)])
    halves = np.concatenate([side.shares(m) / 2 for side in (first, second)])
    order = np.argsort(keys, kind="stable")
    begins = firsts(keys[order])
    mixed = np.add.reduceat(halves[order], begins) if len(begins) else halves
    together = _entropy(keys[order][begins] >> 32, mixed, m)
    apart = sum(_entropy(side.feature, side.shares(m), m) for side in (first, second)) / 2
    return np.where(sides[0] & sides[1], np.clip(1 - (together - apart) / np.log(2), 0, 1), np.nan)


def _entropy(feature: NDArray[np.int64], shares: NDArray[np.float64], m: int) -> NDArray[np.float64]:
    """Of each feature, in nats."""
    return np.abs(np.bincount(feature, -shares * np.log(shares), m))


def _decile_slope(sample: Hits, tokens: NDArray[np.int32], token: NDArray[np.int64], m: int) -> NDArray[np.float64]:
    """How fast a feature's most common peak token, `token[m]`, gets rarer from its strongest hits to its weakest.

    The sampled hits are cut into deciles by strength; the slope is that of the least-squares line through the ten shares
    of hits whose peak is that token, per decile: −0.1 where it falls from all to (about) none. NaN below SLOPE_HITS hits.
    """
    feature = sample.feature.astype(np.int64)
    size = np.bincount(feature, minlength=m)
    decile = ranks(feature) * DECILES // size[feature]
    cell = feature * DECILES + decile
    same = tokens[sample.context, sample.peak] == token[feature]
    sizes = np.bincount(cell, minlength=m * DECILES)
    shares = np.bincount(cell, same, m * DECILES) / np.maximum(sizes, 1)
    centred = np.arange(DECILES) - (DECILES - 1) / 2
    slope = (shares.reshape(m, DECILES) * centred).sum(1) / (centred**2).sum()
    return np.where(size >= SLOPE_HITS, slope, np.nan)


def _histograms(totals: Totals, signed: bool) -> list[str]:
    """JSON `{"first": b, "counts": […]}` of each feature; one with a negative side says that too, as "below"."""
    sides = [_side(totals, side) for side in range(SIDES if signed else 1)]
    if signed:
        return [f'{above[:-1]}, "below": {below}}}' for above, below in zip(*sides, strict=True)]
    return sides[0]


def _side(totals: Totals, side: int) -> list[str]:
    feature, bins = np.divmod(totals.bins.astype(np.int64), SIDES * BINS)
    mine = (bins >= BINS) == bool(side)
    feature, bins, filling = feature[mine], bins[mine] - side * BINS, totals.filling[mine]
    found = ['{"first": 0, "counts": []}'] * len(totals.count)
    begins = firsts(feature)
    if not len(begins):
        return found
    first, last = bins[begins], bins[np.append(begins[1:], len(bins)) - 1]
    widths = last - first + 1
    ends = np.cumsum(widths)
    dense = np.zeros(ends[-1], np.int64)
    run = np.cumsum(np.diff(feature, prepend=feature[:1]) != 0)
    dense[(ends - widths)[run] + bins - first[run]] = filling
    counts = dense.tolist()
    lowest = (first + LOWEST_OCTAVE * BINS_PER_OCTAVE).tolist()
    for index, low, width, end in zip(feature[begins].tolist(), lowest, widths.tolist(), ends.tolist(), strict=True):
        found[index] = f'{{"first": {low}, "counts": {counts[end - width : end]}}}'
    return found


def _at(values: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """`values[places]`, where places of −1 may be anything."""
    return values[places] if len(values) else np.full(len(places), -1)
