"""Histograms as data for a small inline SVG: bars in units of the drawing, and words for who cannot see them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.render import figure, share, whole
from app.store.feature_schema import HISTOGRAM_BINS_PER_OCTAVE
from app.store.features import Feature

WIDTH = 240.0
HEIGHT = 64.0
GAP = 1.0

DECADES = range(-6, 1)  # every density histogram has the same axis, so that two can be compared at a glance
BINS_PER_DECADE = 8
NOTHING = {"first": 0, "counts": []}
FEWEST_BINS = 8  # a feature that fires on one token is drawn as a bar, not as a wall


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of the drawing, and what it stands for."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars on a drawing of WIDTH × HEIGHT; `ticks` are labels spread evenly from the left edge to the right one."""

    bars: tuple[Bar, ...]
    ticks: tuple[str, ...]
    summary: str
    width: float = WIDTH
    height: float = HEIGHT


def bars(counts: Sequence[int], titles: Sequence[str]) -> tuple[Bar, ...]:
    """A bar for each count above zero, the largest as high as the drawing; none is too low to be seen."""
    step = WIDTH / max(len(counts), 1)
    top = max(counts, default=0)
    drawn = []
    for number, (count, title) in enumerate(zip(counts, titles, strict=True)):
        if count:
            height = round(max(HEIGHT * count / top, 1.5), 2)
            drawn.append(Bar(round(number * step, 2), HEIGHT - height, round(max(step - GAP, 0.5), 2), height, title))
    return tuple(drawn)


def activation_chart(feature: Feature, *, below: bool = False) -> Chart | None:
    """How strongly a feature fires, on a logarithmic axis: above zero, or `below`. None where it never fired there."""
    histogram = feature.histogram.get("below", NOTHING) if below else feature.histogram
    sign = "−" if below else ""
    counts: list[int] = histogram["counts"]
    if not sum(counts):
        return None
    first: int = histogram["first"]
    margin = max(FEWEST_BINS - len(counts), 0)
    before, after = margin // 2, margin - margin // 2
    shown = [0] * before + counts + [0] * after
    edges = [2 ** ((first - before + n) / HISTOGRAM_BINS_PER_OCTAVE) for n in range(len(shown) + 1)]
    titles = [
        f"{sign}{figure(low)} to {sign}{figure(high)}: {counted(count, 'token')}"
        for (low, high), count in zip(pairwise(edges), shown, strict=True)
    ]
    return Chart(
        bars(shown, titles),
        tuple(sign + figure(edge) for edge in (edges[0], math.sqrt(edges[0] * edges[-1]), edges[-1])),
        f"Histogram of activations, logarithmic axis: {counted(sum(counts), 'token')} from {sign}{figure(edges[before])} to "
        f"{sign}{figure(edges[before + len(counts)])}, most near {sign}{figure(edges[shown.index(max(shown))])}.",
    )


def density_chart(frequencies: Iterable[float]) -> Chart:
    """How often the features of a dictionary fire: share of tokens, from one in a million to all, logarithmic."""
    counts = [0] * ((len(DECADES) - 1) * BINS_PER_DECADE)
    for frequency in frequencies:
        if frequency > 0:
            place = math.floor((math.log10(frequency) - DECADES[0]) * BINS_PER_DECADE)
            counts[min(max(place, 0), len(counts) - 1)] += 1
    edges = [10 ** (DECADES[0] + n / BINS_PER_DECADE) for n in range(len(counts) + 1)]
    titles = [
        f"{share(low)} to {share(high)} of tokens: {counted(count, 'feature')}"
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    ]
    busiest = edges[counts.index(max(counts))]
    return Chart(
        bars(counts, titles),
        ("0.0001%", "0.1%", "100%"),
        f"Histogram of how often features fire, logarithmic axis: {counted(sum(counts), 'feature')} on some token, "
        f"most on about {share(busiest)} of tokens.",
    )


def counted(count: int, noun: str) -> str:
    return f"{whole(count)} {noun}{'' if count == 1 else 's'}"
