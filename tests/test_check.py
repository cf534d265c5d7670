"""`study check`: items, hours, strata, what is left out, imbalance and power, before anything is frozen."""

import random
import re

import numpy as np
import pytest

from app.check import check, declared, simulations
from app.errors import UserError
from app.freeze import prepare
from app.store.features import FeatureStore
from app.study import imbalance
from app.study.content import Page, Snippet, page
from app.study.imbalance import FIGURES, LEAST, TEXT, auc, looks, separation
from app.study.protocol import Protocol

DESIGN = {
    "name": "small",
    "title": "Which is clearer?",
    "seed": 5,
    "raters_per_item": 3,
    "items_per_rater": 50,
    "arm": [
        {"name": "trained", "dictionaries": ["topk-sae"]},
        {"name": "untrained", "dictionaries": ["random-sign"]},
        {"name": "null-pages", "control": "null"},
    ],
    "layout": {"contexts": 3, "width": 24},
    "tasks": {
        "page": {"features": 20},
        "pair": {"pairs": 20, "contrasts": [["trained", "untrained"]]},
        "intruder": {"features": 5, "width": 24},
    },
    "catch": {"planted": 2},
    "practice": {"pages": 1},
    "guess": {"pages": 5},
    "estimand": {"trained": "trained", "random": "untrained", "retention": 0.7},
}


@pytest.fixture(scope="module")
def told() -> list[int]:
    return []


@pytest.fixture(scope="module")
def report(features: FeatureStore, told: list[int]) -> str:
    return "\n".join(check(Protocol.model_validate(DESIGN), features, told.append))


def test_it_counts_the_work(report: str) -> None:
    for line in ("main page: 60", "main pair: 20", "main intruder: 90", "catch page: 2", "guess page: 15"):
        assert f"  {line}\n" in report
    raters = 11  # 170 items × 3 ratings, 50 a rater
    main = (60 * 60 + 20 * 90 + 90 * 30) * 3 * 1.1
    each = 2 * 60 + 1 * 60 + 15 * 70
    assert f"by {raters} raters or more: {(main + raters * each) / 3600:.1f} hours in all" in report


def test_it_counts_arms_strata_and_what_is_left_out(report: str, features: FeatureStore) -> None:
    assert "  null-pages: 5 guess page, 30 main intruder, 20 main page, 4 main pair" in report
    [strata] = re.findall(r"trained: .*\n    (\d+) features, by stratum of frequency ([\d ]+); \d+ of one", report)[:1]
    assert int(strata[0]) == sum(map(int, strata[1].split())) == 5 + 5 + 20 + 12 + 4 + 2
    states = features.states(features.dictionary("topk-sae").id)
    assert re.search(
        rf"topk-sae: \d+ of 2304 can be shown; 0 are dead, {states['never']} never fire, \d+ fire in", report
    )


def test_it_says_where_sizes_differ(report: str) -> None:
    assert "\nSizes differ: topk-sae 2304, random-sign 576 features. Build them with one m," in report


def test_it_says_what_the_design_can_find_out(report: str, told: list[int]) -> None:
    assert "scores, 20 features an arm, 3 raters, if 0.5/0.5/0.12" in report
    assert re.search(r"retention of 70%: 0\.\d\d", report)
    assert re.search(r"pairs, 12 of each contrast .*\n.*±0.2: 0.00; 80% needs 22\d\n.*\n.*70:30 .* needs 54", report)
    assert re.search(r"a gap of 0.2: 0\.\d\d", report)
    assert sum(told) == simulations(Protocol.model_validate(DESIGN)) == 6000


def test_it_says_what_is_declared(report: str) -> None:
    assert "Declared: whether untrained keeps 70% of what trained gains over null pages" in report
    undeclared = Protocol.model_validate({key: value for key, value in DESIGN.items() if key != "estimand"})
    assert declared(undeclared).startswith("nothing, so the results will have no headline")


def test_it_says_how_surely_the_careless_are_found(report: str) -> None:
    """Two planted pages, one may be wrong: .6² of those who answer at random get both wrong, .02² of the careful."""
    assert "left out with a chance of 0.36 (more than 1 wrong of 2 pages with a known answer)" in report
    assert "wrong one time in fifty, with 0.000" in report


def test_it_says_what_tells_arms_apart(report: str) -> None:
    found = re.findall(
        r"trained and untrained, by [\w ]+: (0\.\d\d) \((0\.\d\d) to (0\.\d\d)\); most by ([\w ]+),", report
    )
    assert len(found) == 2
    assert all(float(low) <= float(value) <= float(high) for value, low, high, _ in found)
    assert found[0][3] in TEXT


def test_a_design_that_cannot_be_drawn_is_refused(features: FeatureStore) -> None:
    with pytest.raises(UserError, match=r"needs 14858 features of topk-sae"):
        list(
            check(Protocol.model_validate({**DESIGN, "tasks": {"page": {"features": 9900}}}), features, lambda _: None)
        )


def some_page(chance: random.Random, level: int) -> Page:
    tokens = tuple(chance.choice(["a", " bb", " ccc", "dddd"]) for _ in range(8))
    snippet = Snippet(tokens, (0, 0, level, 0, 0, chance.choice([0, 1]), 0, 0), 2)
    return page([[snippet, snippet]] * 3)


def some_pages(chance: random.Random, level: int = 4) -> list[Page]:
    return [some_page(chance, level) for _ in range(40)]


def test_of_arms_alike_nine_intervals_in_ten_hold_one_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imbalance, "RESAMPLES", 100)
    chance = random.Random(1)
    found = [separation(some_pages(chance), some_pages(chance), seed) for seed in range(100)]
    assert sum(one is not None and one.low <= 0.5 <= one.high for one in found) >= 88


def test_pages_that_differ_are_told_apart_by_what_differs() -> None:
    chance = random.Random(1)
    other = separation(some_pages(chance), some_pages(chance, 1))
    assert other is not None
    assert other.low > 0.95
    assert other.figure == "sum of levels"
    blind = separation(some_pages(chance), some_pages(chance, 1), figures=TEXT)
    assert blind is not None
    assert blind.value < 0.8
    assert separation(some_pages(chance)[: LEAST - 1], some_pages(chance)) is None


def test_the_area_under_the_curve() -> None:
    y = np.array([False, False, True, True])
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), y) == 1
    assert auc(np.array([1.0, 3.0, 2.0, 4.0]), y) == 0.75
    assert auc(np.zeros(4), y) == 0.5


def test_looks_are_what_is_seen_without_reading(features: FeatureStore) -> None:
    frozen = prepare(Protocol.model_validate({**DESIGN, "tasks": {"page": {"features": 1}}}), features)
    one = next(item.pages["a"] for item in frozen.items)
    figures = dict(zip(FIGURES, looks(one), strict=True))
    snippets = [snippet for block in one.blocks for snippet in block.snippets]
    assert figures["characters"] == sum(len("".join(snippet.tokens)) for snippet in snippets)
    assert figures["highlights"] == sum(level > 0 for snippet in snippets for level in snippet.levels)
