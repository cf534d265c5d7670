"""Power by simulation: the figures of the protocol come out."""

import math

import pytest

from app.study import power
from app.study.power import Intruders, Scores, decisive, decisive_needed, intruders, needed, pairs, scores


@pytest.mark.parametrize(
    ("features", "retention", "equivalence"), [(200, 0.77, 0.78), (250, 0.84, 0.89)], ids=["200", "250"]
)
def test_a_panel_of_three_raters(features: int, retention: float, equivalence: float) -> None:
    found = scores(Scores(features, 3))
    assert found.retention == pytest.approx(retention, abs=0.025)
    assert found.equivalence == pytest.approx(equivalence, abs=0.03)
    assert found.gate > 0.999


def test_the_bounds_err_no_oftener_than_they_say() -> None:
    assert scores(Scores(200, 3, random=0.424)).retention <= 0.065, "ψ = 0: retention is just missed"
    assert scores(Scores(200, 3, random=0.4)).equivalence <= 0.065, "the arms are just too far apart"
    assert scores(Scores(80, 3, trained=0.12, null=0.12, gate=0)).gate <= 0.065, "there is no gain"


def test_a_crowd_differs_in_what_it_makes_of_an_arm() -> None:
    """From ten raters on their spread is in the bounds, so that a difference among them costs power."""
    alike, unlike = (scores(Scores(80, 10, rater_by_arm=sd), 600) for sd in (0.0, 0.5))
    assert unlike.equivalence < alike.equivalence - 0.1
    missed = scores(Scores(80, 10, random=0.424, rater_by_arm=0.3), 1000)
    assert missed.retention <= 0.065


def test_pairs_and_decisive_pairs() -> None:
    assert needed(lambda number: pairs(number, 0.2)) == pytest.approx(229, abs=1)
    assert needed(lambda number: pairs(number, 0.3)) == pytest.approx(102, abs=1)
    assert decisive_needed() == 54
    assert decisive(53) < 0.8 <= decisive(54)
    assert decisive_needed(0.501) is None


def test_the_sign_test_is_exact() -> None:
    """Ten of ten and nine of ten reject at .05, two-sided: 2 × 11/1024."""
    assert decisive(10, 0.5) == pytest.approx(22 / 1024)
    assert decisive(5, 0.5) == 0, "five of five: 2/32 is more than .05"
    assert decisive(10, 0.9) == pytest.approx(0.9**10 + 10 * 0.9**9 * 0.1 + 0.1**10 + 10 * 0.1**9 * 0.9)


@pytest.mark.parametrize(("features", "gap"), [(188, 0.1), (48, 0.2)])
def test_intruders(features: int, gap: float) -> None:
    assert intruders(Intruders(features, gap)) == pytest.approx(0.81, abs=0.025)
    assert intruders(Intruders(features, 1e-9)) == pytest.approx(0.05, abs=0.02), "no gap is found where there is none"


def test_what_is_told_of_progress_adds_up() -> None:
    told: list[int] = []
    scores(Scores(5, 2), studies=120, progress=told.append)
    intruders(Intruders(5), studies=120, progress=told.append)
    assert sum(told) == 240
    assert max(told) == power.BATCH


def test_the_same_seed_gives_the_same_figure() -> None:
    assert scores(Scores(20, 3), 200, seed=1) == scores(Scores(20, 3), 200, seed=1)
    assert scores(Scores(20, 3), 200, seed=1) != scores(Scores(20, 3), 200, seed=2)


@pytest.mark.parametrize(
    ("level", "freedom", "quantile"), [(0.975, 5, 2.5706), (0.95, 10, 1.8125), (0.975, 60, 2.0003)]
)
def test_quantiles_of_student(level: float, freedom: int, quantile: float) -> None:
    """Against printed tables."""
    assert power._t(level, freedom) == pytest.approx(quantile, abs=3e-3)


def test_needed_is_the_smallest_number_that_is_enough() -> None:
    assert needed(lambda number: number / 100) == 80
    assert needed(lambda number: 0.5) is None
    assert math.isclose(Scores(1, 1).spread, math.hypot(0.8, 0.5, 0.8))
