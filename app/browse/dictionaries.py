"""A dictionary: its figures, how often its features fire, its provenance, and the list of its features."""

import json
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.browse.charts import Chart, density_chart
from app.browse.listing import STATES, FeaturePage, Listing, feature_page
from app.browse.lookup import current_store, feature_url, find_dictionary, random_feature, site_of
from app.errors import NotFound
from app.render import render
from app.store.features import Dictionary, FeatureStore, Site

router = APIRouter(prefix="/dictionaries/{name}")

COLUMNS = (  # what a column sorts by, if anything; its heading; whether it holds numbers
    ("index", "Feature", True),
    ("", "Peak token", False),
    ("", "State", False),
    ("frequency", "Frequency", True),
    ("max", "Maximum", True),
    ("mean", "Mean", True),
    ("entropy", "Entropy", True),
)


@dataclass(frozen=True, slots=True)
class DictionaryPage:
    dictionary: Dictionary
    site: Site
    density: Chart
    states: dict[str, int]
    provenance: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str, bool], ...]
    found: FeaturePage


@router.get("")
def dictionary_page(request: Request, name: str) -> Response:
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    listing = Listing.parse(request.query_params)
    if (
        "" in request.query_params.values()
    ):  # a form sends its empty fields too; an address is worth keeping without them
        return RedirectResponse(f"/dictionaries/{dictionary.name}{listing.query()}", 303)
    counted = store.states(dictionary.id)
    context = DictionaryPage(
        dictionary=dictionary,
        site=site_of(store, dictionary),
        density=density_chart(store.frequencies(dictionary.id)),
        states={state: counted.get(state, 0) for state in STATES},
        provenance=provenance(store, dictionary),
        columns=COLUMNS,
        found=feature_page(store, dictionary, listing),
    )
    return render(request, "browse/dictionary.html", context)


@router.get("/random")
def random_page(request: Request, name: str) -> Response:
    """Go to a live feature drawn at random; the draw is seen in the address that follows."""
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    feature = random_feature(store, dictionary)
    if feature is None:
        raise NotFound(f"{dictionary.name} has no live feature to draw.", nearest=f"/dictionaries/{dictionary.name}")
    return RedirectResponse(feature_url(dictionary, feature.index), 303, {"Cache-Control": "no-store"})


def provenance(store: FeatureStore, dictionary: Dictionary) -> tuple[tuple[str, str], ...]:
    """What the build recorded, as (key, text): of this dictionary first, then of the whole store."""
    records = [("weights SHA-256", dictionary.weights_hash), *dictionary.provenance.items()]
    records += [(f"build: {key}", value) for key, value in store.provenance().items()]
    return tuple(
        (key, value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))
        for key, value in records
    )
