"""A dictionary: its figures, how often its features fire, its provenance, and the list of its features."""

import json
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.browse.charts import Chart, density_chart
from app.browse.curves import Curve, curves
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


RANKS = ("1", "10", "100")


@dataclass(frozen=True, slots=True)
class Spread:
    """Cosines with the neighbours of one rank: quantiles over the features."""

    low: float  # 5%
    median: float
    high: float  # 95%


@dataclass(frozen=True, slots=True)
class Compared:
    """What a dictionary finds in another (or within itself), and how much of it the other finds."""

    dictionary: Dictionary
    mmcs: float
    back: float | None
    spreads: tuple[Spread | None, ...]  # of the 1st, 10th and 100th neighbour


@dataclass(frozen=True, slots=True)
class DictionaryPage:
    dictionary: Dictionary
    site: Site
    density: Chart
    states: dict[str, int]
    provenance: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str, bool], ...]
    found: FeaturePage
    compared: tuple[Compared, ...]
    curves: tuple[Curve, ...]


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
        compared=compared(store, dictionary),
        curves=curves(dictionary.provenance),
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


def compared(store: FeatureStore, dictionary: Dictionary) -> tuple[Compared, ...]:
    """The dictionary beside itself first, then beside the others; empty where none were compared."""
    dictionaries = {other.id: other for other in store.dictionaries()}
    found = {(one.dictionary_id, one.other_id): one for one in store.comparisons()}
    own = sorted(
        (one for one in found.values() if one.dictionary_id == dictionary.id),
        key=lambda one: one.other_id != dictionary.id,
    )
    return tuple(
        Compared(
            dictionaries[one.other_id],
            one.mmcs,
            back.mmcs if (back := found.get((one.other_id, dictionary.id))) else None,
            tuple(spread(one.curves, rank) for rank in RANKS),
        )
        for one in own
    )


def spread(curves: dict[str, list[float]], rank: str) -> Spread | None:
    if rank not in curves:
        return None
    at = dict(zip(curves["quantiles"], curves[rank], strict=True))
    return Spread(at[0.05], at[0.5], at[0.95])


def provenance(store: FeatureStore, dictionary: Dictionary) -> tuple[tuple[str, str], ...]:
    """What the build recorded, as (key, text): of this dictionary first, then of the whole store. The curve is drawn instead."""
    records = [("weights SHA-256", dictionary.weights_hash)]
    records += [(key, value) for key, value in dictionary.provenance.items() if key != "curve"]
    records += [(f"build: {key}", value) for key, value in store.provenance().items()]
    return tuple(
        (key, value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))
        for key, value in records
    )
