"""Drawing features: spread over the deciles, without replacement, by seed alone."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UserError
from app.study.sampling import DECILES, Candidate, deciles, draw, draw_evenly

frequencies = st.lists(st.floats(1e-6, 1), max_size=200)


def candidates(values: list[float], dictionary: str = "d") -> list[Candidate]:
    return [Candidate(dictionary, feature, frequency, False) for feature, frequency in enumerate(values)]


@given(frequencies)
def test_deciles_are_ordered_parts_of_equal_size(values: list[float]) -> None:
    parts = deciles(candidates(values))
    assert len(parts) == DECILES
    assert sorted(c.feature for part in parts for c in part) == list(range(len(values)))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    bounds = [(min(f), max(f)) for part in parts if (f := [c.frequency for c in part])]
    assert all(upper <= lower for (_, upper), (lower, _) in pairwise(bounds))


@given(frequencies, st.data())
def test_a_draw_repeats_nothing_and_every_stretch_is_spread_evenly(values: list[float], data: st.DataObject) -> None:
    pool = candidates(values)
    count = data.draw(st.integers(0, len(pool)))
    drawn = draw("d", pool, count, seed=3)
    assert len({one.candidate.feature for one in drawn}) == len(drawn) == count
    room = min(len(part) for part in deciles(pool))
    for end in range(min(count, room * DECILES) + 1):
        taken = Counter(one.decile for one in drawn[:end])
        assert all(taken[d] in (end // DECILES, -(-end // DECILES)) for d in range(DECILES))


@given(frequencies.filter(bool), st.randoms())
def test_a_draw_follows_from_the_seed_and_not_from_the_order_of_asking(values: list[float], chance) -> None:
    pool = candidates(values)
    mixed = pool.copy()
    chance.shuffle(mixed)
    count = len(pool) // 2
    assert draw("d", pool, count, seed=1) == draw("d", mixed, count, seed=1)


def test_another_seed_draws_others() -> None:
    pool = candidates([n / 1000 for n in range(1, 1000)])
    one, two = ({d.candidate.feature for d in draw("d", pool, 100, seed)} for seed in (1, 2))
    assert len(one & two) < 30


def test_a_longer_draw_begins_like_a_shorter_one_so_that_tasks_share_nothing() -> None:
    pool = candidates([n / 1000 for n in range(1, 1000)])
    assert draw("d", pool, 200, 1)[:50] == draw("d", pool, 50, 1)


def test_every_candidate_is_as_likely_as_any() -> None:
    """10 of 40 candidates, 2,000 seeds: each is drawn about 500 times (SD 19)."""
    pool = candidates([n / 40 for n in range(1, 41)])
    times = Counter(one.candidate.feature for seed in range(2000) for one in draw("d", pool, 10, seed))
    assert min(times[n] for n in range(40)) > 500 - 5 * 20
    assert max(times.values()) < 500 + 5 * 20


def test_asking_for_more_than_there_is() -> None:
    with pytest.raises(UserError, match="needs 4 features of d, but only 3 can fill a page"):
        draw("d", candidates([0.1, 0.2, 0.3]), 4, 0)
    with pytest.raises(UserError, match="1 features of d, but only 0 can fill a page"):
        draw("d", [], 1, 0)


@given(st.integers(0, 60), st.integers(1, 4))
def test_dictionaries_of_one_arm_give_alike(count: int, many: int) -> None:
    pools = {f"d{n}": candidates([0.1] * 60, f"d{n}") for n in range(many)}
    drawn = draw_evenly(pools, count, 5)
    per = Counter(one.candidate.dictionary for one in drawn)
    assert len(drawn) == count
    assert max(per[name] for name in pools) - min(per[name] for name in pools) <= 1
    features = [(one.candidate.dictionary, one.candidate.feature) for one in drawn]
    assert len(set(features)) == count
