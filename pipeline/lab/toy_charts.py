"""The charts of `dartboard lab toy`, as SVG: needs altair and vl-convert-python, and no network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt  # type: ignore[import-not-found, unused-ignore]

from pipeline.lab import theory
from pipeline.lab.charts import COLOURS, INK, styled
from pipeline.lab.toy_arms import ORDER
from pipeline.lab.toy_run import Run

METHODS = {"dead": "dead neurons", "stickiness": "loss stickiness", "larger": "MMCS against a larger dictionary"}


def draw(run: Run, folder: Path, source: str) -> list[Path]:
    """Write the charts into `folder`; each names its `source`."""
    charts = {
        "mmcs": _mmcs(run, source),
        "loss": _loss(run, source),
        "estimates": _estimates(run, source),
        "purity": _purity(run, source),
        "needed": _needed(run, source),
    }
    paths = []
    for name, chart in charts.items():
        paths.append(folder / f"{name}.svg")
        styled(chart).save(paths[-1])
    return paths


def _mmcs(run: Run, source: str) -> Any:
    n, h, random = run.world.n, run.world.h, "random directions (formula)"
    rows = [{"J": one.m, "value": one.mmcs, "curve": f"α = {one.alpha:g}", "dash": False} for one in run.grid]
    sizes = sorted({one.m for one in run.grid})
    rows += [{"J": m, "value": theory.expected_nearest_uniform(n, m), "curve": random, "dash": True} for m in sizes]
    title = ["MMCS: mean over true features of the largest cosine with a learned one.", source]
    return _lines(rows, sizes, f"Finding {h} features in {n} dimensions", title, "MMCS") + _at(h)


def _loss(run: Run, source: str) -> Any:
    rows = [
        {"J": one.m, "value": one.loss, "curve": f"α = {one.alpha:g}", "dash": False}
        for one in run.grid
        if one.alpha in {found.alpha for found in run.estimates}
    ]
    title = ["Loss ‖x − x̂‖² + α‖c‖₁: it falls until every true feature has a learned one, then stays.", source]
    return _lines(rows, sorted({one.m for one in run.grid}), "Loss stickiness", title, "loss") + _at(run.world.h)


def _estimates(run: Run, source: str) -> Any:
    rows = [
        {"alpha": one.alpha, "value": getattr(one, name), "way": way}
        for one in run.estimates
        for name, way in METHODS.items()
    ]
    points = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(size=90, filled=True, opacity=0.9)
        .encode(
            x=alt.X("alpha:O", title="α", axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("way:N", sort=list(METHODS.values())),
            y=alt.Y("value:Q", title="estimated number of features", scale=alt.Scale(zero=False, padding=20)),
            color=_colour(list(METHODS.values()), "way"),
        )
    )
    truth = alt.Chart(alt.InlineData(values=[{"h": run.world.h}])).mark_rule(color=INK, strokeDash=[4, 3])
    title = alt.TitleParams(
        "Three estimates of the number of features", subtitle=[f"Dashed: the truth, {run.world.h}.", source]
    )
    return (points + truth.encode(y="h:Q")).properties(title=title)


def _purity(run: Run, source: str) -> Any:
    kinds = [kind for kind in ORDER if any(arm.kind == kind for arm in run.arms)]
    worlds = {arm.world: f"{arm.world.h} features, {arm.world.frequencies}" for arm in run.arms}
    rows = [{"kind": arm.kind, "value": arm.purity.mean, "world": worlds[arm.world]} for arm in run.arms]
    labels = list(worlds.values())
    title = alt.TitleParams(
        "What the top 20 samples of a direction have in common",
        subtitle=["Purity: the best feature's share of them, mean over directions that are alive.", source],
    )
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(size=80, filled=True, opacity=0.9)
        .encode(
            x=alt.X("value:Q", title="purity", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("kind:N", sort=kinds, title=None, axis=alt.Axis(grid=True, labelLimit=200)),
            color=_colour(labels, "world"),
            shape=alt.Shape("world:N", sort=labels, scale=alt.Scale(domain=labels), legend=None),
        )
        .properties(title=title)
    )


def _needed(run: Run, source: str) -> Any:
    labels = [f"n = {n}" for n in sorted({one.n for one in run.needed})]
    rows = [
        {"cosine": one.cosine, "n": f"n = {one.n}", "formula": one.theory, "seen": one.simulated} for one in run.needed
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("cosine:Q", title="cosine with a given direction"), color=_colour(labels, "n")
    )
    line = base.mark_line(strokeWidth=2).encode(
        y=alt.Y("formula:Q", title="log₁₀ of the number of directions", scale=alt.Scale(domain=[0, 20], clamp=True))
    )
    seen = base.transform_filter("datum.seen !== null").mark_point(size=60, filled=True).encode(y="seen:Q")
    title = alt.TitleParams(
        "How many random directions it takes for one that is this close",
        subtitle=["Lines: the exact law; points: counted among sign vectors. Cut off at 10²⁰.", source],
    )
    return (line + seen).properties(title=title)


def _lines(rows: Sequence[dict[str, Any]], sizes: Sequence[int], title: str, subtitle: list[str], y: str) -> Any:
    labels = list(dict.fromkeys(row["curve"] for row in rows))
    return (
        alt.Chart(alt.InlineData(values=list(rows)))
        .mark_line(point=alt.OverlayMarkDef(size=28), strokeWidth=2)
        .encode(
            x=alt.X(
                "J:Q",
                scale=alt.Scale(type="log", base=2, nice=False),
                axis=alt.Axis(title="J, size of the dictionary", values=list(sizes), format="d"),
            ),
            y=alt.Y("value:Q", title=y),
            color=_colour(labels, "curve"),
            strokeDash=alt.StrokeDash(
                "dash:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 4]]), legend=None
            ),
        )
        .properties(title=alt.TitleParams(title, subtitle=subtitle))
    )


def _at(h: int) -> Any:
    """A mark at the true number of features."""
    rule = alt.Chart(alt.InlineData(values=[{"J": h}])).mark_rule(color=INK, strokeDash=[4, 3])
    return rule.encode(x=alt.X("J:Q", scale=alt.Scale(type="log", base=2, nice=False)))


def _colour(labels: Sequence[str], name: str) -> Any:
    palette = [*COLOURS, "#56b4e9"]
    return alt.Color(
        f"{name}:N",
        sort=list(labels),
        scale=alt.Scale(domain=list(labels), range=palette[: len(labels)]),
        legend=alt.Legend(title=None, symbolOpacity=1),
    )
