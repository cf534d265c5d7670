"""A whole analysis: every way that it can come out, every bad input, and nothing in it that is no number."""

import json
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from app.errors import UserError
from app.simulate import simulated_tables
from app.study.analysis.blinding import blinding
from app.study.analysis.crossed import crossed_log_odds
from app.study.analysis.design import Design
from app.study.analysis.figures import Criterion, Figure
from app.study.analysis.headline import Core, assess, fieller
from app.study.analysis.ordinal import log_odds
from app.study.analysis.outcome import Grid, Unit, is_first, page_grids, raters_of
from app.study.analysis.pairs import pair_results
from app.study.analysis.parts import Pairs
from app.study.analysis.report import Analysis
from app.study.analysis.run import analyse
from app.study.analysis.tables import Tables
from app.study.analysis.verdict import verdict
from app.study.protocol import Protocol
from app.study.simulated.truth import Truth

TRUTH = Truth(
    {"trained": 0.6, "random": 0.4, "points": 0.5, "empty": 0.12}, found={"trained": 0.6, "random": 0.5, "points": 0.5}
)
DRAWS = 100
ARMS = [
    {"name": "trained", "dictionaries": ["sae-a", "sae-b"]},
    {"name": "random", "dictionaries": ["sign"]},
    {"name": "points", "dictionaries": ["data"]},
    {"name": "empty", "control": "null"},
]


@cache
def study(pages: int = 12, raters: int = 3) -> Tables:
    """A small simulated study with every task."""
    protocol = Protocol.model_validate(
        {
            "name": "small",
            "title": "Which is clearer?",
            "arm": ARMS,
            "raters_per_item": raters,
            "tasks": {
                "page": {"features": pages},
                "pair": {"pairs": 60, "contrasts": [["trained", "random"], ["trained", "points"]]},
                "intruder": {"features": 10},
            },
            "catch": {"planted": 3},
            "guess": {"pages": 5},
            "estimand": {"trained": "trained", "random": "random"},
        }
    )
    return simulated_tables(protocol, TRUTH, raters=raters, seed=1)


@cache
def scored() -> Tables:
    """The small study with the rows of its features: a score that follows what raters say, and a steadiness that doesn't."""
    given: dict[tuple[Any, Any], list[int]] = {}
    for row in study().ratings:
        if is_first(row, "page-score") and row["feature"] is not None and row["value"] is not None:
            given.setdefault((row["dictionary"], row["feature"]), []).append(int(str(row["value"])))
    rows = [
        {
            "dictionary": name,
            "feature": feature,
            "score_words": float(np.mean(own)) + place / 1000,
            "second_stability": place * 29 % 97 / 100,
        }
        for place, ((name, feature), own) in enumerate(sorted(given.items()))
    ]
    return replace(study(), features=rows)


def analysed(tables: Tables, design: Design | None = None) -> Analysis:
    """An analysis with few draws, of which every number is one that JSON can hold."""
    found = analyse(tables, design, resamples=DRAWS)
    json.dumps(asdict(found), allow_nan=False)
    return found


def having(keep: Callable[[Mapping[str, Any]], bool], change: Mapping[str, Any] | None = None) -> Tables:
    """The small study with the ratings that are to be kept, some of their cells changed."""
    return replace(study(), ratings=[{**row, **(change or {})} for row in study().ratings if keep(row)])


def answering(task: str, value: Callable[[Mapping[str, Any]], str]) -> Tables:
    """The small study where a task's main items are all answered by a rule."""
    return replace(
        study(),
        ratings=[
            {**row, "value": value(row), "skip": None} if row["task"] == task and row["purpose"] == "main" else row
            for row in study().ratings
        ],
    )


