"""The curves of a training on a dictionary's page."""

import math
import re

import pytest

from app.browse.curves import curves, tokens_shown
from tests.browse.conftest import text


def test_a_trained_dictionarys_page_draws_what_its_training_noted(client, store, trained):
    page = client.get(f"/dictionaries/{trained.name}").text
    noted = trained.provenance["curve"]
    shown = text(page)
    assert "How it was trained" in shown
    for label, key in (("Variance explained", "fve"), ("L0", "l0"), ("Dead features", "dead"), ("Loss", "loss")):
        [drawn] = [one for one in curves(trained.provenance) if one.label == label]
        assert len(drawn.points.split()) == len(drawn.marks) == len(noted)
        assert f'points="{drawn.points}"' in page
        heights = [float(point.split(",")[1]) for point in drawn.points.split()]
        values = [point[key] for point in noted]
        assert heights.index(min(heights)) == values.index(max(values))  # up is more
    assert all(dictionary.trained or not curves(dictionary.provenance) for dictionary in store.dictionaries())
    other = next(dictionary for dictionary in store.dictionaries() if not dictionary.trained)
    assert "How it was trained" not in client.get(f"/dictionaries/{other.name}").text


def test_points_keep_their_places_and_say_their_figures():
    curve = [{"tokens": tokens, "fve": fve} for tokens, fve in ((1000, 0.5), (2000, 0.75), (5000, 1.0))]
    [drawn] = curves({"curve": curve})
    assert drawn.points == "0,61 60,32 240,3"
    assert [mark.title for mark in drawn.marks] == ["1k tokens: 50.0%", "2k tokens: 75.0%", "5k tokens: 100.0%"]
    assert sum(mark.width for mark in drawn.marks) == pytest.approx(drawn.width)
    assert (drawn.low, drawn.high, drawn.ticks) == ("50.0%", "100.0%", ("1k tokens", "5k tokens"))
    assert "50.0% after 1k tokens, 100.0% after 5k tokens" in drawn.summary


def test_shares_and_counts_are_drawn_from_zero():
    [drawn] = curves({"curve": [{"tokens": 1, "l0": 32.0}, {"tokens": 2, "l0": 32.0}]})
    assert (drawn.low, drawn.high) == ("0", "32.0")
    assert {float(point.split(",")[1]) for point in drawn.points.split()} == {3.0}


@pytest.mark.parametrize(
    "curve",
    [
        None,
        "no curve",
        [],
        [1, None, "x"],
        [{"tokens": 1, "fve": 0.5}],
        [{"tokens": 1, "fve": 0.5}, {"tokens": 1, "fve": 0.6}],
        [{"tokens": "many", "fve": 0.5}, {"tokens": 2, "fve": True}, {"tokens": 3}],
        [{"tokens": 1, "fve": math.nan}, {"tokens": 2, "fve": math.inf}, {"tokens": 3, "fve": 0.1}],
    ],
)
def test_what_is_no_curve_draws_nothing(curve):
    """A dictionary's file is others' work, and may hold anything."""
    assert curves({"curve": curve}) == ()


def test_tokens_are_told_shortly():
    assert [tokens_shown(n) for n in (512, 40_960, 1_500_000, 10_240_000, 2e9)] == [
        *("512 tokens", "41k tokens", "1.5M tokens", "10.2M tokens", "2G tokens")
    ]
    assert re.fullmatch(r"\S+ tokens", tokens_shown(999_999))
