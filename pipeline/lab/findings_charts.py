"""The charts of `dartboard lab findings`, as SVG on white: needs altair and vl-convert-python, and no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt  # type: ignore[import-not-found, unused-ignore]

from pipeline.lab.charts import COLOURS, look
from pipeline.lab.findings import Arm, Estimate

WIDTH, HEIGHT = 230, 250
LABELS = {"trained": "trained model", "rerandomised": "re-randomised model"}


def draw(
    folder: Path,
    arms: Mapping[str, Sequence[Arm]],
    sweep: Sequence[tuple[str, Sequence[Arm]]],
    measures: Sequence[tuple[str, str, float]],
    source: str,
) -> list[Path]:
    """Write arms.svg and sweep.svg. `measures`: name, title, and what chance gives."""
    folder.mkdir(parents=True, exist_ok=True)
    charts = {"arms": _arms(arms, measures, source), "sweep": _sweep(sweep, measures, source)}
    paths = []
    for name, chart in charts.items():
        paths.append(folder / f"{name}.svg")
        chart.save(paths[-1])
    return paths


def _row(found: Estimate, **rest: Any) -> dict[str, Any]:
    return {"mean": found.value, "low": found.low, "high": found.high, **rest}


def _arms(arms: Mapping[str, Sequence[Arm]], measures: Sequence[tuple[str, str, float]], source: str) -> Any:
    order = list(dict.fromkeys(arm.title for members in arms.values() for arm in members))
    charts = []
    for place, (name, title, chance) in enumerate(measures):
        rows = [
            _row(found, arm=arm.title, model=LABELS[part])
            for part, members in arms.items()
            for arm in members
            if (found := arm.of(name)).known
        ]
        base = alt.Chart(alt.InlineData(values=rows)).encode(
            y=alt.Y("arm:N", sort=order, title=None, axis=alt.Axis(labels=place == 0, ticks=False, labelLimit=260)),
            yOffset=alt.YOffset("model:N", sort=list(LABELS.values())),
            color=alt.Color("model:N", title=None, scale=_colours(list(LABELS.values()))),
        )
        x = alt.X("mean:Q", title=title, scale=alt.Scale(zero=False))
        charts.append(
            _panel(
                base.mark_rule(strokeWidth=2).encode(alt.X("low:Q", title=title), x2="high:Q"),
                base.mark_point(filled=True, size=45).encode(x),
                chance,
                vertical=True,
            )
        )
    return _beside(charts, "Every arm beside chance", f"Bars: 95% intervals; dashed: chance. {source}")


def _sweep(sweep: Sequence[tuple[str, Sequence[Arm]]], measures: Sequence[tuple[str, str, float]], source: str) -> Any:
    charts = []
    for name, title, chance in measures:
        rows = [
            _row(found, kind=label, times=arm.expansion)
            for label, members in sweep
            for arm in members
            if (found := arm.of(name)).known
        ]
        ticks = sorted({row["times"] for row in rows})
        scale = alt.Scale(type="log", base=2, nice=False)
        base = alt.Chart(alt.InlineData(values=rows)).encode(
            x=alt.X("times:Q", scale=scale, axis=alt.Axis(title="m / n", values=ticks, format="d")),
            color=alt.Color("kind:N", title=None, scale=_colours([label for label, _ in sweep])),
        )
        y = alt.Y("mean:Q", title=title, scale=alt.Scale(zero=False))
        line = base.mark_line(point=True, strokeWidth=2).encode(y)
        charts.append(
            _panel(
                base.mark_rule(strokeWidth=1.5).encode(alt.Y("low:Q", title=title), y2="high:Q"),
                line,
                chance,
                vertical=False,
            )
        )
    return _beside(charts, "More directions, same n", f"Bars: 95% intervals over features; dashed: chance. {source}")


def _panel(bars: Any, points: Any, chance: float, vertical: bool) -> Any:
    at = {"x" if vertical else "y": alt.datum(chance)}
    line = alt.Chart(alt.InlineData(values=[{}])).mark_rule(strokeDash=[4, 3], color="#6e7781").encode(**at)
    return (line + bars + points).properties(width=WIDTH, height=HEIGHT)


def _colours(names: Sequence[str]) -> Any:
    return alt.Scale(domain=list(names), range=list(COLOURS[: len(names)]))


def _beside(charts: Sequence[Any], title: str, subtitle: str) -> Any:
    return look(alt.hconcat(*charts).properties(title=alt.TitleParams(title, subtitle=[subtitle])))
