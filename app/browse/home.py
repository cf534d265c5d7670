"""The first page: studies, and the dictionaries of each site; what to do next where there are none."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.browse.charts import Chart, density_chart
from app.render import render
from app.state import state
from app.store.features import Dictionary, FeatureStore, Site
from app.store.study import Study

router = APIRouter()


@dataclass(frozen=True, slots=True)
class DictionaryCard:
    dictionary: Dictionary
    chart: Chart


@dataclass(frozen=True, slots=True)
class SiteCard:
    site: Site
    dictionaries: tuple[DictionaryCard, ...]


@dataclass(frozen=True, slots=True)
class HomePage:
    sites: tuple[SiteCard, ...]
    studies: tuple[Study, ...]


@router.get("/")
def home(request: Request) -> Response:
    store = state(request).features
    studies = tuple(state(request).study.studies())
    return render(request, "browse/home.html", HomePage(site_cards(store) if store else (), studies))


def site_cards(store: FeatureStore) -> tuple[SiteCard, ...]:
    dictionaries = store.dictionaries()
    return tuple(
        SiteCard(
            site,
            tuple(
                DictionaryCard(dictionary, density_chart(store.frequencies(dictionary.id)))
                for dictionary in dictionaries
                if dictionary.site_id == site.id
            ),
        )
        for site in store.sites()
    )
