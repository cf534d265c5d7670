"""The charts of `dartboard lab darts`, as SVG on white: needs altair and vl-convert-python, and no network."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt  # type: ignore[import-not-found, unused-ignore]
import numpy as np

from pipeline.lab.darts import COSINE, Histogram, Run
from pipeline.lab.report import Curve, curves_of_fve, curves_of_products

WIDTH, HEIGHT = 640, 360
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#444444",
    "#cc79a7",
)  # Okabe and Ito's, which the colour-blind can tell apart
INK, GRID = "#24292f", "#d8dee4"


def draw(run: Run, folder: Path, source: str) -> list[Path]:
    """Write histogram.svg, fve.svg and products.svg into `folder`; each names its `source`."""
    sizes = run.sizes
    seeds = f"Bands: lowest to highest of {run.seeds} seeds. " if run.seeds > 1 else ""
    charts = {
        "products": _sweep(
            curves_of_products(run),
            sizes.sweep,
            f"Inner products of m random directions in {sizes.n} dimensions",
            ["More darts are closer to each other, but slowly.", f"{seeds}{source}"],
            "inner product (directions have length 1)",
        ),
        "fve": _sweep(
            curves_of_fve(run),
            sizes.sweep,
            f"What m random directions explain of Gaussian noise, {sizes.k} of them at a time",
            [f"n = {sizes.n}: the floor under any dictionary's figure.", f"{seeds}{source}"],
            "fraction of variance explained",
        ),
    }
    if run.histogram is not None:
        charts["histogram"] = _histogram(run.histogram, sizes.n, sizes.sweep[-1], source)
    paths = []
    for name, chart in charts.items():
        paths.append(folder / f"{name}.svg")
        styled(chart).save(paths[-1])
    return paths


def _sweep(curves: Sequence[Curve], sizes: Sequence[int], title: str, subtitle: list[str], y: str) -> Any:
    """Lines against m on a doubling scale, a band from the lowest to the highest seed, formulas dashed."""
    labels = [curve.label for curve in curves]
    rows = [
        {
            "m": m,
            "curve": curve.label,
            "mean": statistics.fmean(values),
            "low": min(values),
            "high": max(values),
            "formula": curve.formula,
        }
        for curve in curves
        for m, values in zip(sizes, curve.values, strict=True)
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "m:Q",
            scale=alt.Scale(type="log", base=2, nice=False),
            axis=alt.Axis(title="m, number of directions", values=list(sizes), format="d"),
        ),
        color=alt.Color(
            "curve:N",
            sort=labels,
            scale=alt.Scale(domain=labels, range=COLOURS[: len(labels)]),
            legend=alt.Legend(title=None, symbolOpacity=1),
        ),
    )
    band = base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q", title=y), y2="high:Q")
    line = base.mark_line(point=alt.OverlayMarkDef(size=28), strokeWidth=2).encode(
        y=alt.Y("mean:Q", title=y),
        strokeDash=alt.StrokeDash(
            "formula:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 4]]), legend=None
        ),
    )
    return (band + line).properties(title=alt.TitleParams(title, subtitle=subtitle))


def _histogram(found: Histogram, n: int, m: int, source: str) -> Any:
    spread = found.norm / math.sqrt(n)
    middle = (found.edge[1:] + found.edge[:-1]) / 2
    width = float(found.edge[1] - found.edge[0])
    bell = np.exp(-((middle / spread) ** 2) / 2) / (spread * math.sqrt(2 * math.pi)) * m * width
    rows = [
        {"low": float(low), "high": float(high), "middle": float(at), "count": int(count), "bell": float(height)}
        for low, high, at, count, height in zip(found.edge, found.edge[1:], middle, found.count, bell, strict=False)
    ]
    base = alt.Chart(alt.InlineData(values=rows))
    bars = base.mark_bar(color=COLOURS[0], opacity=0.55, binSpacing=0.5).encode(
        x=alt.X("low:Q", bin="binned", title="inner product xᵢ·y (y ~ N(0, I), xᵢ of length 1)"),
        x2="high:Q",
        y=alt.Y("count:Q", title=f"directions in a bin of {width:.2f}"),
    )
    line = base.mark_line(color=COLOURS[1], strokeWidth=2).encode(x="middle:Q", y="bell:Q")
    return (bars + line).properties(
        title=alt.TitleParams(
            f"{m} random directions and one fixed vector in {n} dimensions",
            subtitle=[
                f"Line: a Gaussian of standard deviation ‖y‖/√n = {spread:.3f}. "
                f"A cosine of {COSINE:g} would be at {COSINE * found.norm:.1f}.",
                source,
            ],
        )
    )


def styled(chart: Any) -> Any:
    """One panel in the house's look."""
    return look(chart.properties(width=WIDTH, height=HEIGHT))


def look(chart: Any) -> Any:
    """White ground, sans-serif, the legend below."""
    font = "DejaVu Sans, Verdana, sans-serif"
    return (
        chart.properties(background="white", padding=12)
        .configure(font=font)
        .configure_view(stroke=None)
        .configure_title(anchor="start", fontSize=15, subtitleFontSize=12, subtitleColor=INK, color=INK, offset=12)
        .configure_axis(
            labelFontSize=12, titleFontSize=12, labelColor=INK, titleColor=INK, gridColor=GRID, titleFontWeight="normal"
        )
        .configure_legend(labelFontSize=12, labelColor=INK, orient="bottom", columns=2, labelLimit=320)
    )
