"""Which of a summary's hits the store keeps: the top contexts, a page for each fifth, and what the other tail shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import PagesConfig
from pipeline.hashing import mix
from pipeline.hit_arrays import Hits, strength_order
from pipeline.hits import SAMPLE, TOP, Keep, Summary
from pipeline.runs import firsts, ranks

QUANTILES = 5
SHINGLE = 8
FACTOR, OF_GROUP = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)  # odd, without a pattern


@dataclass(frozen=True, slots=True)
class Pages:
    """`hits`, by feature and context, and the groups that show them: places in `hits`, by feature and strength."""

    hits: Hits
    groups: dict[str, NDArray[np.int64]]


def pages(
    summary: Summary, order: NDArray[np.int64], tokens: NDArray[np.int32], keep: Keep, config: PagesConfig
) -> Pages:
    """`top`, and `q1` (strongest fifth of a feature's contexts) to `q5`.

    `order` is that of the summary's hits by feature and strength; `tokens[context, position]` is the whole text's.

    A sampled hit's quantile is its rank by value within its feature's sample, which is uniform over the contexts on
    which the feature fires above zero. Within a quantile the hits kept are those with the smallest seeded hash. A group
    has no near-duplicates, and one context a document.
    """
    hits = summary.hits
    groups = {"top": _top(hits, order[(summary.role[order] & TOP) > 0], tokens, config.top)}
    sample = order[(summary.role[order] & SAMPLE) > 0]
    feature = hits.feature[sample].astype(np.int64)
    sizes = np.bincount(feature, minlength=len(summary.totals.count))
    # a fifth of a feature: the fifths of a feature follow each other
    fifth = feature * QUANTILES + ranks(feature) * QUANTILES // sizes[feature]
    fresh = ~near_duplicates(hits, sample, fifth, tokens)
    sample, fifth = sample[fresh], fifth[fresh]
    single = ~repeats(fifth, hits.document[sample])
    sample, fifth = sample[single], fifth[single]
    drawn = _drawn(fifth, keep.hash(hits.feature[sample], hits.context[sample]), config.per_quantile)
    sample, fifth = sample[drawn], fifth[drawn]
    for number in range(QUANTILES):
        groups[f"q{number + 1}"] = sample[fifth % QUANTILES == number]
    return _only(hits, groups)


def top_page(hits: Hits, tokens: NDArray[np.int32], wanted: int, group: str) -> Pages:
    """A page of the strongest of some hits alone, one a document already: for the bottom, and for a second text."""
    return _only(hits, {group: _top(hits, strength_order(hits), tokens, wanted)})


def near_duplicates(
    hits: Hits, order: NDArray[np.int64], group: NDArray[np.integer], tokens: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Which of `hits` at `order` share eight tokens up to, around or from the peak with one before them in their group.

    `group` ascends. Shingles that would reach beyond the context count as unlike any other.
    """
    found = np.zeros(len(order), bool)
    length = tokens.shape[1]
    flat = np.asarray(tokens).reshape(-1)
    peak = hits.peak[order].astype(np.int64)
    place = hits.context[order].astype(np.int64) * length + peak
    around = [flat.take(place + step, mode="clip").astype(np.uint64) for step in range(1 - SHINGLE, SHINGLE)]
    for back in (SHINGLE - 1, SHINGLE // 2, 0):
        shingle = np.zeros(len(order), np.uint64)
        for step in range(SHINGLE):
            shingle = shingle * FACTOR + around[SHINGLE - 1 - back + step]
        inside = np.flatnonzero((peak >= back) & (peak - back + SHINGLE <= length))
        found[inside] |= repeats(group[inside], shingle[inside])
    return found


def repeats(group: NDArray[np.integer], key: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which entries have the group and the key of an entry before them; compared by a 64-bit hash."""
    both = mix(0, group.astype(np.uint64) * OF_GROUP + key.astype(np.uint64))
    found = np.zeros(len(both), bool)
    ordered = np.sort(both)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if len(twice):  # seldom, in a real text: most sorts end here
        places = np.flatnonzero(np.isin(both, twice))
        _, first = np.unique(both[places], return_index=True)
        found[places] = True
        found[places[first]] = False
    return found


def _top(hits: Hits, order: NDArray[np.int64], tokens: NDArray[np.int32], wanted: int) -> NDArray[np.int64]:
    """The first `wanted` of each feature that are no near-duplicates, from hits in order of feature and strength."""
    fresh = order[~near_duplicates(hits, order, hits.feature[order], tokens)]
    return fresh[ranks(hits.feature[fresh]) < wanted]


def _drawn(group: NDArray[np.int64], hashes: NDArray[np.uint32], wanted: int) -> NDArray[np.int64]:
    """Places of the `wanted` smallest hashes of each group, ascending; among equals the first. `group` ascends."""
    rank = ranks(group)
    bits = np.uint64(max(int(rank.max(initial=0)), 1).bit_length())
    dense = np.cumsum(np.diff(group, prepend=group[:1]) != 0).astype(np.uint64)
    keys = (dense << np.uint64(32) | hashes) << bits | rank.astype(np.uint64)
    keys.sort()
    begins = firsts(group)
    places = begins[dense] + (keys & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    return np.sort(places[rank < wanted])


def _only(hits: Hits, groups: dict[str, NDArray[np.int64]]) -> Pages:
    used = np.zeros(len(hits), bool)
    for places in groups.values():
        used[places] = True
    rank = np.cumsum(used) - 1
    return Pages(hits.take(np.flatnonzero(used)), {name: rank[places] for name, places in groups.items()})
