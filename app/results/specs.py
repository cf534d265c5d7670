"""Vega-Lite specifications of the few kinds of charts that results need, colours by name: `token:ink`.

Width is the container's; height follows from the number of rows. Every chart is one view, which a phone can narrow.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Record = Mapping[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
ROW = 44  # pixels of height that a row takes
ROW_OF_POINTS = 84
SPREAD = (
    0.7548776662466927,
    0.5698402909980532,
)  # multiples of the two, less whole numbers, fill the unit square evenly
SERIES = ("token:series-1", "token:series-2", "token:series-3", "token:series-4", "token:series-5", "token:series-6")
RAMP = ("token:ramp-1", "token:ramp-2", "token:ramp-3", "token:ramp-4", "token:ramp-5", "token:ramp-none")
PERCENT = ".0%"
CONFIG: Spec = {
    "background": "token:surface",
    "font": "token:sans",
    "aria": False,  # the page says what a chart shows, and has its table
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": "token:ink-2",
        "titleColor": "token:ink-2",
        "gridColor": "token:line",
        "domainColor": "token:line-strong",
        "tickColor": "token:line-strong",
        "labelLimit": 150,
    },
    "legend": {
        "orient": "top",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelColor": "token:ink-2",
        "titleColor": "token:ink-2",
        "symbolStrokeWidth": 0,
    },
    "text": {"color": "token:ink"},
    "rule": {"color": "token:ink"},
}


def chart(values: Sequence[Record], height: int, **parts: Any) -> Spec:
    """A specification over its rows, in the house's look."""
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": 8,
        "data": {"values": list(values)},
        "config": CONFIG,
        **parts,
    }


def forest(
    rows: Sequence[Record],
    x: str,
    *,
    lines: Sequence[float] = (),
    domain: tuple[float, float] | None = None,
    form: str = PERCENT,
    colours: Mapping[str, str] | None = None,
) -> Spec:
    """Estimates with intervals, a row a `label`; `group` within a row where there is one, and its colour.

    Rows: label, value, low, high (low alone is a one-sided bound), group. `lines` are drawn through all rows.
    """
    labels = list(dict.fromkeys(row["label"] for row in rows))
    groups = list(dict.fromkeys(row["group"] for row in rows if row.get("group")))
    y: Spec = _down("label", labels)
    quantity: Spec = {
        "type": "quantitative",
        "title": x,
        "axis": {"format": form, "tickCount": 6},
        "scale": {"domain": list(domain)} if domain else {"zero": False, "nice": True},
    }
    shared: Spec = {"y": y, "color": {"value": "token:series-1"}}
    if groups:
        shared["yOffset"] = {"field": "group", "sort": groups}
        shared["color"] = {
            "field": "group",
            "type": "nominal",
            "title": None,
            "scale": {"domain": groups, "range": [(colours or {}).get(group, SERIES[-1]) for group in groups]},
        }
    tip = [
        {"field": "label", "title": "what"},
        *([{"field": "group", "title": "arm"}] if groups else []),
        *({"field": name, "format": form.replace("0", "1")} for name in ("value", "low", "high")),
    ]
    layers: list[Spec] = [_line(at) for at in lines]
    layers += [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": {"field": "low", **quantity}, "x2": {"field": "end"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {"x": {"field": "value", **quantity}, "tooltip": tip},
        },
    ]
    values = [{**row, "end": row["high"] if row["high"] is not None else row["value"]} for row in rows]
    height = max(len(labels), 1) * (ROW if len(groups) < 2 else 16 + 20 * len(groups))
    return chart(
        values,
        height,
        layer=[{**layer, "encoding": {**_shared(layer, shared), **layer["encoding"]}} for layer in layers],
    )


