"""A feature: figures, histogram, top contexts, output tokens, neighbours.

The fifths of its range, its negative tail and what it fires on in a second text load as the reader gets to them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.browse.charts import Chart, activation_chart
from app.browse.lookup import current_store, feature_url, find_dictionary, find_feature, site_of
from app.browse.related import RelatedGroup, related
from app.browse.rows import GROUPS, Row, rows
from app.errors import NotFound
from app.render import render
from app.store.features import Dictionary, Feature, Site
from app.store.packing import Group

router = APIRouter(prefix="/dictionaries/{name}/features/{index}")

FIFTHS: Mapping[Group, str] = {group: title for group, title in GROUPS.items() if group.startswith("q")}


@dataclass(frozen=True, slots=True)
class Steps:
    """Addresses of the features before and after, by index; None at either end."""

    previous: str | None
    next: str | None


@dataclass(frozen=True, slots=True)
class FeaturePage:
    dictionary: Dictionary
    site: Site
    feature: Feature
    histogram: Chart | None
    below: Chart | None  # of the negative tail
    steps: Steps
    top: tuple[Row, ...]
    groups: Mapping[Group, str]  # empty where there are too few contexts to part
    neighbours: tuple[RelatedGroup, ...]
    partners: tuple[RelatedGroup, ...]


@dataclass(frozen=True, slots=True)
class GroupPage:
    dictionary: Dictionary
    feature: Feature
    title: str
    rows: tuple[Row, ...]


@router.get("")
def feature_page(request: Request, name: str, index: str) -> Response:
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    feature = find_feature(store, dictionary, index)
    near = related(store, feature)
    context = FeaturePage(
        dictionary=dictionary,
        site=site_of(store, dictionary),
        feature=feature,
        histogram=activation_chart(feature),
        below=activation_chart(feature, below=True),
        steps=steps(dictionary, feature),
        top=rows(store, feature, "top"),
        groups=FIFTHS if feature.state == "live" else {},
        neighbours=near["neighbour"],
        partners=near["cofiring"],
    )
    return render(request, "browse/feature.html", context)


@router.get("/groups/{group}")
def group_page(request: Request, name: str, index: str, group: str) -> Response:
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    feature = find_feature(store, dictionary, index)
    for known, title in GROUPS.items():
        if group == known:
            context = GroupPage(dictionary, feature, title, rows(store, feature, known))
            return render(request, "browse/group.html", context)
    raise NotFound(
        f"There is no group “{group[:20]}”; the groups are {', '.join(GROUPS)}.",
        nearest=feature_url(dictionary, feature.index),
    )


def steps(dictionary: Dictionary, feature: Feature) -> Steps:
    before, after = feature.index - 1, feature.index + 1
    return Steps(
        feature_url(dictionary, before) if before >= 0 else None,
        feature_url(dictionary, after) if after < dictionary.m else None,
    )