def test_a_study_has_every_figure_and_the_same_ones_again() -> None:
    found = analysed(study(30))
    assert [arm.name for arm in found.arms] == ["trained", "random", "points", "empty"]
    assert [arm.pages for arm in found.arms] == [30] * 4
    assert {one.difference.n for one in found.contrasts if one.of == "arms"} == {60}
    assert found.pairs is not None and next((one.first, one.second) for one in found.pairs.preferences) == (
        "trained",
        "random",
    )
    assert found.intruders is not None and [one.features for one in found.intruders.arms[:3]] == [10, 10, 10]
    assert [one.name for one in found.sensitivity.variants] == ["declared", "cut-3", "cut-5", "unstratified"]
    assert [one.name for one in found.sensitivity.others] == ["points"]
    assert {one.by for one in found.strata} == {"single token", "frequency", "third"}
    assert len(found.headline.raters) == 3 and len(found.raters) == 3
    assert found.agreement.alpha.n == 120 and found.agreement.repeats > 0
    assert [one.guesses for one in found.blinding.arms] == [15] * 4
    assert {one.what for one in found.blinding.leaks} == {"text", "all"}
    assert found.warnings == ("The raters are simulated: no person gave these answers.",)
    assert analysed(study(30)) == found


def test_the_only_dictionary_of_an_arm_has_the_arms_share() -> None:
    """Pages are missing, so that strata are unequal, and the share is not the mean of the pages'."""
    found = analysed(having(lambda row: row["arm"] != "random" or row["feature"] is None or row["feature"] % 3 > 0))
    shares = {arm.name: arm.interpretable.value for arm in found.arms}
    only = {one.arm: one.interpretable.value for one in found.dictionaries if one.arm != "trained"}
    assert only == {name: shares[name] for name in ("random", "points")}


def test_ten_raters_speak_for_raters_at_large() -> None:
    found = analysed(study(12, 10))
    assert (found.scope, found.raters_counted) == ("population", 10)
    assert "raters at large (10 were counted)" in found.verdict.sentence
    assert analysed(study()).scope == "panel"


def core(gate: float, retention: float, difference: tuple[float, float], equivalence: tuple[float, float]) -> Core:
    """Figures with these bounds."""
    middle = sum(difference) / 2
    one_sided = [Figure(low + 0.05, low, None, 0.95) for low in (gate, retention)]
    return Core(*one_sided, Figure(middle, *difference, 0.95), Figure(middle, *equivalence, 0.9), Figure(1.0))


DESIGN = Design.given("trained", "random", "empty")
MET, MISSED = (Criterion(Figure(0.0, low, 0.05, 0.9), 0.1, low > -0.1) for low in (-0.05, -0.2))


@pytest.mark.parametrize(
    ("figures", "intruder", "code", "begins", "says"),
    [
        (((0.05, 0.1, (0, 0.1), (0.01, 0.09))), MET, "not-assessable", "Not assessable: for", "at least 5)"),
        (((0.2, 0.1, (-0.2, 0.1), (-0.15, 0.05))), MET, "retained", "Retained: for", "keeps at least 80%"),
        (((0.2, 0.01, (-0.2, -0.05), (-0.18, -0.06))), None, "retained", "Retained: for", "less often"),
        (((0.2, -0.2, (-0.4, -0.2), (-0.35, -0.25))), MET, "different", "Different: for", "less often than “trained”"),
        (((0.2, 0.1, (-0.09, 0.09), (-0.08, 0.08))), MET, "equivalent", "About as interpretable: for", "within 10"),
        (
            ((0.2, 0.1, (-0.09, 0.09), (-0.08, 0.08))),
            MISSED,
            "equivalent",
            "Equivalent by scores: for",
            "cannot be said",
        ),
        (((0.2, 0.1, (-0.09, 0.09), (-0.08, 0.08))), None, "equivalent", "Equivalent by scores: for", "cannot be said"),
        (((0.2, -0.1, (-0.2, 0.2), (-0.15, 0.15))), MET, "undecided", "Undecided: for", "neither"),
    ],
)
@pytest.mark.parametrize(("raters", "whom"), [(1, "this one rater"), (3, "these 3 raters"), (12, "raters at large")])
def test_each_way_that_it_can_come_out_has_its_sentence(
    figures: Any, intruder: Criterion | None, code: str, begins: str, says: str, raters: int, whom: str
) -> None:
    found = verdict(core(*figures), intruder, DESIGN, raters)
    assert (found.code, found.scope) == (code, "population" if raters >= 10 else "panel")
    assert found.sentence.startswith(begins) and says in found.sentence and whom in found.sentence
    assert found.about_as is (code == "equivalent" and intruder is MET)
    assert any("nothing is said of others" in note for note in found.notes) is (raters < 10)


