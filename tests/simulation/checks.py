"""One line of the table of simulation checks: what came out over many simulated studies, and where it should lie."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

RESAMPLES = 1000  # bootstrap draws of each simulated study
FULL = 2000  # replicates of each check
QUICK_ERRORS = 3.5  # standard errors by which a quick run may miss a band


@dataclass(frozen=True)
class Check:
    """A share, or a mean, over `replicates` studies; it should be from `low` to `high`. `error`: its standard error."""

    what: str
    value: float
    low: float
    high: float
    replicates: int
    error: float
    wanted: str = ""  # the band in words, where it is not simply low to high
    seconds: float = 0.0

    def holds(self) -> bool:
        return self.low <= self.value <= self.high

    def nearly(self) -> bool:
        """Whether it may well hold, by so few replicates."""
        slack = QUICK_ERRORS * self.error
        return self.low - slack <= self.value <= self.high + slack


def share(what: str, hits: int, replicates: int, low: float, high: float, wanted: str = "") -> Check:
    """A check of how often something happened."""
    found = hits / replicates
    middle = min(max((found + min(max(found, low), high)) / 2, 1 / replicates), 1 - 1 / replicates)
    return Check(what, found, low, high, replicates, math.sqrt(middle * (1 - middle) / replicates), wanted)


def most(what: str, hits: int, replicates: int, high: float) -> Check:
    return share(what, hits, replicates, 0, high, f"≤ {high:g}")


def least(what: str, hits: int, replicates: int, low: float) -> Check:
    return share(what, hits, replicates, low, 1, f"≥ {low:g}")


Run = Callable[[int, int], Iterator[Check]]  # of replicates and seed


def timed(run: Run, replicates: int, seed: int) -> list[Check]:
    """The checks of a run, which share its seconds of processor time alike."""
    begun = time.process_time()
    found = list(run(replicates, seed))
    each = (time.process_time() - begun) / max(len(found), 1)
    return [replace(check, seconds=each) for check in found]
