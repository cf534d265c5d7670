"""Small charts as data for an inline SVG: bars and marks in units of the drawing, and words for who cannot see them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.render import figure, percent, whole
from app.store.feature_schema import HISTOGRAM_BINS_PER_OCTAVE
from app.store.features import Dictionary, Feature

WIDTH = 240.0
HEIGHT = 64.0
GAP = 1.0

NOTHING = {"first": 0, "counts": []}
FEWEST_BINS = 8  # a feature that fires on one token is drawn as a bar, not as a wall


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of the drawing and what it stands for; `href` leads to what was counted in it."""

    x: float
    y: float
    width: float
    height: float
    label: str
    value: str
    href: str = ""

    @property
    def title(self) -> str:
        return f"{self.label}: {self.value}"


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars on a drawing of WIDTH × HEIGHT; `ticks` are labels spread evenly from the left edge to the right one."""

    bars: tuple[Bar, ...]
    ticks: tuple[str, ...]
    summary: str
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def path(self) -> str:
        """All bars as one path: they stand on the ground."""
        ground = int(self.height)
        return "".join(f"M{bar.x:.4g} {ground}V{bar.y:.3g}h{bar.width:.3g}V{ground}z" for bar in self.bars)


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across a gauge, `at` a share of its length; `kind` is its look."""

    at: float
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Gauge:
    """A share as a filled length, with marks to hold it against; `filled` is none where there is no such figure."""

    filled: float | None
    marks: tuple[Mark, ...]
    summary: str


def bars(counts: Sequence[int], labels: Sequence[str], noun: str, hrefs: Sequence[str] = ()) -> tuple[Bar, ...]:
    """A bar for each count above zero, the largest as high as the drawing; none is too low to be seen."""
    step = WIDTH / max(len(counts), 1)
    top = max(counts, default=0)
    drawn = []
    for number, (count, label) in enumerate(zip(counts, labels, strict=True)):
        if count:
            height = round(max(HEIGHT * count / top, 1.5), 2)
            place = (round(number * step, 2), round(HEIGHT - height, 2), round(max(step - GAP, 0.5), 2), height)
            drawn.append(Bar(*place, label, counted(count, noun), hrefs[number] if hrefs else ""))
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
    labels = [f"{sign}{figure(low)} to {sign}{figure(high)}" for low, high in pairwise(edges)]
    return Chart(
        bars(shown, labels, "token"),
        tuple(sign + figure(edge) for edge in (edges[0], math.sqrt(edges[0] * edges[-1]), edges[-1])),
        f"Histogram of activations, logarithmic axis: {counted(sum(counts), 'token')} from {sign}{figure(edges[before])} to "
        f"{sign}{figure(edges[before + len(counts)])}, most near {sign}{figure(edges[shown.index(max(shown))])}.",
    )


def gauge(name: str, value: float | None, marks: Sequence[tuple[str, float | None, str]] = ()) -> Gauge:
    """A share from 0 to 1 beside others of its kind, (label, share, look) each; a share outside is drawn at the edge."""
    known = [(label, share, kind) for label, share, kind in marks if share is not None]
    words = [f"{name} {percent(value)}", *(f"{label} {percent(share)}" for label, share, _ in known)]
    return Gauge(
        None if value is None else inside(value),
        tuple(Mark(inside(share), f"{label}: {percent(share)}", kind) for label, share, kind in known),
        ", ".join(words) + ".",
    )


def kept_gauge(dictionary: Dictionary) -> Gauge:
    """The variance that a dictionary explains, beside what random directions do of noise."""
    floors = [
        ("isotropic floor", dictionary.floor_isotropic, "mark-isotropic"),
        ("matched floor", dictionary.floor_covariance, "mark-matched"),
    ]
    return gauge("Variance explained", dictionary.fve, floors)


def inside(share: float) -> float:
    return round(min(max(share, 0.0), 1.0), 4)


def counted(count: int, noun: str) -> str:
    return f"{whole(count)} {noun}{'' if count == 1 else 's'}"