def test_the_headline_is_what_its_formulas_say() -> None:
    """π by hand: features weigh alike within a stratum, strata as declared, raters alike within a feature."""
    score = {
        "trained": [[5, 5], [4, 0], [1, 2], [5, -1]] * 5,
        "random": [[5, 5], [4, 4], [1, 2], [-1, 1]] * 5,
        "empty": [[1, 1], [1, 4], [1, 1], [1, 1]] * 5,
    }
    decile = np.array([0, 0, 1, 1] * 5)
    grids = {name: Grid.of(name, np.array(rows, np.int8), decile, 4) for name, rows in score.items()}
    assert grids["trained"].weight.tolist() == [0.25, 0.75]  # parts 2 and 3 have no feature: theirs goes to part 1
    trained, random_, null = (
        0.25 * (1 + 0.5) / 2 + 0.75 * (0 + 1) / 2,
        0.25 * (1 + 1) / 2 + 0.75 * 0,
        0.25 * (0 + 0.5) / 2 + 0,
    )
    found = assess(grids, replace(DESIGN, gate=0.0), np.random.default_rng(0), DRAWS)
    assert found.gate.value == pytest.approx(trained - null)
    assert found.difference.value == pytest.approx(random_ - trained)
    assert found.retention.value == pytest.approx(random_ - 0.8 * trained - 0.2 * null)
    assert found.ratio.value == pytest.approx((random_ - null) / (trained - null))


def test_the_spread_of_draws_is_that_of_a_mean() -> None:
    """Drawing n − 1 of n: the interval is as wide as s/√n says, for a small stratum too."""
    rng = np.random.default_rng(3)
    score = np.where(rng.random((40, 9)) < rng.random((40, 1)), 5, 1).astype(np.int8)
    decile = np.repeat(np.arange(10), 4)
    grid = Grid.of("trained", score, decile)
    y = grid.binary()
    variance = sum(y[decile == part].mean(1).var(ddof=1) / 4 for part in range(10)) / 100
    other = Grid.of("empty", np.ones((40, 9), np.int8))
    found = assess({"trained": grid, "random": grid, "empty": other}, DESIGN, rng, 40_000)
    assert found.difference.low is not None and found.difference.high is not None
    width = found.difference.high - found.difference.low
    assert width == pytest.approx(2 * 1.96 * np.sqrt(2 * variance), rel=0.03)


