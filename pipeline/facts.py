"""From a merged summary to what the store holds of each feature: its pages of contexts and its figures."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.config import PagesConfig
from pipeline.hashing import mix
from pipeline.hits import BINS_PER_OCTAVE, LOWEST_OCTAVE, Hits, Keep, Summary

QUANTILES = 5
SHINGLE = 8
State = Literal["live", "rare", "never", "dead"]


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """One row of the feature table, but for its dictionary."""

    index: int
    state: State
    count: int
    frequency: float
    contexts: int
    max: float
    mean: float
    peak_entropy: float
    single_token: bool
    top_hit: int | None  # the strongest of the top hits whose peak is the most common peak token
    histogram: dict[str, Any]


def drop_near_duplicates(hits: Hits, tokens: NDArray[np.int32]) -> Hits:
    """Drop a hit where a stronger one of its feature shares eight tokens up to, around or from the peak.

    `hits` must be in order of feature and strength; `tokens[context, position]`. Shingles that would reach beyond the
    context count as unlike any other.
    """
    drop = np.zeros(len(hits), bool)
    peak = hits.peak.astype(np.int64)
    for back in (SHINGLE - 1, SHINGLE // 2, 0):
        start = peak - back
        inside = (start >= 0) & (start + SHINGLE <= tokens.shape[1])
        rows = np.flatnonzero(inside)
        shingle = np.asarray(tokens[hits.context[rows, None], start[rows, None] + np.arange(SHINGLE)])
        _, first = np.unique(mix(0, hits.feature[rows], *shingle.T), return_index=True)
        repeated = np.ones(len(rows), bool)
        repeated[first] = False
        drop[rows[repeated]] = True
    return hits.take(np.flatnonzero(~drop))


def pages(summary: Summary, tokens: NDArray[np.int32], keep: Keep, config: PagesConfig) -> dict[str, Hits]:
    """The hits that the store keeps, by group: `top`, and `q1` (strongest fifth of a feature's contexts) to `q5`.

    A sampled hit's quantile is its rank by value within its feature's sample, which is uniform over the contexts on
    which the feature fires. Within a quantile the hits kept are those with the smallest seeded hash.
    """
    top = drop_near_duplicates(summary.top, tokens)
    groups = {"top": _first(top, config.top)}
    sample = summary.sample
    order = np.lexsort((sample.context, -sample.value, sample.feature))
    rank = sample.ranks(order)
    feature = sample.feature[order].astype(np.int64)
    size = np.bincount(feature, minlength=len(summary.totals.count))[feature]
    quantile = rank * QUANTILES // np.maximum(size, 1)
    for number in range(QUANTILES):
        members = sample.take(order[quantile == number])
        members = drop_near_duplicates(members, tokens).top(len(members))  # one a document
        by_hash = np.lexsort((mix(keep.seed, members.feature, members.context), members.feature))
        chosen = np.sort(by_hash[members.ranks(by_hash) < config.per_quantile])
        groups[f"q{number + 1}"] = members.take(chosen)
    return groups


def feature_facts(
    summary: Summary, top: Hits, peak_tokens: NDArray[np.int64], unmasked: int, unit: float, wanted: int
) -> list[FeatureFacts]:
    """Figures of every feature. `peak_tokens[hit]`: token id at the peak of each top hit; `unit`: of the fixed-point sums.

    Entropy is in nats, over the peak tokens of the top contexts. A feature with fewer than `wanted` top contexts is rare.
    """
    totals = summary.totals
    m = len(totals.count)
    bounds = np.searchsorted(top.feature, np.arange(m + 1))
    facts = []
    for index in range(m):
        start = int(bounds[index])
        ids, first, counts = np.unique(peak_tokens[start : bounds[index + 1]], return_index=True, return_counts=True)
        shares = counts / max(counts.sum(), 1)
        held = int(bounds[index + 1]) - start
        count = int(totals.count[index])
        state: State = "never" if count == 0 else "rare" if held < wanted else "live"
        facts.append(
            FeatureFacts(
                index=index,
                state=state,
                count=count,
                frequency=count / unmasked,
                contexts=held,
                max=float(totals.max[index]),
                mean=float(totals.sum[index]) * unit / count if count else 0.0,
                peak_entropy=float(abs(-(shares * np.log(shares)).sum())),
                single_token=len(ids) == 1 and held > 1,
                top_hit=start + int(first[counts.argmax()]) if len(ids) else None,
                histogram=_histogram(totals.histogram[index]),
            )
        )
    return facts


def _histogram(counts: NDArray[np.int64]) -> dict[str, Any]:
    filled = np.flatnonzero(counts)
    if not len(filled):
        return {"first": 0, "counts": []}
    first, last = int(filled[0]), int(filled[-1])
    return {"first": first + LOWEST_OCTAVE * BINS_PER_OCTAVE, "counts": counts[first : last + 1].tolist()}


def _first(hits: Hits, n: int) -> Hits:
    order = np.arange(len(hits))
    return hits.take(order[hits.ranks(order) < n])
