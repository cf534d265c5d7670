"""Features as one HTML file that opens from disk: styles and script inside, nothing fetched, no link that needs the server."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

import app
from app.browse.charts import Chart
from app.browse.feature_body import Standing, standing
from app.browse.lookup import current_store, feature_url, find_dictionary, find_feature, site_of
from app.browse.owner import owner_of
from app.browse.pieces import Row, histogram
from app.browse.related import RelatedGroup, related
from app.browse.rows import GROUPS, Look, rows, shown_above
from app.browse.scored import ScoreTable, score_table, scores_beside
from app.browse.shapes import shape
from app.render import render_text
from app.state import state
from app.store.features import Dictionary, Feature, FeatureStore, Site
from app.store.shelf import Shelf

router = APIRouter(prefix="/dictionaries/{name}/features/{index}")


@dataclass(frozen=True, slots=True)
class SavedFeature:
    """`note`: what stands above its contexts, or ""."""

    dictionary: Dictionary
    feature: Feature
    note: str


@dataclass(frozen=True, slots=True)
class SavedGroup:
    title: str
    scale: float
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class SavedSection:
    dictionary: Dictionary
    site: Site
    feature: Feature
    histogram: Markup
    chart: Chart  # how often the dictionary's features fire
    standing: Standing | None
    scores: ScoreTable | None
    note: str
    address: str  # where it was saved from
    groups: tuple[SavedGroup, ...]  # those that have contexts
    neighbours: Sequence[RelatedGroup]
    partners: Sequence[RelatedGroup]


@dataclass(frozen=True, slots=True)
class SavedPage:
    title: str
    sections: tuple[SavedSection, ...]
    version: str


@router.get("/html")
def feature_file(request: Request, name: str, index: str) -> Response:
    """With the reader's own note, where there is one."""
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    feature = find_feature(store, dictionary, index)
    owner = owner_of(request)
    kept = Shelf(state(request).study).kept(owner, dictionary.name, feature.index) if owner is not None else None
    note = kept.note.text if kept is not None and kept.note is not None else ""
    title = f"Feature {feature.index} of {dictionary.title}"
    text = save_features(store, title, [SavedFeature(dictionary, feature, note)], state(request).settings.public_url)
    headers = {"Content-Disposition": f'attachment; filename="{saved_name(f"{dictionary.name}-{feature.index}")}.html"'}
    return Response(text, headers=headers, media_type="text/html; charset=utf-8")


def save_features(store: FeatureStore, title: str, some: Sequence[SavedFeature], base: str) -> str:
    """The file's text. `base`: the address of the server that it was saved from."""
    sections = tuple(section(store, one, base) for one in some)
    return render_text("browse/saved.html", SavedPage(title, sections, app.__version__))


def section(store: FeatureStore, one: SavedFeature, base: str) -> SavedSection:
    above = Look(above=shown_above(store, one.feature))
    near = related(store, one.feature)
    groups = []
    for group, title in GROUPS.items():
        look = above if group.startswith("q") else Look()
        scale = (one.feature.min or 0.0) if group == "bottom" else one.feature.max
        groups.append(SavedGroup(title, scale, rows(store, one.feature, group, look=look)))
    return SavedSection(
        one.dictionary,
        site_of(store, one.dictionary),
        one.feature,
        histogram(one.feature, "How strongly it fires: tokens by activation"),
        shape(store, one.dictionary).density,
        standing(store, one.dictionary, one.feature),
        score_table(scores_beside(store), one.feature),
        one.note,
        f"{base}{feature_url(one.dictionary, one.feature.index)}",
        tuple(group for group in groups if group.rows),
        near["neighbour"],
        near["cofiring"],
    )


def saved_name(text: str) -> str:
    """A name that any disk takes: ASCII letters and digits of the text, hyphens for the rest."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:60] or "features"
