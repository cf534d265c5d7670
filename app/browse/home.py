"""The first page: studies, models and dictionaries with their main figures; what to do next where there are none."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.browse.charts import Chart, Gauge, gauge, kept_gauge
from app.browse.shapes import shape
from app.render import render
from app.state import state
from app.store.features import Dictionary, FeatureStore, Site
from app.store.study import Study, StudyStore

router = APIRouter()


@dataclass(frozen=True, slots=True)
class DictionaryCard:
    dictionary: Dictionary
    kept: Gauge
    alive: Gauge
    density: Chart


@dataclass(frozen=True, slots=True)
class SiteCard:
    site: Site
    dictionaries: tuple[DictionaryCard, ...]
    measured: bool  # some dictionary has its floors


@dataclass(frozen=True, slots=True)
class StudyCard:
    """How far a study is: ratings accepted, of those that its main items are to have."""

    study: Study
    ratings: int
    wanted: int


@dataclass(frozen=True, slots=True)
class HomePage:
    sites: tuple[SiteCard, ...]
    studies: tuple[StudyCard, ...]


@router.get("/")
def home(request: Request) -> Response:
    store = state(request).features
    studies = study_cards(state(request).study)
    return render(request, "browse/home.html", HomePage(site_cards(store) if store else (), studies))


def site_cards(store: FeatureStore) -> tuple[SiteCard, ...]:
    dictionaries = store.dictionaries()
    return tuple(
        SiteCard(site, tuple(dictionary_card(store, d) for d in own), any(d.floor_covariance is not None for d in own))
        for site in store.sites()
        for own in [[dictionary for dictionary in dictionaries if dictionary.site_id == site.id]]
    )


def dictionary_card(store: FeatureStore, dictionary: Dictionary) -> DictionaryCard:
    return DictionaryCard(
        dictionary,
        kept_gauge(dictionary),
        gauge("Alive", dictionary.alive),
        shape(store, dictionary).density,
    )


def study_cards(store: StudyStore) -> tuple[StudyCard, ...]:
    """The newest first."""
    found = []
    for study in sorted(store.studies(), key=lambda study: study.created_at, reverse=True):
        items = store.item_progress(study.name)
        wanted = sum(row.items for row in items) * int(study.protocol["raters_per_item"])
        found.append(StudyCard(study, sum(row.ratings * row.items for row in items), wanted))
    return tuple(found)
