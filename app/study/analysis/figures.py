"""One figure with its interval, as every part of an analysis gives it; never NaN, never infinite.

percentile(point, draws, level=0.95, n=80, unit="features")

Intervals of bootstrap draws are percentiles of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Side = Literal["both", "low"]
NORMAL = NormalDist()
DIGITS = 12


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its interval; what can't be had is None, and `warning` says why.

    A one-sided bound has `low` and no `high`. `level` is the interval's, None where there is none. `n` says how many
    `unit`s the value is of: features, pairs, answers.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    n: int = 0
    unit: str = ""
    warning: str | None = None

    def warned(self, warning: str | None) -> "Figure":
        """The figure with one more warning."""
        both = " ".join(part for part in (self.warning, warning) if part)
        return replace(self, warning=both or None)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A figure that was to meet a limit; `met` is None where it can't be told."""

    figure: Figure
    limit: float
    met: bool | None


def missing(warning: str, n: int = 0, unit: str = "") -> Figure:
    """A figure that can't be had, and why."""
    return Figure(None, n=n, unit=unit, warning=warning)


def finite(value: Any) -> float | None:
    """A number as a plain float of DIGITS decimals; None where it is none, or not finite.

    Rounding makes a difference of equal shares 0, not 1e-17, whatever the order of its sum.
    """
    return round(float(value), DIGITS) + 0.0 if value is not None and math.isfinite(value) else None


def percentile(
    point: float, draws: Floats, level: float, n: int, unit: str, side: Side = "both", warning: str | None = None
) -> Figure:
    """A value and the percentile interval of its bootstrap draws; `side` "low" is a one-sided lower bound of this level.

    The interval reaches to the value where draws of Jeffreys' interval, which lie on one side of it, would not.
    """
    found = draws[np.isfinite(draws)]
    if finite(point) is None or not len(found):
        return missing(warning or "There is nothing to compute it from.", n, unit)
    below = (1 - level) / 2 if side == "both" else 1 - level
    low = finite(min(np.quantile(found, below), point))
    high = finite(max(np.quantile(found, 1 - below), point)) if side == "both" else None
    return Figure(finite(point), low, high, level, n, unit, warning)


def symmetric(value: float, error: float, times: float, level: float, n: int, unit: str) -> Figure:
    """A value and the interval of so many standard errors on either side."""
    if finite(value) is None or finite(error) is None:
        return missing("There is nothing to compute it from.", n, unit)
    return Figure(finite(value), finite(value - times * error), finite(value + times * error), level, n, unit)


def sentence(parts: Sequence[str]) -> str | None:
    """Warnings as one text, each said once; None where there is none."""
    return " ".join(dict.fromkeys(part for part in parts if part)) or None
