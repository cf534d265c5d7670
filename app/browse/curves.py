"""How a training went, as data for small inline SVGs: one line a figure, against the tokens so far."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from app.browse.charts import HEIGHT, WIDTH, Bar
from app.render import figure, percent

MARGIN = 3.0  # above and below the line, so that its stroke is not cut off


@dataclass(frozen=True, slots=True)
class Curve:
    """A line on a drawing of WIDTH × HEIGHT. `marks`: an upright strip around each point, whose title says its figure.

    `low` and `high` label the drawing's lower and upper edge, `ticks` its left and right one.
    """

    label: str
    points: str  # as SVG has them
    marks: tuple[Bar, ...]
    low: str
    high: str
    ticks: tuple[str, str]
    summary: str
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True, slots=True)
class _Figure:
    key: str
    label: str
    shown: Callable[[float], str]
    from_zero: bool = False


FIGURES = (
    _Figure("fve", "Variance explained", percent),
    _Figure("loss", "Loss", figure),
    _Figure("l0", "L0", figure, from_zero=True),
    _Figure("dead", "Dead features", percent, from_zero=True),
)


def curves(provenance: dict[str, Any]) -> tuple[Curve, ...]:
    """A curve for each figure that the training noted; none where nothing was trained.

    A dictionary's file may hold anything in its place: what is no number is left out.
    """
    noted = provenance.get("curve")
    points = [point for point in noted if isinstance(point, dict)] if isinstance(noted, list) else []
    return tuple(_drawn(points))


def _drawn(points: list[dict[str, Any]]) -> Iterator[Curve]:
    for one in FIGURES:
        found = sorted((point["tokens"], point[one.key]) for point in points if _numbers(point, "tokens", one.key))
        if len(found) > 1 and found[0][0] < found[-1][0]:
            yield _curve(one, found)


def _curve(one: _Figure, found: list[tuple[float, float]]) -> Curve:
    values = [value for _, value in found]
    low, high = min(values), max(values)
    if one.from_zero:
        low = min(low, 0.0)
    span = high - low or 1.0
    begins, ends = found[0][0], found[-1][0]
    xs = [round(WIDTH * (tokens - begins) / (ends - begins), 2) for tokens, _ in found]
    ys = [round(MARGIN + (HEIGHT - 2 * MARGIN) * (1 - (value - low) / span), 2) for value in values]
    edges = [0.0, *((left + right) / 2 for left, right in pairwise(xs)), WIDTH]
    marks = tuple(
        Bar(round(left, 2), 0.0, round(right - left, 2), HEIGHT, tokens_shown(tokens), one.shown(value))
        for (left, right), (tokens, value) in zip(pairwise(edges), found, strict=True)
    )
    return Curve(
        label=one.label,
        points=" ".join(f"{x:g},{y:g}" for x, y in zip(xs, ys, strict=True)),
        marks=marks,
        low=one.shown(low),
        high=one.shown(high),
        ticks=(tokens_shown(begins), tokens_shown(ends)),
        summary=f"{one.label} in the course of the training: {one.shown(values[0])} after {tokens_shown(begins)}, "
        f"{one.shown(values[-1])} after {tokens_shown(ends)}; between {one.shown(min(values))} and {one.shown(high)}.",
    )


def tokens_shown(tokens: float) -> str:
    """1.5M tokens, 40k tokens, 512 tokens."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tokens >= unit:
            return f"{tokens / unit:.3g}{name} tokens"
    return f"{tokens:.0f} tokens"


def _numbers(point: dict[str, Any], *keys: str) -> bool:
    return all(
        isinstance(value := point.get(key), int | float) and not isinstance(value, bool) and math.isfinite(value)
        for key in keys
    )