def points(
    arms: Sequence[Record], raw: Sequence[Record], x: str, colours: Mapping[str, str], chance: float | None = None
) -> Spec:
    """An arm a row: each page as a faint point that leads to its feature, above them the arm's estimate with its interval.

    `arms`: arm, value, low, high; `raw`: arm, share, and what a pointer resting there says. Points of one share are spread.
    """
    order = [row["arm"] for row in arms]
    y: Spec = _down("arm", order)
    axis: Spec = {
        "type": "quantitative",
        "title": x,
        "scale": {"domain": [-0.04, 1.04], "nice": False},
        "axis": {"format": PERCENT, "values": [0, 0.25, 0.5, 0.75, 1]},
    }
    colour = {
        "field": "arm",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": order, "range": [colours[arm] for arm in order]},
    }
    spread = [
        {**row, "at": row["share"] + 0.05 * (_spread(number, 0) - 0.5), "place": _spread(number, 1)}
        for number, row in enumerate(raw)
    ]
    cloud: Spec = {
        "data": {"values": spread},
        "mark": {"type": "circle", "size": 26, "opacity": 0.45, "cursor": "pointer"},
        "encoding": {
            "x": {"field": "at", **axis},
            "y": y,
            "yOffset": {"field": "place", "type": "quantitative", "scale": {"domain": [-0.7, 1.7]}},
            "color": colour,
            "href": {"field": "url"},
            "tooltip": [
                {"field": "page"},
                {"field": "share", "title": "interpretable", "format": PERCENT},
                {"field": "scores"},
            ],
        },
    }
    interval: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 3, "color": "token:ink"},
            "encoding": {"x": {"field": "low", **axis}, "x2": {"field": "high"}, "y": y},
        },
        {
            "mark": {
                "type": "point",
                "filled": True,
                "size": 150,
                "opacity": 1,
                "stroke": "token:surface",
                "strokeWidth": 2,
            },
            "encoding": {
                "x": {"field": "value", **axis},
                "y": y,
                "color": {"value": "token:ink"},
                "tooltip": [{"field": "arm"}, *({"field": name, "format": ".1%"} for name in ("value", "low", "high"))],
            },
        },
    ]
    lines = [] if chance is None else [_line(chance)]
    return chart(arms, max(len(order), 1) * ROW_OF_POINTS, layer=[*lines, cloud, *interval])


def stacked(rows: Sequence[Record], parts: Sequence[str], x: str, colours: Sequence[str]) -> Spec:
    """Shares of a whole, a bar a `label`: each `part` with its `count`, in the order of `parts`."""
    order = {part: number for number, part in enumerate(parts)}
    labels = list(dict.fromkeys(row["label"] for row in rows))
    return chart(
        [{**row, "order": order[row["part"]]} for row in rows],
        max(len(labels), 1) * ROW,
        mark={"type": "bar", "stroke": "token:surface", "strokeWidth": 1},
        encoding={
            "y": _down("label", labels),
            "x": {
                "field": "count",
                "type": "quantitative",
                "stack": "normalize",
                "title": x,
                "axis": {"format": PERCENT, "tickCount": 5},
            },
            "color": {
                "field": "part",
                "type": "nominal",
                "sort": list(parts),
                "title": None,
                "scale": {"domain": list(parts), "range": list(colours)},
            },
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": [{"field": "label", "title": "what"}, {"field": "part", "title": "answer"}, {"field": "count"}],
        },
    )


def _spread(number: int, of: int) -> float:
    return number * SPREAD[of] % 1


def _down(field: str, order: Sequence[str]) -> Spec:
    """One row a name, from above in that order."""
    axis = {"ticks": False, "domain": False}
    return {"field": field, "type": "nominal", "sort": order, "title": None, "axis": axis}


def _line(at: float) -> Spec:
    return {
        "mark": {"type": "rule", "strokeDash": [4, 4], "color": "token:line-strong"},
        "encoding": {"x": {"datum": at, "type": "quantitative"}},
    }


def _shared(layer: Spec, shared: Spec) -> Spec:
    """What the rows' marks have in common; a line through all of them has none of it."""
    return {} if "datum" in layer["encoding"]["x"] else shared