def test_where_an_arm_has_many_dictionaries_they_can_be_drawn_in_place_of_features() -> None:
    """Dictionaries that differ by themselves: drawing features of all of them alike would see none of it."""
    rng = np.random.default_rng(0)
    grids = {}
    for arm, shares in (("trained", [0.9]), ("random", [0.0, 1.0] * 6), ("empty", [0.1])):
        score = np.where(rng.random((120, 3)) < np.repeat(shares, 120 // len(shares))[:, None], 5, 1).astype(np.int8)
        names = [f"{arm}-{number * len(shares) // 120}" for number in range(120)]
        units = tuple(Unit(str(number), name, number) for number, name in enumerate(names))
        grids[arm] = replace(Grid.of(arm, score), units=units)
    of_features, of_dictionaries = (
        assess(grids, DESIGN, np.random.default_rng(1), 2000, dictionaries=drawn).difference for drawn in (False, True)
    )
    assert of_features.value == of_dictionaries.value
    assert of_dictionaries.low is not None and of_features.low is not None
    assert of_dictionaries.low < of_features.low - 0.1


def test_a_ratio_with_a_denominator_near_nothing_has_no_interval() -> None:
    assert fieller(0.1, 0.05, np.diag([0.01, 0.01]), 0.95).low is None
    assert fieller(0.0, 0.0, np.diag([0.01, 0.01]), 0.95).value is None


BAD = {
    "one rater": (lambda: having(lambda row: row["rater"] == study().ratings[0]["rater"]), None),
    "one arm": (
        lambda: having(lambda row: row["arm"] == "trained" and row["other_arm"] in (None, "trained")),
        "not-assessable",
    ),
    "no null": (lambda: having(lambda row: "empty" not in (row["arm"], row["other_arm"])), "not-assessable"),
    "known answers alone": (lambda: having(lambda row: row["purpose"] == "catch"), "not-assessable"),
    "guesses alone": (lambda: having(lambda row: row["purpose"] == "guess"), "not-assessable"),
    "repeats alone": (lambda: having(lambda row: row["repeat"] == 1), "not-assessable"),
    "pages alone": (lambda: having(lambda row: row["task"] == "page-score"), None),
    "pairs alone": (lambda: having(lambda row: row["task"] in ("pair-score", "pair-choice")), "not-assessable"),
    "choices alone": (lambda: having(lambda row: row["task"] == "pair-choice"), "not-assessable"),
    "trials alone": (lambda: having(lambda row: row["task"] == "intruder-pick"), "not-assessable"),
    "nothing but skips": (
        lambda: having(lambda row: row["task"] not in ("pair-score", "guess"), {"value": None, "skip": "unclear"}),
        "not-assessable",
    ),
    "everybody left out": (lambda: having(lambda row: True, {"server_ms": 10}), "not-assessable"),
    "no times": (lambda: having(lambda row: True, {"server_ms": None}), None),
    "all the same value": (lambda: answering("page-score", lambda row: "4"), "not-assessable"),
    "only ties": (lambda: answering("pair-choice", lambda row: "tie"), None),
    "no ties": (lambda: answering("pair-choice", lambda row: "left" if len(str(row["item"])) % 2 else "right"), None),
    "perfectly separated": (
        lambda: answering("page-score", lambda row: "5" if row["arm"] in ("trained", "random") else "1"),
        "retained",
    ),
    "no items, no raters": (lambda: replace(study(), items=(), raters=()), None),
    "no protocol": (lambda: replace(study(), protocol=None), "not-assessable"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_result_with_its_warning(name: str) -> None:
    tables, code = BAD[name]
    found = analysed(tables())
    assert found.warnings
    assert code is None or found.verdict.code == code


@pytest.mark.parametrize("seed", range(4))
def test_any_part_of_a_study_gets_a_result(seed: int) -> None:
    chance = random.Random(seed)
    share = chance.random() ** 3
    rows = [row for row in study().ratings if chance.random() < share]
    assert rows
    analysed(replace(study(), ratings=rows))


def paired(tables: Tables) -> Pairs:
    """The pairs alone."""
    assert tables.protocol is not None
    design, rng = Design.of(tables.protocol), np.random.default_rng(0)
    found = pair_results(tables.ratings, design, raters_of(tables.ratings), rng, DRAWS)
    assert found is not None
    return found


def test_what_cannot_be_had_says_why() -> None:
    ties = paired(BAD["only ties"][0]())
    assert ties.side.value is None and ties.side.warning == "Every pair was a tie."
    assert ties.preferences[0].net.value == 0.0 and "alike" in str(ties.preferences[0].net.warning)
    separated = analysed(BAD["perfectly separated"][0]())
    assert separated.sensitivity.log_odds.value is None
    assert "Jeffreys" in str(separated.headline.gate.figure.warning)
    assert separated.headline.gate.figure.low is not None and separated.headline.gate.figure.low < 0.9
    same = analysed(BAD["all the same value"][0]())
    assert same.agreement.alpha.value is None and same.sensitivity.log_odds.value is None
    won = paired(answering("pair-choice", lambda row: "right" if row["arm"] == "empty" else "left"))
    assert "lost every decisive pair" in str(won.strengths[-1].beta.warning)
    left = paired(answering("pair-choice", lambda row: "left"))
    assert "same side" in str(left.side.warning)
    assert left.tie.value == 0.0 and left.warnings


def test_guesses_that_are_all_alike_rule_nothing_out() -> None:
    rows = [{**row, "value": "trained"} if row["task"] == "guess" else row for row in study().ratings]
    found = blinding(rows, (), DESIGN, raters_of(rows), np.random.default_rng(0), DRAWS)
    assert found.conditional.value is None and found.verdict.startswith("Can't be told.")


def test_parts_by_the_second_text_are_halves_of_both_arms_pages() -> None:
    found = analysed(scored())
    plain = analysed(study())
    parts = [one for one in found.strata if one.by == "corpus"]
    assert [one.level for one in parts] == ["stability to 0.51", "… above 0.51"]
    assert [one.trained.n + one.random.n for one in parts] == [12, 12]
    assert [sum(one.trained.n for one in parts), sum(one.random.n for one in parts)] == [12, 12]
    assert not [one for one in plain.strata if one.by == "corpus"]
    assert (found.headline, found.arms, found.pairs) == (plain.headline, plain.arms, plain.pairs)
    alike = replace(scored(), features=[{**row, "second_stability": 0.5} for row in scored().features])
    assert not [one for one in analysed(alike).strata if one.by == "corpus"], "nothing sets them apart"


def test_machine_scores_go_with_what_raters_say_arm_by_arm() -> None:
    found = {(one.measure, one.arm): one.correlation for one in analysed(scored()).machine}
    assert {arm for _, arm in found} == {"", "trained", "random", "points"}
    for arm in ("trained", "random", "points"):
        figure = found["words", arm]
        assert figure.n == 12
        assert figure.value is not None and figure.low is not None and figure.high is not None
        assert 0.9 < figure.low < figure.value < figure.high
    assert abs(found["second_stability", "points"].value or 1) < 0.9
    both = [{**row, "score_second_stability": 0.1} for row in scored().features]
    assert [one.measure for one in analysed(replace(scored(), features=both)).machine].count("second_stability") == 4
    hostile = [{**row, "feature": "x", "score_words": "many"} for row in scored().features]
    assert analysed(replace(scored(), features=hostile)).machine == ()


def test_raters_are_left_out_whole_and_the_variants_say_what_that_changes() -> None:
    fast = study().ratings[0]["rater"]
    tables = replace(
        study(), ratings=[{**row, "server_ms": 100} if row["rater"] == fast else row for row in study().ratings]
    )
    found = analysed(tables)
    [left_out] = [one for one in found.raters if one.excluded]
    assert (left_out.rater, left_out.why) == (fast, "a median of 0.1 s a question, at least 2 s expected")
    assert found.raters_counted == 2 and all(len(one.points[0].scores) == 2 for one in found.arms)
    [off] = [one for one in found.sensitivity.variants if one.name == "exclusions-off"]
    assert off.raters == 3 and off.difference.value == analysed(study()).headline.difference.figure.value


def test_a_skip_counts_as_not_interpretable_but_in_its_variant() -> None:
    rows = [
        {**row, "value": None, "skip": "unclear"} if row["task"] == "page-score" and row["arm"] == "random" else row
        for row in study().ratings
    ]
    found = analysed(replace(study(), ratings=rows))
    [random_] = [one for one in found.arms if one.name == "random"]
    assert (random_.skips, random_.interpretable.value) == (random_.answers, 0.0)
    [dropped] = [one for one in found.sensitivity.variants if one.name == "skips-dropped"]
    assert dropped.difference.value is None or dropped.difference.value > -0.5


EDITS = [
    ({"value": "6"}, "value is '6'; for page-score it should be one of 1, 2, 3, 4, 5"),
    ({"arm": "trian"}, "arm is 'trian', which the protocol does not have"),
    ({"arm": "points"}, "its arm is not the one that items names"),
    ({"task": "page"}, "task is 'page'"),
    ({"skip": "unclear"}, "a value and a reason for skipping"),
    ({"value": None}, "neither a value nor a reason"),
    ({"repeat": 2}, "repeat is 2"),
    ({"item": "other"}, "item is 'other', which is not in items"),
    ({"arm": None}, "arm is empty"),
    ({"purpose": "practice"}, "purpose is 'practice'"),
    ({"server_ms": -1}, "server_ms is -1"),
]


@pytest.mark.parametrize(("edit", "says"), EDITS)
def test_an_export_edited_by_hand_is_refused_by_its_row(edit: dict[str, Any], says: str) -> None:
    rows = list(study().ratings)
    place = next(number for number, row in enumerate(rows) if row["task"] == "page-score" and row["arm"] == "random")
    rows[place] = {**rows[place], **edit}
    with pytest.raises(UserError, match=f"ratings, row {place + 1}: .*{says}"):
        analyse(replace(study(), ratings=rows))


def test_what_is_no_export_of_a_revealed_study_is_refused() -> None:
    hidden = {"arm": None, "dictionary": None, "feature": None, "other_arm": None, "right": None}
    with pytest.raises(UserError, match="reveal the study"):
        analyse(having(lambda row: True, hidden))
    with pytest.raises(UserError, match="nothing to analyse"):
        analyse(replace(study(), ratings=()))
    with pytest.raises(UserError, match="ratings, row 2: chain_head is 'abc'"):
        rows = [{**row, "chain_head": "abc"} if number == 1 else row for number, row in enumerate(study().ratings)]
        analyse(replace(study(), ratings=rows))
    with pytest.raises(UserError, match="same question as row 1"):
        analyse(replace(study(), ratings=[*study().ratings, study().ratings[0]]))
    with pytest.raises(UserError, match="lacks the columns item, task"):
        rows = [{key: cell for key, cell in row.items() if key not in ("task", "item")} for row in study().ratings]
        analyse(replace(study(), ratings=rows))
    with pytest.raises(UserError, match="value is 'sae', which is no arm to guess"):
        analyse(having(lambda row: row["task"] == "guess", {"value": "sae"}))
    for stratum in ("{", "[1]", '{"decile": "x"}', '{"decile": -1}'):
        with pytest.raises(UserError, match="items, row 1: stratum"):
            analyse(replace(study(), items=[{**row, "stratum": stratum} for row in study().items]))
    with pytest.raises(UserError, match="is no page"):
        analyse(replace(study(), items=[{**row, "content": "{}"} for row in study().items]))


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "krippendorff", None)  # what an import of a missing one comes to
    with pytest.raises(UserError, match=r"needs krippendorff, .*: pip install 'dartboard\[analysis\]'"):
        analyse(study())


@pytest.mark.slow
def test_the_crossed_model_finds_the_order_of_the_arms() -> None:
    pytest.importorskip("numpyro", reason="the extra `crossed` is not installed")
    tables = study(40)
    assert tables.protocol is not None
    design = Design.of(tables.protocol)
    grids = page_grids(tables, design.names, raters_of(tables.ratings))
    found = crossed_log_odds(grids, design, seed=0, level=0.95)
    once = log_odds(grids, design, 0.95)
    assert found.value is not None and found.low is not None and found.high is not None and once.value is not None
    assert found.low < found.value < found.high and found.warning is None
    assert found.value < once.value < 0  # random effects stretch the scale that they leave
    assert crossed_log_odds(grids, replace(design, random="nobody"), seed=0, level=0.95).value is None
