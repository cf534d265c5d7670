"""What a feature's page shows to everybody, made once and remembered: figures, charts, contexts, what is near it, scores."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from sqlalchemy.exc import SQLAlchemyError

from app.browse.charts import Chart, activation_chart
from app.browse.kept import kept
from app.browse.lookup import feature_url, site_of
from app.browse.memory import remembered
from app.browse.related import RelatedGroup, related
from app.browse.rows import FIFTHS, GROUPS, Look, Row, rows, within
from app.browse.shapes import shape
from app.errors import UserError
from app.render import render_blocks
from app.store.feature_rows import group_counts
from app.store.features import Dictionary, Feature, FeatureStore, Site
from app.store.packing import Group
from app.store.scores import Explanation, Score, Scores

ROOM = 19_000  # characters of contexts in the page itself; the others load when the reader gets to them


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a feature stands among its dictionary's: `at`, a share of the chart's width; `below`, of features that fire less."""

    chart: Chart
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
    histogram: Chart | None
    below: Chart | None  # of the negative tail
    standing: Standing | None
    top: tuple[Row, ...]
    total: int  # top contexts that there are; those that `top` leaves out load later
    asked: int  # top contexts that the build was to keep
    fifths: Mapping[Group, str]  # empty where there are too few contexts to part
    counts: Mapping[Group, int]
    neighbours: tuple[RelatedGroup, ...]
    partners: tuple[RelatedGroup, ...]
    scores: ScoreTable | None


def feature_parts(
    store: FeatureStore, dictionary: Dictionary, feature: Feature, numbers: bool
) -> tuple[Markup, Markup]:
    """The page's upper part, to its top contexts, and the lower one."""
    scores = scores_stamp(store)
    key = (dictionary.id, feature.index, numbers, scores)
    upper, lower = remembered(store, key, lambda: _made(store, dictionary, feature, numbers, scores))
    return upper, lower


def _made(
    store: FeatureStore, dictionary: Dictionary, feature: Feature, numbers: bool, scores: tuple[int, ...] | None
) -> tuple[Markup, ...]:
    return render_blocks("browse/_feature.html", body(store, dictionary, feature, numbers, scores), "upper", "lower")


def body(
    store: FeatureStore,
    dictionary: Dictionary,
    feature: Feature,
    numbers: bool = False,
    scores: tuple[int, ...] | None = None,
) -> FeatureBody:
    near = related(store, feature)
    top = rows(store, feature, "top", look=Look(numbers))
    return FeatureBody(
        dictionary=dictionary,
        site=site_of(store, dictionary),
        feature=feature,
        here=feature_url(dictionary, feature.index),
        numbers="?numbers=yes" if numbers else "",
        histogram=activation_chart(feature),
        below=activation_chart(feature, below=True),
        standing=standing(store, dictionary, feature),
        top=top[: within(top, ROOM)],
        total=len(top),
        asked=asked_for(store),
        fifths={group: GROUPS[group] for group in FIFTHS} if feature.state == "live" else {},
        counts=group_counts(store, feature.dictionary_id, feature.index),
        neighbours=near["neighbour"],
        partners=near["cofiring"],
        scores=score_table(store, feature, scores),
    )


def standing(store: FeatureStore, dictionary: Dictionary, feature: Feature) -> Standing | None:
    """None for a feature that never fired."""
    if not feature.frequency:
        return None
    ordered = kept(store, ("frequencies in order", dictionary.id), lambda: np.sort(store.frequencies(dictionary.id)))
    below = float(np.searchsorted(ordered, feature.frequency)) / max(len(ordered), 1)
    return Standing(shape(store, dictionary).density, min(max((np.log10(feature.frequency) + 6) / 6, 0.0), 1.0), below)


def asked_for(store: FeatureStore) -> int:
    """How many top contexts a feature's page was to have; 0 where the build does not say."""

    def read() -> int:
        pages = store.provenance().get("config", {}).get("pages", {})
        return int(pages.get("top", 0)) if isinstance(pages, dict) else 0

    return kept(store, "top contexts asked for", read)


def scores_stamp(store: FeatureStore) -> tuple[int, ...] | None:
    """What tells one file of scores from another; None where there is none."""
    try:
        stat = store.path.with_name("scores.sqlite").stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def score_table(store: FeatureStore, feature: Feature, stamp: tuple[int, ...] | None) -> ScoreTable | None:
    if stamp is None:
        return None
    try:
        scores = kept(store, ("scores", stamp), lambda: Scores.beside(store))
        if scores is None:
            return None
        measures = {one.name: one for one in kept(store, ("measures", stamp), scores.measures)}
        lines = tuple(
            ScoreLine(measures[one.measure].title, measures[one.measure].meaning, measures[one.measure].chance, one)
            for one in scores.of(feature.dictionary_id, feature.index)
        )
        return ScoreTable(lines, scores.explanation(feature.dictionary_id, feature.index))
    except UserError as error:
        return ScoreTable((), None, str(error))
    except SQLAlchemyError:
        return ScoreTable((), None, "The file of scores cannot be read; make it anew with `dartboard scores`.")
