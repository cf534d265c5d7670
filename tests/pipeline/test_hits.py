"""The summary against a brute-force computation, for any sharding and any order of merging."""

from collections import defaultdict
from itertools import pairwise
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline import hits
from pipeline.dictionaries import Codes
from pipeline.hashing import mix
from pipeline.hits import Hits, Keep, Summary

M, K, CONTEXTS, LENGTH = 6, 2, 12, 5
KEEP = Keep(top=3, sample=4, seed=9, unit=2.0**-20)
DOCUMENT = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5, 5, 6, 7], np.int32)
# few distinct values, so that ties between contexts are common
VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.5, 1.0, 3.0])


@st.composite
def codings(draw: st.DrawFn) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """`index[context, position, k]` (distinct within a token) and `value[context, position, k]`."""
    tokens = CONTEXTS * LENGTH
    index = [draw(st.permutations(range(M)))[:K] for _ in range(tokens)]
    value = draw(st.lists(VALUES, min_size=tokens * K, max_size=tokens * K))
    return (
        np.array(index, np.int32).reshape(CONTEXTS, LENGTH, K),
        np.array(value, np.float32).reshape(CONTEXTS, LENGTH, K),
    )


def summary(index: NDArray[np.int32], value: NDArray[np.float32], contexts: range) -> Summary:
    context, position = np.repeat(contexts, LENGTH), np.tile(np.arange(LENGTH), len(contexts))
    some = slice(contexts.start, contexts.stop)
    codes = Codes.of_top(torch.from_numpy(index[some].reshape(-1, K)), torch.from_numpy(value[some].reshape(-1, K)))
    return hits.summarise(hits.find_hits(codes, context, position, DOCUMENT), M, KEEP)


def listed(found: Hits) -> list[tuple[int, int, int, float, dict[int, float]]]:
    ends = np.cumsum(found.active)
    return [
        (
            int(found.feature[i]),
            int(found.context[i]),
            int(found.peak[i]),
            float(found.value[i]),
            dict(
                zip(
                    *(part[ends[i] - found.active[i] : ends[i]].tolist() for part in (found.positions, found.values)),
                    strict=True,
                )
            ),
        )
        for i in range(len(found))
    ]


def equal(left: Summary, right: Summary) -> bool:
    totals = all(
        np.array_equal(getattr(left.totals, name), getattr(right.totals, name))
        for name in ("count", "contexts", "sum", "max", "histogram")
    )
    return totals and listed(left.top) == listed(right.top) and listed(left.sample) == listed(right.sample)


@settings(max_examples=60, deadline=None)
@given(codings())
def test_a_summary_equals_brute_force(coding: tuple[NDArray[np.int32], NDArray[np.float32]]) -> None:
    index, value = coding
    active: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
    for context, position, slot in np.ndindex(CONTEXTS, LENGTH, K):
        if value[context, position, slot] > 0:
            active[int(index[context, position, slot]), context][position] = float(value[context, position, slot])
    every = []
    for (feature, context), tokens in active.items():
        best = max(tokens.values())
        every.append((feature, context, min(p for p, v in tokens.items() if v == best), best, tokens))
    top, sample = [], []
    for feature in range(M):
        mine = sorted((hit for hit in every if hit[0] == feature), key=lambda hit: (-hit[3], hit[1]))
        seen: set[int] = set()
        first = [hit for hit in mine if not (DOCUMENT[hit[1]] in seen or seen.add(DOCUMENT[hit[1]]))]  # type: ignore[func-returns-value]
        top += first[: KEEP.top]
        sample += sorted(mine, key=lambda hit: int(mix(KEEP.seed, hit[0], hit[1])))[: KEEP.sample]
    result = summary(index, value, range(CONTEXTS))
    assert listed(result.top) == top
    assert listed(result.sample) == sample
    for feature in range(M):
        fired = [v for (f, _), tokens in active.items() if f == feature for v in tokens.values()]
        assert result.totals.count[feature] == len(fired)
        assert result.totals.contexts[feature] == sum(f == feature for f, _ in active)
        assert result.totals.max[feature] == max(fired, default=0)
        assert result.totals.sum[feature] * KEEP.unit == sum(fired)
        assert result.totals.histogram[feature].sum() == len(fired)


@settings(max_examples=60, deadline=None)
@given(codings(), st.lists(st.integers(1, CONTEXTS - 1), max_size=4), st.randoms(use_true_random=False))
def test_any_sharding_merged_in_any_order_gives_the_same(
    coding: tuple[NDArray[np.int32], NDArray[np.float32]], cuts: list[int], random: Random
) -> None:
    bounds = [0, *sorted(set(cuts)), CONTEXTS]
    parts = [summary(*coding, range(a, b)) for a, b in pairwise(bounds)]
    random.shuffle(parts)
    while len(parts) > 1:
        parts = [hits.merge(parts[:2], KEEP), *parts[2:]]
    assert equal(hits.merge(parts, KEEP), summary(*coding, range(CONTEXTS)))


@settings(max_examples=20, deadline=None)
@given(codings())
def test_saved_and_loaded_it_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, coding: tuple[NDArray[np.int32], NDArray[np.float32]]
) -> None:
    path = tmp_path_factory.mktemp("hits") / "s.npz"
    made = summary(*coding, range(CONTEXTS))
    hits.save(made, path)
    assert equal(hits.load(path), made)


def test_histogram_bins_are_eighths_of_an_octave() -> None:
    index = np.zeros((CONTEXTS, LENGTH, K), np.int32)
    index[..., 1] = 1
    value = np.zeros((CONTEXTS, LENGTH, K), np.float32)
    value[0, :4, 0] = [1.0, 1.05, 2.0, 3.0]
    (filled,) = np.nonzero(summary(index, value, range(CONTEXTS)).totals.histogram[0])
    zero = -hits.LOWEST_OCTAVE * hits.BINS_PER_OCTAVE
    assert (filled - zero).tolist() == [0, 8, 12]  # 3 = 2^(12.68/8)
