"""Every line of the table of simulation checks: with a few replicates by default, with all of them in `make test-all`.

docs/simulation.md shows what the full run gave; `python -m docs.simulation` makes it anew.
"""

import re

import pytest

from tests.serving import ROOT
from tests.simulation import comparisons, headline, raters
from tests.simulation.checks import FULL, Run, timed

RUNS: tuple[Run, ...] = (*headline.RUNS, *comparisons.RUNS, *raters.RUNS)
QUICK: dict[Run, int] = {
    headline.panel_coverage: 100,
    headline.crowd_coverage: 50,
    headline.retention_size: 40,
    headline.retention_power: 40,
    headline.equivalence_size: 40,
    headline.gate_size: 50,
    comparisons.pairs_size: 30,
    comparisons.pairs_chances: 50,
    comparisons.intruder_power: 60,
    comparisons.intruder_null: 50,
    raters.guesses_by_score: 60,
    raters.a_leak: 30,
    raters.careless: 100,
}


ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<value>-?[\d.]+) \| [^|]+ \| (?P<replicates>[\d,]+) \|", re.MULTILINE)
PAGE = (ROOT / "docs" / "simulation.md").read_text("utf-8")
SHOWN = {row["what"]: row for row in ROW.finditer(PAGE)}
STALE = 0.005  # by which libraries may move a share; the page is to be made anew where one moves further


@pytest.mark.parametrize("run", QUICK, ids=lambda run: run.__name__)
def test_a_few_replicates_are_near_the_band(run: Run) -> None:
    """And what docs/simulation.md shows of the same check is within it."""
    for check in timed(run, QUICK[run], seed=1):
        assert check.nearly(), check
        assert check.low - 5e-4 <= float(SHOWN[check.what]["value"]) <= check.high + 5e-4, check


def test_the_page_shows_full_runs() -> None:
    assert min(int(row["replicates"].replace(",", "")) for row in SHOWN.values()) >= 1000
    assert f"{len(SHOWN)} checks, none outside of its band" in PAGE


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_all_replicates_are_within_the_band(run: Run) -> None:
    """And they are what the page shows."""
    for check in timed(run, FULL, seed=0):
        assert check.holds(), check
        assert float(SHOWN[check.what]["value"]) == pytest.approx(check.value, abs=STALE), check
