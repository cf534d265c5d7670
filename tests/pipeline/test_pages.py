"""Pages against the same choice written out hit by hit."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.config import PagesConfig
from pipeline.hashing import mix
from pipeline.hit_arrays import Hits, strength_order
from pipeline.hits import SAMPLE, TOP, Keep, Summary
from pipeline.pages import near_duplicates, pages, top_page
from pipeline.totals import Totals

KEEP = Keep(top=80, sample=80, seed=1, unit=0.125)


def make_hits(rows: list[tuple[int, int, int, float]], document: list[int] | None = None) -> Hits:
    """Hits of one token each from (feature, context, peak, value)."""
    feature, context, peak, value = (np.array(column) for column in zip(*rows, strict=True))
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


def summary_of(hits: Hits, m: int) -> Summary:
    """A summary that keeps all of some hits."""
    return Summary(hits, np.full(len(hits), TOP | SAMPLE, np.uint8), Hits.none(), Totals.none(m))


def repeated(hits: Hits, tokens: NDArray[np.int32]) -> list[bool]:
    return near_duplicates(hits, np.arange(len(hits)), hits.feature, tokens).tolist()


@pytest.mark.parametrize(("shift", "dropped"), [(0, True), (3, True), (20, False)])
def test_the_same_eight_tokens_at_the_peak_are_a_near_duplicate(shift: int, dropped: bool) -> None:
    tokens = np.random.default_rng(0).integers(0, 9999, (3, 64)).astype(np.int32)
    tokens[2, 12 + shift : 28 + shift] = tokens[0, 12:28]  # a copied passage; with a shift of 20 the peak is elsewhere
    peak = 20 + (shift if shift < 10 else 0)
    hits = make_hits([(0, 0, 20, 3.0), (0, 1, 20, 2.0), (0, 2, peak, 1.0), (1, 2, peak, 1.0)])
    assert repeated(hits, tokens) == [False, False, dropped, False]


def test_short_contexts_at_the_edge_are_not_taken_for_duplicates() -> None:
    hits = make_hits([(0, c, 2, 1.0) for c in range(4)])
    assert repeated(hits, np.zeros((4, 5), np.int32)) == [False] * 4


def test_copies_at_the_edges_of_a_context_are_found() -> None:
    tokens = np.arange(4 * 16, dtype=np.int32).reshape(4, 16)
    tokens[1, :8], tokens[3, 8:] = tokens[0, :8], tokens[2, 8:]
    hits = make_hits([(0, 0, 0, 4.0), (0, 1, 0, 3.0), (0, 2, 15, 2.0), (0, 3, 15, 1.0)])
    assert repeated(hits, tokens) == [False, True, False, True]


def test_pages_are_rank_quantiles_of_the_sample() -> None:
    n = 60
    tokens = np.arange(n * 16, dtype=np.int32).reshape(n, 16)
    rows = [(0, c, 8, float(n - c)) for c in range(n)] + [(1, c, 8, float(c + 1)) for c in range(4)]
    hits = make_hits(rows)
    found = pages(summary_of(hits, 2), strength_order(hits), tokens, KEEP, PagesConfig(top=10, per_quantile=4))
    mine = {name: found.hits.take(places[found.hits.feature[places] == 0]) for name, places in found.groups.items()}
    assert mine["top"].context.tolist() == list(range(10))
    for number in range(5):
        group = mine[f"q{number + 1}"]
        assert len(group) == 4
        assert ((group.context >= 12 * number) & (group.context < 12 * (number + 1))).all()
        assert (np.diff(group.value) <= 0).all()
    assert sum((found.hits.feature[found.groups[f"q{q}"]] == 1).sum() for q in range(1, 6)) == 4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4))
def test_pages_equal_the_choice_made_by_hand(seed: int, top: int, per_quantile: int) -> None:
    """Texts of few words and few documents, so that near-duplicates and second contexts of a document are common."""
    random = np.random.default_rng(seed)
    m, n, length = 3, 40, 20
    tokens = random.integers(0, 2, (n, length)).astype(np.int32)
    document = random.integers(0, 15, n)
    chosen = [(f, c) for f in range(m) for c in range(n) if random.random() < 0.7]
    rows = [(f, c, int(random.integers(length)), float(random.integers(1, 9))) for f, c in chosen]
    hits = make_hits(rows, [int(document[c]) for _, c in chosen])
    config = PagesConfig(top=top, per_quantile=per_quantile)
    found = pages(summary_of(hits, m), strength_order(hits), tokens, KEEP, config)

    def fresh(mine: list[tuple[int, int, int, float]]) -> list[tuple[int, int, int, float]]:
        seen: list[set[tuple[int, ...]]] = [set(), set(), set()]
        kept = []
        for row in mine:
            new = True
            for side, back in zip(seen, (7, 4, 0), strict=True):
                start = row[2] - back
                if start >= 0 and start + 8 <= length:
                    shingle = tuple(tokens[row[1], start : start + 8].tolist())
                    new &= shingle not in side
                    side.add(shingle)
            if new:
                kept.append(row)
        return kept

    wanted: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for feature in range(m):
        mine = sorted((row for row in rows if row[0] == feature), key=lambda row: (-row[3], row[1]))
        wanted["top"] += [row[:2] for row in fresh(mine)[:top]]
        for fifth in range(5):
            some = fresh([row for rank, row in enumerate(mine) if rank * 5 // len(mine) == fifth])
            one_each: dict[int, tuple[int, int, int, float]] = {}
            for row in some:
                one_each.setdefault(int(document[row[1]]), row)
            hashed = sorted(one_each.values(), key=lambda row: int(mix(KEEP.seed, row[0] << 32 | row[1])) >> 32)
            drawn = hashed[:per_quantile]
            wanted[f"q{fifth + 1}"] += [row[:2] for row in sorted(drawn, key=lambda row: (-row[3], row[1]))]
    for name, places in found.groups.items():
        pairs = zip(found.hits.feature[places].tolist(), found.hits.context[places].tolist(), strict=True)
        assert list(pairs) == wanted[name], name


def test_a_page_of_the_lowest() -> None:
    tokens = np.arange(6 * 16, dtype=np.int32).reshape(6, 16)
    hits = make_hits([(0, c, 8, float(-c - 1)) for c in range(6)])
    page = top_page(hits, tokens, 3, "bottom")
    assert page.hits.value[page.groups["bottom"]].tolist() == [-6, -5, -4]
