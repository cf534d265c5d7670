"""A feature: figures, histogram, top contexts; the fifths of its range load as the reader gets to them."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.browse.charts import Chart, activation_chart
from app.browse.lookup import current_store, feature_url, find_dictionary, find_feature, site_of
from app.browse.rows import GROUPS, Row, rows
from app.errors import NotFound
from app.render import render
from app.store.features import Dictionary, Feature, Group, Site

router = APIRouter(prefix="/dictionaries/{name}/features/{index}")

FIFTHS: Mapping[Group, str] = {group: title for group, title in GROUPS.items() if group != "top"}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Addresses of the features before and after, by index; None at either end."""

    previous: str | None
    next: str | None


@dataclass(frozen=True, slots=True)
class FeaturePage:
    dictionary: Dictionary
    site: Site
    feature: Feature
    histogram: Chart | None
    neighbours: Neighbours
    top: tuple[Row, ...]
    groups: Mapping[Group, str]  # empty where there are too few contexts to part


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
    context = FeaturePage(
        dictionary=dictionary,
        site=site_of(store, dictionary),
        feature=feature,
        histogram=activation_chart(feature),
        neighbours=neighbours(dictionary, feature),
        top=rows(store, feature, "top"),
        groups=FIFTHS if feature.state == "live" else {},
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


def neighbours(dictionary: Dictionary, feature: Feature) -> Neighbours:
    before, after = feature.index - 1, feature.index + 1
    return Neighbours(
        feature_url(dictionary, before) if before >= 0 else None,
        feature_url(dictionary, after) if after < dictionary.m else None,
    )
