"""The tables of docs/simulation.md, by `python -m docs.simulation`: every simulation check, with all its replicates.

Takes some minutes; exit code 1 where a check is outside its band. tests/simulation/ holds the checks themselves.
"""

import argparse
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import app
from app.study.analysis.bootstrap import RESAMPLES as OF_ANALYSE
from tests.simulation import comparisons, headline, raters
from tests.simulation.checks import FULL, RESAMPLES, Check, Run, timed

PAGE = Path(__file__).parent / "simulation.md"
MADE = re.compile("(<!-- made by [^>]*-->\\n).*(<!-- end -->)", re.DOTALL)
PARTS: tuple[tuple[str, tuple[Run, ...]], ...] = (
    ("The headline", headline.RUNS),
    ("Pairs and intruders", comparisons.RUNS),
    ("Guesses, and raters who do not read", raters.RUNS),
)


def table(found: Sequence[Check]) -> Iterator[str]:
    yield "| check | measured | should be | replicates | seconds |"
    yield "|---|--:|---|--:|--:|"
    for check in found:
        wanted = check.wanted or f"{check.low:g} to {check.high:g}"
        yield f"| {check.what} | {round(check.value, 3) + 0:.3f} | {wanted} | {check.replicates:,} | {check.seconds:.1f} |"


def tables(parts: Sequence[tuple[str, Sequence[Check]]], replicates: int, seed: int, seconds: float) -> str:
    """How they were made, and the tables."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "statsmodels"))
    every = [check for _, found in parts for check in found]
    outside = sum(not check.holds() for check in every)
    lines = [
        f"Made on {datetime.now(UTC).date()} by `python -m docs.simulation --replicates {replicates} --seed {seed}` in",
        f"{seconds / 60:.0f} minutes of one core of a busy machine; dartboard {app.__version__}, Python "
        f"{platform.python_version()}, {libraries}.",
        f"Each study's intervals are of {RESAMPLES:,} bootstrap draws, those of pairs of {comparisons.RESAMPLES} "
        f"(`dartboard analyse` makes {OF_ANALYSE:,}).",
        f"{len(every)} checks, {outside or 'none'} outside of its band.",
    ]
    for title, found in parts:
        lines += ["", f"### {title}", "", *table(found)]
    return "\n".join(lines) + "\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m docs.simulation", description="Make the tables of docs/simulation.md anew."
    )
    parser.add_argument("--replicates", type=int, default=FULL)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    begun = time.perf_counter()
    parts = []
    for title, runs in PARTS:
        found: list[Check] = []
        for run in runs:
            found += timed(run, given.replicates, given.seed)
            sys.stderr.write(f"{run.__name__}: {time.perf_counter() - begun:.0f} s\n")
        parts.append((title, found))
    made = tables(parts, given.replicates, given.seed, time.perf_counter() - begun)
    PAGE.write_text(MADE.sub(lambda match: match[1] + made + match[2], PAGE.read_text("utf-8")), "utf-8")
    sys.exit(not all(check.holds() for _, found in parts for check in found))


if __name__ == "__main__":
    main()
