"""The summary against a brute-force computation on dense codes, for any rule, any sharding and any order of merging."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline import blocks, hits
from pipeline.dictionaries import Codes, Dictionary
from pipeline.hashing import mix
from pipeline.hit_arrays import Hits, by_strength
from pipeline.hits import Accumulator, Keep, Summary
from pipeline.totals import BINS, BINS_PER_OCTAVE, LOWEST_OCTAVE, bins_of

M, CONTEXTS, LENGTH = 6, 12, 5
KEEP = Keep(top=3, sample=4, seed=9, unit=2.0**-20)
DOCUMENT = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5, 5, 6, 7], np.int32)
ALLOWED = np.random.default_rng(5).random((CONTEXTS, LENGTH)) < 0.8  # some positions are masked, as in a real text
# few distinct values, so that ties between contexts are common
POSITIVE = [0.0, 0.25, 0.5, 0.5, 1.0, 3.0]
SIGNED = [0.0, 0.25, -0.25, 0.5, -0.5, -1.0, 3.0]
Dense = NDArray[np.float32]  # dense[context, position, feature]; 0 where a feature does not fire


def densities(values: list[float]) -> st.SearchStrategy[Dense]:
    """Codes of any L0: from tokens on which nothing fires to tokens on which everything does."""
    count = CONTEXTS * LENGTH * M
    firing = st.lists(st.sampled_from(values), min_size=count, max_size=count)
    return firing.map(lambda flat: np.array(flat, np.float32).reshape(CONTEXTS, LENGTH, M))


def ragged(dense: Dense, contexts: range) -> tuple[Codes, NDArray[np.int64], NDArray[np.int64]]:
    """The codes of the unmasked tokens of some contexts, the features of a token in no particular order."""
    context, position = np.nonzero(ALLOWED[contexts.start : contexts.stop])
    rows = dense[context + contexts.start, position]
    token, feature = np.nonzero(rows)
    order = np.lexsort((mix(1, feature), token))
    token, feature = token[order], feature[order]
    start = np.r_[0, np.cumsum((rows != 0).sum(1))]
    codes = Codes(*(torch.from_numpy(a) for a in (start, feature.astype(np.int32), rows[token, feature])))
    return codes, context + contexts.start, position


def summary(dense: Dense, *shards: range, signed: bool = False) -> Summary:
    """What one accumulator makes of some shards."""
    accumulator = Accumulator(M, KEEP, signed)
    for contexts in shards:
        accumulator.absorb(*ragged(dense, contexts), DOCUMENT)
    return accumulator.summary()


def listed(found: Hits) -> list[tuple[int, int, int, int, float, dict[int, float]]]:
    ends = np.cumsum(found.active)
    tokens = [slice(end - active, end) for end, active in zip(ends.tolist(), found.active.tolist(), strict=True)]
    return [
        (
            int(found.feature[i]),
            int(found.context[i]),
            int(found.document[i]),
            int(found.peak[i]),
            float(found.value[i]),
            dict(zip(found.positions[some].tolist(), found.values[some].tolist(), strict=True)),
        )
        for i, some in enumerate(tokens)
    ]


def same(left: Any, right: Any) -> bool:
    """Byte for byte."""
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    return all(same(getattr(left, field.name), getattr(right, field.name)) for field in fields(left))


def by_hand(dense: Dense, side: int) -> list[tuple[int, int, int, int, float, dict[int, float]]]:
    """Every hit of the activations of one sign, in order of feature and context."""
    active: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
    for context, position, feature in np.ndindex(dense.shape):
        if ALLOWED[context, position] and dense[context, position, feature] * side > 0:
            active[feature, context][position] = float(dense[context, position, feature])
    every = []
    for (feature, context), tokens in sorted(active.items()):
        best = max(tokens.values(), key=lambda value: value * side)
        peak = min(position for position, value in tokens.items() if value == best)
        every.append((feature, context, int(DOCUMENT[context]), peak, best, tokens))
    return every


def strongest(every: list[Any], feature: int) -> list[Any]:
    """The best of each document first, then by strength and context."""
    mine = sorted((hit for hit in every if hit[0] == feature), key=lambda hit: (-abs(hit[4]), hit[1]))
    firsts: dict[int, Any] = {}
    for hit in mine:
        firsts.setdefault(hit[2], hit)
    return list(firsts.values())[: KEEP.top]


def check(result: Summary, dense: Dense) -> None:
    above, below = by_hand(dense, 1), by_hand(dense, -1)
    allowed = dense[ALLOWED]
    for feature in range(M):
        mine = [hit for hit in above if hit[0] == feature]
        drawn = sorted(mine, key=lambda hit: (int(mix(KEEP.seed, hit[0] << 32 | hit[1])) >> 32, hit[1]))[: KEEP.sample]
        assert [hit for hit in listed(result.top) if hit[0] == feature] == strongest(above, feature)
        assert [hit for hit in listed(result.sample) if hit[0] == feature] == sorted(
            drawn, key=lambda hit: (-hit[4], hit[1])
        )
        assert [hit for hit in listed(by_strength(result.bottom)) if hit[0] == feature] == strongest(below, feature)
        fired = allowed[:, feature]
        totals = result.totals
        assert totals.count[feature] == (fired != 0).sum()
        assert totals.negative[feature] == (fired < 0).sum()
        assert totals.contexts[feature] == sum(hit[0] == feature for hit in above + below)
        assert totals.max[feature] == max(fired.max(), 0)
        assert totals.min[feature] == min(fired.min(), 0)
        assert totals.sum[feature] * KEEP.unit == fired.sum(dtype=np.float64)
        for side, some in enumerate((fired[fired > 0], fired[fired < 0])):
            assert np.array_equal(totals.histogram(side)[feature], np.bincount(bins_of(some), minlength=BINS))
    kept = [hit[:2] for hit in listed(result.hits)]
    assert kept == sorted(kept)


@settings(max_examples=40, deadline=None)
@given(st.one_of(densities(POSITIVE), densities([0.0] * 20 + POSITIVE)))
def test_a_summary_equals_brute_force(dense: Dense) -> None:
    check(summary(dense, range(CONTEXTS)), dense)


@settings(max_examples=40, deadline=None)
@given(st.one_of(densities(SIGNED), densities([0.0] * 20 + SIGNED)))
def test_a_signed_summary_equals_brute_force_in_both_tails(dense: Dense) -> None:
    check(summary(dense, range(CONTEXTS), signed=True), dense)


@settings(max_examples=60, deadline=None)
@given(densities(SIGNED), st.lists(st.integers(1, CONTEXTS - 1), max_size=5), st.randoms(use_true_random=False))
def test_any_sharding_and_any_tree_of_merges_gives_the_same_bytes(
    dense: Dense, cuts: list[int], random: Random
) -> None:
    bounds = [0, *sorted(set(cuts)), CONTEXTS]
    shards = [range(a, b) for a, b in pairwise(bounds)]
    random.shuffle(shards)
    parts = []
    while shards:  # workers that see one shard or several, in any order
        some = [shards.pop() for _ in range(random.randint(1, len(shards)))]
        parts.append(summary(dense, *some, signed=True))
    while len(parts) > 1:
        random.shuffle(parts)
        taken = [parts.pop() for _ in range(random.randint(1, len(parts)))]
        parts.append(hits.merge(taken, KEEP))
    assert same(hits.merge(parts, KEEP), summary(dense, range(CONTEXTS), signed=True))


@settings(max_examples=30, deadline=None)
@given(densities(SIGNED))
def test_what_is_dropped_early_would_not_have_been_kept(dense: Dense) -> None:
    """An accumulator that sorts out after every context has its limits from then on."""
    before = hits.PENDING
    hits.PENDING = 0
    try:
        careful = summary(dense, *(range(c, c + 1) for c in range(CONTEXTS)), signed=True)
    finally:
        hits.PENDING = before
    assert same(careful, summary(dense, range(CONTEXTS), signed=True))


def largest(pre: NDArray[Any], k: int) -> NDArray[np.bool_]:
    """The k largest of each row; among equals the first."""
    order = np.argsort(-pre, axis=1, kind="stable")
    return np.argsort(order, axis=1) < k


BIAS, GATE = (np.random.default_rng(n).integers(-4, 5, M).astype(np.float32) / 4 for n in range(2))
THRESHOLD = np.array([1, 2, 3, 4, 5, 6], np.float32) / 4
RULES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {  # of pre-activations without the bias, which is BIAS
    "topk": lambda pre: np.where(largest(pre + BIAS, 2), pre + BIAS, 0).clip(0),
    "absolute-topk": lambda pre: np.where(largest(abs(pre + BIAS), 2), pre + BIAS, 0),
    "groupmax": lambda pre: np.hstack([np.where(largest(half, 1), half, 0) for half in np.hsplit(pre + BIAS, 2)]).clip(
        0
    ),
    "batch-topk": lambda pre: np.where(pre + BIAS > THRESHOLD[0], pre + BIAS, 0),
    "relu": lambda pre: (pre + BIAS).clip(0),
    "jumprelu": lambda pre: np.where(pre + BIAS > THRESHOLD, pre + BIAS, 0),
    "gated": lambda pre: np.where(pre + GATE > 0, pre + BIAS, 0).clip(0),
}


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), cuts=st.lists(st.integers(1, CONTEXTS - 1), max_size=4))
def test_a_summary_of_a_real_dictionary_equals_its_rule_written_out(rule: Any, seed: int, cuts: list[int]) -> None:
    """Quarters throughout, so that sums are exact and ties common; by the shards, in any order."""
    draw = np.random.default_rng(seed)
    encoder = draw.integers(-2, 3, (M, 4)).astype(np.float32) / 2
    x = draw.integers(-4, 5, (CONTEXTS, LENGTH, 4)).astype(np.float32) / 2
    dictionary = Dictionary(
        kind="file",
        rule=rule,
        encoder=torch.from_numpy(encoder),
        b_enc=torch.from_numpy(BIAS),
        decoder=None,
        b_dec=torch.zeros(4),
        k=2,
        threshold=torch.from_numpy(THRESHOLD[:1] if rule == "batch-topk" else THRESHOLD),
        b_gate=torch.from_numpy(GATE),
        r_mag=torch.zeros(M),
    )
    parts = []
    for first, last in draw.permutation(list(pairwise([0, *sorted(set(cuts)), CONTEXTS]))):
        context, position = np.nonzero(ALLOWED[first:last])
        codes = dictionary.encode(torch.from_numpy(x[context + first, position]))
        accumulator = Accumulator(M, KEEP, dictionary.signed)
        accumulator.absorb(codes, context + first, position, DOCUMENT)
        parts.append(accumulator.summary())
    dense = RULES[rule]((x @ encoder.T).reshape(-1, M)).reshape(CONTEXTS, LENGTH, M).astype(np.float32)
    check(hits.merge(parts, KEEP), dense)


@settings(max_examples=30, deadline=None)
@given(dense=densities(SIGNED), cut=st.integers(1, CONTEXTS - 1))
def test_merged_in_blocks_it_is_the_whole_cut_into_blocks(
    tmp_path_factory: pytest.TempPathFactory, dense: Dense, cut: int
) -> None:
    """From disk, block by block: the sample of a block is drawn by its features' own numbers."""
    folder = tmp_path_factory.mktemp("parts")
    parts = [summary(dense, contexts, signed=True) for contexts in (range(cut), range(cut, CONTEXTS))]
    before = blocks.WIDTH
    blocks.WIDTH = 4
    try:
        for number, part in enumerate(parts):
            blocks.write_blocks(folder / str(number), part)
    finally:
        blocks.WIDTH = before
    whole = hits.merge(parts, KEEP).cut(4)
    assert [len(block.totals.count) for block in whole] == [4, 2]
    for number, block in enumerate(whole):
        read = [blocks.read_block(folder / str(part), number) for part in (0, 1)]
        assert same(hits.merge(read, KEEP.at(4 * number)), block)


