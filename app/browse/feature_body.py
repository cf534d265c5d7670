"""What a feature's page shows to everybody, made once and remembered: figures, charts, contexts, what is near it, scores."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from sqlalchemy.exc import SQLAlchemyError

from app.browse.charts import Chart
from app.browse.kept import kept
from app.browse.lookup import feature_url, site_of
from app.browse.memory import remembered
from app.browse.pieces import histogram, outputs, related_list
from app.browse.related import related
from app.browse.rows import FIFTHS, GROUPS, Look, Row, rows, within
from app.browse.scored import UNREADABLE, scores_beside, scores_stamp
from app.browse.shapes import shape
from app.render import render_blocks
from app.store.feature_rows import group_counts
from app.store.features import Dictionary, Feature, FeatureStore, Site
from app.store.packing import Group
from app.store.scores import Explanation, Score

ROOM = 40_700  # bytes of a page; contexts that do not fit load when the reader gets to them
FRAME = 12_400  # bytes of a page beside its contexts, charts and lists, at most


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a feature stands among its dictionary's: `at`, a share of the chart's width; `below`, of features that fire less."""

    chart: Chart
    path: str  # of the chart's bars
    at: float
    below: float


@dataclass(frozen=True, slots=True)
class ScoreLine:
    title: str
    meaning: str
    chance: float | None
    score: Score


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """`problem`: why there is nothing to show of a file of scores that is there."""

    lines: tuple[ScoreLine, ...]
    explanation: Explanation | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FeatureBody:
    dictionary: Dictionary
    site: Site
    feature: Feature
    here: str  # the page's own address
    numbers: str  # "?numbers=yes" where each activation stands behind its token
    histogram: Markup  # empty where it never fired
    below: Markup  # of the negative tail
    raised: Markup | None  # output tokens; None where the build made no table of them
    lowered: Markup | None
    standing: Standing | None
    top: tuple[Row, ...]
    total: int  # top contexts that there are; those that `top` leaves out load later
    asked: int  # top contexts that the build was to keep
    fifths: Mapping[Group, str]  # empty where there are too few contexts to part
    counts: Mapping[Group, int]
    neighbours: Markup | None  # None where there are none
    partners: Markup | None
    scores: ScoreTable | None


def feature_parts(
    store: FeatureStore, dictionary: Dictionary, feature: Feature, numbers: bool
) -> tuple[Markup, Markup]:
    """The page's upper part, to its top contexts, and the lower one."""
    key = (dictionary.id, feature.index, numbers, scores_stamp(store))
    upper, lower = remembered(store, key, lambda: _made(store, dictionary, feature, numbers))
    return upper, lower


def _made(store: FeatureStore, dictionary: Dictionary, feature: Feature, numbers: bool) -> tuple[Markup, ...]:
    return render_blocks("browse/_feature.html", body(store, dictionary, feature, numbers), "upper", "lower")


def body(store: FeatureStore, dictionary: Dictionary, feature: Feature, numbers: bool = False) -> FeatureBody:
    near = related(store, feature)
    neighbours = related_list(near["neighbour"]) if near["neighbour"] else None
    partners = related_list(near["cofiring"]) if near["cofiring"] else None
    raised, lowered = (
        (outputs(feature.outputs["top"]), outputs(feature.outputs["bottom"])) if feature.outputs else (None, None)
    )
    drawn = histogram(feature, "How strongly it fires: tokens by activation")
    below = histogram(feature, "Below zero", below=True)
    beside = sum(len(part.encode()) for part in (neighbours, partners, raised, lowered, drawn, below) if part)
    top = rows(store, feature, "top", look=Look(numbers))
    return FeatureBody(
        dictionary=dictionary,
        site=site_of(store, dictionary),
        feature=feature,
        here=feature_url(dictionary, feature.index),
        numbers="?numbers=yes" if numbers else "",
        histogram=drawn,
        below=below,
        raised=raised,
        lowered=lowered,
        standing=standing(store, dictionary, feature),
        top=top[: within(top, ROOM - FRAME - beside)],
        total=len(top),
        asked=asked_for(store),
        fifths={group: GROUPS[group] for group in FIFTHS} if feature.state == "live" else {},
        counts=group_counts(store, feature.dictionary_id, feature.index),
        neighbours=neighbours,
        partners=partners,
        scores=score_table(store, feature),
    )


def standing(store: FeatureStore, dictionary: Dictionary, feature: Feature) -> Standing | None:
    """None for a feature that never fired."""
    if not feature.frequency:
        return None
    ordered = kept(store, ("frequencies in order", dictionary.id), lambda: np.sort(store.frequencies(dictionary.id)))
    below = float(np.searchsorted(ordered, feature.frequency)) / max(len(ordered), 1)
    chart = shape(store, dictionary).density
    path = kept(store, ("density path", dictionary.id), lambda: bar_path(chart))
    return Standing(chart, path, min(max((math.log10(feature.frequency) + 6) / 6, 0.0), 1.0), below)


def bar_path(chart: Chart) -> str:
    """All bars of a chart as one path: they stand on the ground."""
    ground = int(chart.height)
    return "".join(f"M{bar.x:.4g} {ground}V{bar.y:.3g}h{bar.width:.3g}V{ground}z" for bar in chart.bars)


def asked_for(store: FeatureStore) -> int:
    """How many top contexts a feature's page was to have; 0 where the build does not say."""

    def read() -> int:
        pages = store.provenance().get("config", {}).get("pages", {})
        return int(pages.get("top", 0)) if isinstance(pages, dict) else 0

    return kept(store, "top contexts asked for", read)


def score_table(store: FeatureStore, feature: Feature) -> ScoreTable | None:
    beside = scores_beside(store)
    if beside.problem is not None:
        return ScoreTable((), None, beside.problem)
    if beside.scores is None:
        return None
    measures = {one.name: one for one in beside.measures}
    place = feature.dictionary_id, feature.index
    try:
        lines = tuple(
            ScoreLine(measures[one.measure].title, measures[one.measure].meaning, measures[one.measure].chance, one)
            for one in beside.scores.of(*place)
        )
        return ScoreTable(lines, beside.scores.explanation(*place))
    except SQLAlchemyError:
        return ScoreTable((), None, UNREADABLE)
