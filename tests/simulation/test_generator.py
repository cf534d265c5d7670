"""Simulated studies are what their truth says, have an export's tables, go through a real study store, and say what they are."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from app.codebook import ITEMS, RATERS, RATINGS
from app.errors import UserError
from app.simulate import fill, simulated_tables, supposed, tokens
from app.store.study import RaterProgress, StudyStore
from app.study.analysis.tables import Tables
from app.study.protocol import Protocol
from app.study.simulated import SOURCE, as_simulated, is_simulated
from app.study.simulated.arrays import LEFT, pairs, scores
from app.study.simulated.items import as_drawn, made_up
from app.study.simulated.people import EXPLANATION
from app.study.simulated.truth import Guessing, Truth
from app.tables import table_rows
from app.verify import verify_store
from tests.serving import ROOT, dartboard
from tests.studies import frozen_study

DESIGN: dict[str, Any] = {
    "name": "made-up",
    "title": "Which is clearer?",
    "raters_per_item": 3,
    "arm": [
        {"name": "trained", "dictionaries": ["sae-1", "sae-2"]},
        {"name": "random", "dictionaries": ["sign"]},
        {"name": "null-pages", "control": "null"},
    ],
    "tasks": {
        "page": {"features": 60, "explanation": True},
        "pair": {"pairs": 40, "contrasts": [["trained", "random"]]},
        "intruder": {"features": 10},
    },
    "catch": {"planted": 2, "instructed": 2},
    "guess": {"pages": 5},
    "estimand": {"trained": "trained", "random": "random"},
}
PROTOCOL = Protocol.model_validate(DESIGN)
SHARES = {"trained": 0.5, "random": 0.42, "null-pages": 0.12}
EVERYTHING = Truth(
    SHARES,
    noise_sd=0.4,
    rater_by_arm=0.3,
    single_token={"trained": 0.3},
    single_token_effect=1.5,
    rarity_effect=1.0,
    skips={"null-pages": 0.1, "random": 0.05},
)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return simulated_tables(PROTOCOL, EVERYTHING, 4, 1)


def values(tables: Tables, task: str, purpose: str = "main", **where: Any) -> list[Any]:
    return [
        row["value"]
        for row in tables.ratings
        if row["task"] == task and row["purpose"] == purpose and all(row[name] == is_ for name, is_ in where.items())
    ]


def test_shares_come_out_whatever_makes_features_and_raters_differ() -> None:
    """With effects of tokens and rarity, raters' noise, and skips, which count as not interpretable."""
    found = scores(EVERYTHING, 500, 40, 20, np.random.default_rng(0))
    for arm, answers in found.answers.items():
        assert (answers >= 4).mean() == pytest.approx(EVERYTHING.rate(arm), abs=0.02)
        assert found.rates[arm].mean() == pytest.approx(EVERYTHING.rate(arm), abs=0.02)
    assert (found.answers["null-pages"] == 0).mean() == pytest.approx(0.1, abs=0.005)
    assert EVERYTHING.rate("null-pages") == pytest.approx(0.9 * 0.12)


def test_a_panels_rate_is_that_of_its_raters() -> None:
    """Of one lenient rater and all features; the population's share is not it."""
    truth = Truth({"trained": 0.5}, rater_sd=2.0)
    found = scores(truth, 4000, 1, 5, np.random.default_rng(3))
    for study in range(5):
        assert (found.answers["trained"][study] >= 4).mean() == pytest.approx(found.rates["trained"][study], abs=0.03)
    assert found.rates["trained"].std() > 0.2


