"""Whole simulated studies through `analyse`: each verdict comes from a truth that calls for it, and every truth is found."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from app.simulate import simulated_tables
from app.study.analysis.report import Analysis
from app.study.analysis.run import analyse
from app.study.protocol import Protocol
from app.study.simulated.truth import Guessing, Truth
from tests.simulation.test_generator import DESIGN

pytestmark = pytest.mark.slow

# What the shares of trained, random and null pages call for, with so many pages an arm.
CALLED_FOR: dict[str, tuple[tuple[float, float, float], int]] = {
    "not-assessable": ((0.17, 0.17, 0.12), 120),
    "equivalent": ((0.5, 0.5, 0.12), 500),
    "retained": ((0.5, 0.65, 0.12), 150),
    "different": ((0.6, 0.3, 0.12), 150),
    "undecided": ((0.5, 0.45, 0.12), 30),
}


def analysed(truth: Truth, raters: int = 3, seed: int = 0, **design: Any) -> Analysis:
    protocol = Protocol.model_validate({**DESIGN, "raters_per_item": raters, **design})
    return analyse(simulated_tables(protocol, truth, raters, seed), resamples=500)


@pytest.mark.parametrize("code", CALLED_FOR)
def test_each_verdict_is_reached(code: str) -> None:
    shares, features = CALLED_FOR[code]
    truth = Truth(dict(zip(("trained", "random", "null-pages"), shares, strict=True)))
    found = analysed(truth, tasks={"page": {"features": features}})
    assert found.verdict.code == code, found.verdict.sentence
    assert found.scope == "panel"
    for arm in found.arms:
        assert arm.interpretable.value == pytest.approx(truth.rate(arm.name), abs=0.12)


def test_everything_that_was_put_in_is_found() -> None:
    """Twelve raters, two of whom do not read; a pull to the left; features that are clear in one arm; a leak."""
    truth = Truth(
        {"trained": 0.6, "random": 0.3, "null-pages": 0.1},
        careless=1 / 6,
        side=0.8,
        ties=0.6,
        strengths={"trained": 1.2},
        found={"trained": 0.7, "random": 0.4},
        found_sd=0.15,
        guessing=Guessing(leak=0.5),
        skips={"random": 0.1},
    )
    tasks = {
        "page": {"features": 100},
        "pair": {"pairs": 120, "contrasts": [["trained", "random"]]},
        "intruder": {"features": 30},
    }
    found = analysed(truth, 12, tasks=tasks, guess={"pages": 8})
    assert found.scope == "population"
    assert sum(rater.excluded for rater in found.raters) == 2
    assert found.raters_counted == 10
    assert found.verdict.code == "different"
    assert found.pairs is not None and found.intruders is not None
    inside(found.pairs.side, 0.8)
    inside(found.pairs.tie, 0.6)
    [beta] = [one.beta for one in found.pairs.strengths if one.arm == "random"]
    inside(beta, -1.2)
    for arm in found.intruders.arms:
        inside(arm.found, truth.found.get(arm.name, 0.2))
    inside(found.headline.difference.figure, truth.rate("random") - truth.rate("trained"))
    assert found.blinding.conditional.low is not None
    assert found.blinding.conditional.low > 0, "the leak is seen"
    skips = {arm.name: arm.skips / arm.answers for arm in found.arms}
    assert skips == {"trained": 0, "random": pytest.approx(0.1, abs=0.03), "null-pages": 0}
    assert any("simulated" in warning for warning in found.warnings)
    assert "NaN" not in json.dumps(asdict(found), allow_nan=False)


def inside(figure: Any, truth: float) -> None:
    assert figure.low <= truth <= figure.high, (figure, truth)
