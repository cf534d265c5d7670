"""Simulation checks of raters: what their guesses give away, and whether the careless are found."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from app.simulate import simulated_tables
from app.study import power
from app.study.analysis.blinding import Guess, conditional
from app.study.analysis.design import Design
from app.study.analysis.raters import quality
from app.study.answers import UNKNOWN
from app.study.protocol import Protocol
from app.study.simulated.arrays import Guesses, guesses
from app.study.simulated.people import People
from app.study.simulated.truth import Guessing, Truth
from tests.simulation.checks import Check, least, most, share

BLIND = Truth({"trained": 0.6, "random": 0.4, "null": 0.12}, guessing=Guessing(clear=0.8, unsure=0.1))
PAGES, RATERS = 10, 6  # an arm; of the guessing round
LEVEL = 0.95


def spelled(found: Guesses, study: int, arms: tuple[str, ...]) -> list[Guess]:
    """One study's guesses as the analysis takes them."""
    return [
        Guess(f"{page:03}", str(rater), arms[arm], UNKNOWN if guessed < 0 else arms[guessed], score or None)
        for rater, own in enumerate(
            zip(found.arms[study].tolist(), found.guessed[study].tolist(), found.scores[study].tolist(), strict=True)
        )
        for page, (arm, guessed, score) in enumerate(zip(*own, strict=True))
    ]


def guesses_by_score(replicates: int, seed: int) -> Iterator[Check]:
    """Clear pages are taken for trained ones, and nobody knows more: Bang's index is fooled, the conditional one is not."""
    found = guesses(BLIND, PAGES, RATERS, replicates, np.random.default_rng(seed))
    values, alarms = [], 0
    for study in range(replicates):
        figure = conditional(spelled(found, study, BLIND.arms), LEVEL)
        values.append(figure.value)
        alarms += figure.low > 0 or figure.high < 0
    error = float(np.std(values) / np.sqrt(replicates))
    setting = f"guesses by score alone, {PAGES} pages an arm, {RATERS} raters"
    yield Check(f"{setting}: mean conditional index", float(np.mean(values)), -0.01, 0.01, replicates, error, "0 ± .01")
    yield most(f"{setting}: the analysis says that raters could tell", alarms, replicates, 0.065)
    told = found.guessed >= 0
    of_trained = found.arms == 0
    right = (found.guessed == found.arms) & told
    bang = (right - (told & ~right) / 2)[of_trained]
    error = float(bang.std() / np.sqrt(bang.size / RATERS))
    what = f"{setting}: Bang's index of the trained arm, which is not 0 though nothing leaked"
    yield Check(what, float(bang.mean()), 0.1, 1, replicates, error, "> .1")


def a_leak(replicates: int, seed: int) -> Iterator[Check]:
    truth = replace(BLIND, guessing=replace(BLIND.guessing, leak=0.3))
    found = guesses(truth, PAGES, RATERS, replicates, np.random.default_rng(seed))
    seen = sum(conditional(spelled(found, study, truth.arms), LEVEL).low > 0 for study in range(replicates))
    yield least("3 guesses in 10 simply know: the analysis says so", seen, replicates, 0.9)


PROTOCOL = Protocol.model_validate(
    {
        "name": "careless",
        "title": "Who reads?",
        "raters_per_item": 10,
        "arm": [
            {"name": "trained", "dictionaries": ["sae"]},
            {"name": "random", "dictionaries": ["sign"]},
            {"name": "null-pages", "control": "null"},
        ],
        "tasks": {"page": {"features": 60}},
        "catch": {"planted": 4, "instructed": 2},
        "repeats": {"share": 0.0},
        "estimand": {"trained": "trained", "random": "random"},
    }
)


def careless(replicates: int, seed: int) -> Iterator[Check]:
    """Half of the raters answer at random, in no hurry: their answers to pages with a known answer give them away."""
    many = 100
    slow = Truth({"trained": 0.5, "random": 0.4, "null-pages": 0.12}, careless=0.5, careless_seconds=20.0)
    caught = kept = 0
    studies = max(replicates * 2 // many, 1)
    for study in range(studies):
        tables = simulated_tables(PROTOCOL, slow, many, seed + study)
        judged = quality(tables, Design.of(PROTOCOL))
        out = {one.rater for one in judged if one.excluded}
        truly = {
            str(row["rater"]) for row, odd in zip(tables.raters, marks(slow, many, seed + study), strict=True) if odd
        }
        caught += len(out & truly)
        kept += len(out - truly)
    number = studies * many // 2
    stated = power.caught(4, 2, 1)
    what = "careless raters, 4 planted and 2 instructed pages, 1 wrong allowed: left out"
    yield share(what, caught, number, stated - 0.015, stated + 0.015, f"{stated:.3f} ± .015")
    wrongly = power.slipped(6, 1, slow.slip)
    what = "careful raters who slip on 1 such page in 50: left out"
    yield share(what, kept, number, 0, wrongly + 0.01, f"{wrongly:.3f} + .01")


def marks(truth: Truth, raters: int, seed: int) -> list[bool]:
    """Which simulated raters are careless, in the order of the table of raters."""
    return [person.careless for person in People(truth, (), raters, seed).persons]


RUNS = (guesses_by_score, a_leak, careless)
