"""The figures of features, by hand."""

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.facts import FeatureFacts, Peaks, feature_facts, stability
from pipeline.hit_arrays import Hits, by_strength, strength_order
from pipeline.hits import Summary
from pipeline.totals import BINS, LOWEST_OCTAVE, SIDES, Totals
from tests.pipeline.test_pages import make_hits, summary_of


def totals_of(hits: Hits, m: int, **changed: Any) -> Totals:
    """As if every hit were one token; all values in bin 200."""
    count = np.bincount(hits.feature, minlength=m)
    largest = np.zeros(m, np.float32)
    np.maximum.at(largest, hits.feature, hits.value)
    fired = np.flatnonzero(count)
    facts = {
        "count": count,
        "negative": count * 0,
        "contexts": count,
        "sum": count * 8,
        "max": largest,
        "min": largest * 0,
        "bins": (fired * SIDES * BINS + 200).astype(np.uint32),
        "filling": count[fired],
    }
    return Totals(**{**facts, **changed})


def facts_of(
    hits: Hits, m: int, tokens: NDArray[np.int32], wanted: int = 5, signed: bool = False, **changed: Any
) -> FeatureFacts:
    summary = Summary(hits, summary_of(hits, m).role, Hits.none(), totals_of(hits, m, **changed))
    dead = np.zeros(m, bool)
    dead[0] = dead[-1] = True
    return feature_facts(summary, strength_order(hits), by_strength(hits), tokens, 100, 0.5, wanted, dead, signed)


def test_facts_in_every_state() -> None:
    hits = make_hits([(0, c, 8, 4.0) for c in range(6)] + [(1, 0, 3, 1.0), (1, 1, 3, 2.0)])
    tokens = np.zeros((6, 16), np.int32)
    tokens[:, 8] = [5, 5, 5, 5, 7, 7]
    tokens[:, 3] = 9
    found = facts_of(hits, 4, tokens)
    assert found.state.tolist() == ["live", "rare", "never", "dead"]  # feature 0 fired, whatever was said of it
    assert (found.count.tolist(), found.frequency.tolist()) == ([6, 2, 0, 0], [0.06, 0.02, 0, 0])
    assert (found.contexts.tolist(), found.max.tolist(), found.mean.tolist()) == (
        [6, 2, 0, 0],
        [4, 2, 0, 0],
        [4, 4, 0, 0],
    )
    entropy = -(4 / 6 * math.log(4 / 6) + 2 / 6 * math.log(2 / 6))
    assert found.peak_entropy == pytest.approx([entropy, 0, 0, 0])
    assert found.single_token.tolist() == [False, True, False, False]
    assert found.top_hit.tolist() == [0, 6, -1, -1]
    assert found.min is None
    histograms = [json.loads(one) for one in found.histogram]
    assert histograms[0] == {"first": 200 + LOWEST_OCTAVE * 8, "counts": [6]}
    assert histograms[2] == {"first": 0, "counts": []}


def test_of_equally_common_tokens_the_stronger_one_is_shown() -> None:
    hits = make_hits([(0, 0, 0, 1.0), (0, 1, 0, 3.0), (0, 2, 0, 2.0)])
    found = facts_of(hits, 1, np.array([[4] * 16, [9] * 16, [6] * 16], np.int32))
    assert found.top_hit.tolist() == [0]
    assert by_strength(hits).context[0] == 1


def test_a_histogram_spans_from_the_first_filled_bin_to_the_last_on_each_side() -> None:
    hits = make_hits([(0, 0, 0, 1.0)])
    bins = np.array([190, 193, BINS + 100, SIDES * BINS + 5], np.uint32)
    filling = np.array([2, 7, 1, 3])
    tokens = np.zeros((1, 16), np.int32)
    found = facts_of(hits, 2, tokens, signed=True, bins=bins, filling=filling, min=np.array([-3, 0], np.float32))
    first, second = (json.loads(one) for one in found.histogram)
    low = LOWEST_OCTAVE * 8
    assert first == {"first": 190 + low, "counts": [2, 0, 0, 7], "below": {"first": 100 + low, "counts": [1]}}
    assert second == {"first": 5 + low, "counts": [3], "below": {"first": 0, "counts": []}}
    assert found.min is not None
    assert found.min.tolist() == [-3, 0]


@pytest.mark.parametrize(
    ("same", "slope"),
    [
        ([1.0] * 10, 0),
        ([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], -12.5 / 82.5),
        ([1 - j / 10 for j in range(10)], -0.1),
    ],
)
def test_the_decile_slope_is_that_of_the_share_of_the_common_token(same: list[float], slope: float) -> None:
    n = 100
    hits = make_hits([(0, c, 4, float(n - c)) for c in range(n)])
    tokens = np.full((n, 16), 7, np.int32)
    for decile, share in enumerate(same):
        other = slice(decile * 10 + round(share * 10), decile * 10 + 10)
        tokens[other, 4] = np.arange(1000, 1000 + n)[other]
    assert facts_of(hits, 1, tokens).decile_slope == pytest.approx([slope])


def test_few_hits_have_no_decile_slope() -> None:
    hits = make_hits([(0, c, 4, 1.0) for c in range(19)])
    assert np.isnan(facts_of(hits, 2, np.zeros((19, 16), np.int32)).decile_slope).all()


def peaks(*tokens: list[int]) -> Peaks:
    """The top hits of some features, from their peak tokens."""
    rows = [(f, c, 0, 1.0) for f, mine in enumerate(tokens) for c in range(len(mine))]
    text = np.zeros((max(map(len, tokens)) or 1, 1), np.int32)
    found = []
    for feature, mine in enumerate(tokens):
        if mine:
            text[: len(mine), 0] = mine
            some = Peaks.of(make_hits([row for row in rows if row[0] == feature]), text)
            found.append(some)
    return Peaks(
        *(np.concatenate([getattr(one, name) for one in found]) for name in ("feature", "token", "count", "first"))
    )


def test_stability_is_one_less_the_jensen_shannon_divergence() -> None:
    here = peaks([1, 1, 2], [1, 1], [3, 4], [5])
    there = peaks([1, 2, 1], [2], [4, 9], [])
    mixed = stability(here, there, 4)
    assert mixed[:3] == pytest.approx([1, 0, 0.5])
    assert np.isnan(mixed[3])
