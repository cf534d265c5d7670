import numpy as np
import pytest

from pipeline.config import PagesConfig
from pipeline.facts import drop_near_duplicates, feature_facts, pages
from pipeline.hits import BINS, Hits, Keep, Summary, Totals


def make_hits(rows: list[tuple[int, int, int, float]], document: list[int] | None = None) -> Hits:
    """Hits of one token each from (feature, context, peak, value)."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    feature, context, peak, value = columns
    owner = context if document is None else np.array(document)
    return Hits(
        feature.astype(np.uint32),
        context.astype(np.uint32),
        owner.astype(np.uint32),
        peak.astype(np.uint16),
        value.astype(np.float32),
        np.ones(len(rows), np.uint16),
        peak.astype(np.uint16),
        value.astype(np.float32),
    )


def totals(m: int, hits: Hits) -> Totals:
    histogram = np.zeros((m, BINS), np.int64)
    count = np.bincount(hits.feature, minlength=m)
    histogram[:, 200] = count
    largest = np.zeros(m, np.float32)
    np.maximum.at(largest, hits.feature, hits.value)
    return Totals(count, count, count * 8, largest, histogram)


@pytest.mark.parametrize(("shift", "dropped"), [(0, True), (3, True), (20, False)])
def test_the_same_eight_tokens_at_the_peak_are_a_near_duplicate(shift: int, dropped: bool) -> None:
    tokens = np.random.default_rng(0).integers(0, 9999, (3, 64)).astype(np.int32)
    tokens[2] = np.random.default_rng(1).integers(0, 9999, 64)
    tokens[2, 12 + shift : 28 + shift] = tokens[0, 12:28]  # a copied passage; with a shift of 20 the peak is elsewhere
    peak = 20 + (shift if shift < 10 else 0)
    hits = make_hits([(0, 0, 20, 3.0), (0, 1, 20, 2.0), (0, 2, peak, 1.0)])
    assert drop_near_duplicates(hits, tokens).context.tolist() == ([0, 1] if dropped else [0, 1, 2])


def test_short_contexts_at_the_edge_are_not_taken_for_duplicates() -> None:
    tokens = np.zeros((4, 5), np.int32)
    hits = make_hits([(0, c, 2, 1.0) for c in range(4)])
    assert len(drop_near_duplicates(hits, tokens)) == 4


def test_pages_are_rank_quantiles_of_the_sample() -> None:
    n = 60
    tokens = np.arange(n * 16, dtype=np.int32).reshape(n, 16)
    rows = [(0, c, 8, float(n - c)) for c in range(n)] + [(1, c, 8, float(c + 1)) for c in range(4)]
    every = make_hits(rows)
    keep = Keep(top=80, sample=80, seed=1, unit=0.125)
    summary = Summary(every.top(80), every.sample(80, 1), totals(2, every))
    groups = pages(summary, tokens, keep, PagesConfig(top=10, per_quantile=4))
    mine = {name: group.take(np.flatnonzero(group.feature == 0)) for name, group in groups.items()}
    assert mine["top"].context.tolist() == list(range(10))
    for number in range(5):
        group = mine[f"q{number + 1}"]
        assert len(group) == 4
        assert ((group.context >= 12 * number) & (group.context < 12 * (number + 1))).all()
        assert (np.diff(group.value) <= 0).all()
    assert sum(len(groups[f"q{q}"].take(np.flatnonzero(groups[f"q{q}"].feature == 1))) for q in range(1, 6)) == 4


def test_facts_of_live_rare_and_never_features() -> None:
    every = make_hits([(0, c, 8, 4.0) for c in range(6)] + [(1, 0, 3, 2.0), (1, 1, 3, 1.0)])
    summary = Summary(every, every, totals(3, every))
    peak_tokens = np.array([5, 5, 5, 5, 7, 7, 9, 9])
    live, rare, never = feature_facts(summary, every, peak_tokens, unmasked=100, unit=0.5, wanted=5)
    assert (live.state, rare.state, never.state) == ("live", "rare", "never")
    assert (live.count, live.frequency, live.contexts, live.max, live.mean) == (6, 0.06, 6, 4.0, 4.0)
    assert live.peak_entropy == pytest.approx(-(4 / 6 * np.log(4 / 6) + 2 / 6 * np.log(2 / 6)))
    assert (live.single_token, rare.single_token, never.single_token) == (False, True, False)
    assert (live.top_hit, rare.top_hit, never.top_hit) == (0, 6, None)
    assert never.histogram == {"first": 0, "counts": []}
    assert live.histogram == {"first": 200 - 24 * 8, "counts": [6]}