def test_rows_have_an_exports_columns_and_a_whole_studys_questions(tables: Tables) -> None:
    for rows, columns in ((tables.ratings, RATINGS), (tables.items, ITEMS), (tables.raters, RATERS)):
        assert {tuple(sorted(row)) for row in rows} == {tuple(sorted(column.name for column in columns))}
    first = [row for row in tables.ratings if row["repeat"] == 0]
    counts = Counter((row["task"], row["purpose"]) for row in first)
    assert counts["page-score", "main"] == 3 * 3 * 60
    assert counts["intruder-pick", "main"] == 3 * 3 * 10 * 6
    assert counts["page-score", "catch"] == 4 * 4
    assert counts["guess", "guess"] == counts["page-score", "guess"] == 4 * 15
    assert counts["pair-choice", "main"] == 3 * 40
    each = Counter(row["item"] for row in first if row["task"] == "page-score" and row["purpose"] == "main")
    assert set(each.values()) == {3}, "of four raters three score each page"
    asked = Counter(row["rater"] for row in first if row["purpose"] == "main" and row["task"] != "pair-score")
    assert set(asked.values()) == {3 * (180 + 180 + 40) // 4}, "and each rater has an equal share of the items"
    strata = [json.loads(str(row["stratum"])) for row in tables.items if row["arm"] == "trained"]
    assert {stratum["decile"] for stratum in strata} == set(range(10))
    assert {row["dictionary"] for row in tables.items if row["arm"] == "trained"} == {"sae-1", "sae-2"}


def test_repeats_come_after_and_agree_more_than_strangers(tables: Tables) -> None:
    order = {(row["rater"], row["item"], row["repeat"]): row["order"] for row in tables.ratings}
    repeats = [(rater, item) for rater, item, repeat in order if repeat]
    assert repeats
    assert all(order[rater, item, 1] > order[rater, item, 0] for rater, item in repeats)


def test_the_same_seed_gives_the_same_rows_and_another_does_not() -> None:
    small = Protocol.model_validate({**DESIGN, "tasks": {"page": {"features": 5}}})
    assert simulated_tables(small, EVERYTHING, 2, 7) == simulated_tables(small, EVERYTHING, 2, 7)
    assert simulated_tables(small, EVERYTHING, 2, 7).ratings != simulated_tables(small, EVERYTHING, 2, 8).ratings


def test_everything_says_that_it_is_simulated(tables: Tables) -> None:
    assert {row["study"] for row in (*tables.ratings, *tables.items, *tables.raters)} == {"simulated-made-up"}
    assert {row["source"] for row in tables.raters} == {"simulated"}
    assert is_simulated(tables.raters)
    assert not is_simulated([{"source": "invite"}])
    assert {row["explanation"] for row in tables.ratings} == {None, EXPLANATION}
    assert tables.protocol is not None
    assert (tables.protocol.name, tables.protocol.title) == ("simulated-made-up", "Simulated: Which is clearer?")
    assert as_simulated(tables.protocol) is tables.protocol
    long = PROTOCOL.model_copy(update={"name": "n" * 60, "title": "t" * 120})
    assert (len(as_simulated(long).name), len(as_simulated(long).title)) == (60, 120)


def test_guesses_follow_scores_alone_unless_they_leak() -> None:
    blind = Truth(SHARES, guessing=Guessing(clear=1.0, unsure=0.0))
    made = simulated_tables(PROTOCOL, blind, 3, 0)
    score = {
        (row["rater"], row["item"]): int(str(row["value"]))
        for row in made.ratings
        if row["purpose"] == "guess" and row["task"] == "page-score"
    }
    guesses = [row for row in made.ratings if row["task"] == "guess"]
    assert len(guesses) == 3 * 15
    assert all((row["value"] == "trained") == (score[row["rater"], row["item"]] >= 4) for row in guesses)
    known = simulated_tables(PROTOCOL, Truth(SHARES, guessing=Guessing(leak=1.0)), 3, 0)
    assert all(row["right"] for row in known.ratings if row["task"] == "guess")


def test_the_side_pulls_and_ties_are_as_many_as_asked() -> None:
    truth = Truth(SHARES, side=6.0, ties=0.0)
    found = pairs(truth, "trained", "random", 31, 3, 20, np.random.default_rng(0))
    assert (found.choice == LEFT).mean() > 0.98
    assert set(found.first_left.sum(1).ravel().tolist()) == {16}, "sides are balanced to within one for each rater"
    made = simulated_tables(PROTOCOL, truth, 3, 0)
    assert Counter(values(made, "pair-choice"))["left"] > 110
    tied = simulated_tables(PROTOCOL, Truth(SHARES, ties=1e9, neither=0.5), 3, 0)
    assert set(values(tied, "pair-choice")) == {"tie", "neither"}


def test_intruders_are_found_by_an_arms_chance() -> None:
    protocol = Protocol.model_validate({**DESIGN, "tasks": {"intruder": {"features": 120}}})
    made = simulated_tables(protocol, Truth(SHARES, found={"trained": 0.8, "random": 0.5}), 3, 0)
    for arm, chance in (("trained", 0.8), ("random", 0.5), ("null-pages", 0.2)):
        right = [row["right"] for row in made.ratings if row["arm"] == arm and row["task"] == "intruder-pick"]
        assert np.mean([one is True for one in right]) == pytest.approx(chance, abs=0.07)
    with pytest.raises(ValueError, match=r"chances around 0\.99"):
        Truth(SHARES, found={"trained": 0.99}).chances("trained", 1, np.random.default_rng(0))


def test_the_careless_are_as_many_as_asked_and_fast() -> None:
    made = simulated_tables(PROTOCOL, Truth(SHARES, careless=0.25), 8, 0)
    fast = set()
    for rater in {row["rater"] for row in made.ratings}:
        spent = [row["server_ms"] for row in made.ratings if row["rater"] == rater and row["purpose"] == "main"]
        if np.median(np.array(spent, float)) < 2000:
            fast.add(rater)
    assert len(fast) == 2
    careless = [
        int(str(row["value"]))
        for row in made.ratings
        if row["rater"] in fast and row["task"] == "page-score" and row["value"]
    ]
    assert min(Counter(careless).values()) > len(careless) / 5 / 2, "all five scores, about as often"


def test_a_study_store_takes_them_for_raters(tmp_path: Path) -> None:
    """Asked, answered, closed, guessed and revealed through the store's own methods; the chain of ratings holds."""
    url = f"sqlite:///{tmp_path / 'study.sqlite'}"
    sizes = {"pages": 12, "pairs": 6, "intruders": 6, "catch": 2, "practice": 1, "guess": 6}
    frozen = frozen_study(name="simulated-small", raters_per_item=2, repeats=(0.1, 5), dwell_seconds=5.0, **sizes)
    truth = Truth({"trained": 0.7, "random": 0.4}, careless=0.34)
    study = fill(url, frozen, truth, 3, 1)
    assert study.state == "revealed"
    store = StudyStore.open(url)
    rows = list(table_rows(store, study.name, "ratings"))
    first = Counter((row["task"], row["purpose"]) for row in rows if row["repeat"] == 0)
    assert first["page-score", "main"] == 24
    assert first["guess", "guess"] == 18
    assert {row["source"] for row in table_rows(store, study.name, "raters")} == {"simulated"}
    assert len({row["rater"] for row in rows if row["purpose"] == "main"}) == 3, "they take turns"
    assert min(row["server_ms"] for row in rows) == 5000, "the careless wait as long as they must"
    assert {row["explanation"] for row in rows} == {None}, "which the study does not ask for"
    faults = verify_store(store, study.name)
    assert [fault for fault in faults if "does not follow from the study's secret" not in fault] == []
    store.dispose()


def test_a_rehearsal_by_the_command(data_folder: Path) -> None:
    study = ROOT / "tests" / "small-study.toml"
    said = dartboard("study", "simulate", study, "--share", "trained=0.9", "--raters", "2", "--data", data_folder)
    assert "Simulated “simulated-small”: 2 raters who are no people" in said
    assert "trained: 0.900" in said


def test_a_truth_for_every_arm_is_supposed() -> None:
    truth = supposed(PROTOCOL, {"random": 0.3}, careless=0.1, leak=0.2)
    assert truth.arms[0] == "trained"
    assert truth.shares == {"trained": 0.55, "random": 0.3, "null-pages": 0.12}
    assert (truth.careless, truth.guessing.leak) == (0.1, 0.2)
    assert "null-pages" not in truth.found
    with pytest.raises(UserError, match="no arm “randm” in this study; its arms are trained, random, null-pages"):
        supposed(PROTOCOL, {"randm": 0.3})


def test_the_admins_page_has_words_for_every_source() -> None:
    template = (ROOT / "templates" / "admin" / "rater.html").read_text("utf-8")
    sources = get_args(RaterProgress.__annotations__["source"])
    assert SOURCE in sources
    assert [source for source in sources if f'"{source}": "' not in template] == []


def test_single_tokens_are_as_many_as_were_drawn() -> None:
    """So that an arm's share comes out whatever its features are."""
    made = made_up(PROTOCOL, EVERYTHING, 1)
    drawn = as_drawn(Truth(SHARES, single_token_effect=2.0), made)
    flags = [row.stratum["single_token"] for item in made for row in item.key if row.arm == "trained"]
    assert drawn.single_token == {"trained": pytest.approx(np.mean(flags)), "random": 0.0}
    found = scores(drawn, 500, 20, 20, np.random.default_rng(0)).answers["trained"]
    assert (found >= 4).mean() == pytest.approx(0.5, abs=0.03)


def test_secrets_follow_from_the_seed() -> None:
    one, again, other = tokens(1), tokens(1), tokens(2)
    drawn = [one(), one()]
    assert drawn == [again(), again()]
    assert len({*drawn, other()}) == 3


def test_made_up_items_cover_the_plan() -> None:
    made = made_up(PROTOCOL, EVERYTHING, 0)
    assert Counter((item.task, item.purpose) for item in made) == {
        ("page", "main"): 180,
        ("pair", "main"): 40,
        ("intruder", "main"): 180,
        ("page", "guess"): 15,
        ("page", "catch"): 4,
    }
    assert [item.public_id for item in made] == sorted(item.public_id for item in made)
    asked = [item.expected for item in made if item.purpose == "catch"]
    assert sum(one is not None and one["lowest"] == one["highest"] for one in asked) == 2