def test_an_accumulator_that_saw_nothing(tmp_path: Path) -> None:
    empty = Accumulator(M, KEEP, False).summary()
    dense = np.ones((CONTEXTS, LENGTH, M), np.float32)
    blocks.write_blocks(tmp_path / "s", empty)
    full = summary(dense, range(CONTEXTS))
    assert len(empty.top) == len(empty.sample) == 0
    assert same(hits.merge([blocks.read_block(tmp_path / "s", 0), full], KEEP), full)


def test_many_features_and_many_parts() -> None:
    """More features than a block has, more parts than are merged at a time, against a sort of everything."""
    random = np.random.default_rng(0)
    m, count = 10_000, 200
    document = np.arange(count, dtype=np.int32)
    parts, rows = [], []
    for context in range(count):
        feature = np.sort(random.choice(m, 50, replace=False))
        value = random.random(50, np.float32) + 0.5
        codes = Codes(torch.tensor([0, 50]), torch.from_numpy(feature.astype(np.int32)), torch.from_numpy(value))
        accumulator = Accumulator(m, KEEP, False)
        accumulator.absorb(codes, np.array([context]), np.array([0]), document)
        parts.append(accumulator.summary())
        rows += [(int(f), -float(v), context) for f, v in zip(feature, value, strict=True)]
    by_feature: dict[int, list[int]] = defaultdict(list)
    for feature_, _, context in sorted(rows):
        by_feature[feature_].append(context)
    merged = hits.merge(parts, KEEP)
    found: dict[int, list[int]] = defaultdict(list)
    for feature_, context in zip(merged.top.feature.tolist(), merged.top.context.tolist(), strict=True):
        found[feature_].append(context)
    assert found == {feature_: contexts[: KEEP.top] for feature_, contexts in by_feature.items()}


@given(st.floats(2.0**-20, 2.0**30, width=32), st.booleans())
def test_histogram_bins_are_eighths_of_an_octave(value: float, negative: bool) -> None:
    (found,) = bins_of(np.array([-value if negative else value], np.float32)).tolist()
    number = found + LOWEST_OCTAVE * BINS_PER_OCTAVE
    assert value**8 < 2.0 ** (number + 1) * (1 + 1e-12)
    assert value**8 > 2.0**number * (1 - 1e-12)


def test_sizes_beyond_the_histogram_are_in_its_last_bins() -> None:
    assert bins_of(np.array([1e-40, 2.0**-24, 3e38, np.inf], np.float32)).tolist() == [0, 0, BINS - 1, BINS - 1]
