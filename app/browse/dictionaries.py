"""A dictionary: its figures, how often its features fire, its provenance, and the list of its features."""

import json
import re
from dataclasses import dataclass

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.browse.charts import Gauge, gauge, kept_gauge
from app.browse.curves import Curve, curves
from app.browse.lines import feature_lines
from app.browse.listing import STATES, FeaturePage, Listing, feature_page
from app.browse.lookup import current_store, feature_url, find_dictionary, random_feature, site_of
from app.browse.memory import remembered
from app.browse.neighbours import Compared, CosineCurve, compared, cosine_curves, random_beside
from app.browse.owner import owner_of
from app.browse.scored import Beside, scores_beside
from app.browse.shapes import Shape, shape
from app.errors import NotFound
from app.markdown import markdown
from app.render import render, render_blocks, wants_fragment
from app.state import state
from app.store.features import Dictionary, FeatureStore, Site
from app.store.scores import Score
from app.store.shelf import Shelf

router = APIRouter(prefix="/dictionaries/{name}")


@dataclass(frozen=True, slots=True)
class Column:
    """Of the list of features: what it sorts by, if anything; its heading; whether it holds numbers."""

    sort: str
    label: str
    numeric: bool


COLUMNS = (
    Column("index", "Feature", True),
    Column("", "Peak token", False),
    Column("", "Strongest context", False),
    Column("frequency", "Frequency", True),
    Column("max", "Maximum", True),
    Column("mean", "Mean", True),
    Column("entropy", "Entropy", True),
)
SCORE = Column("score", "Score", True)
DRAWN = ("curve", "card")


@dataclass(frozen=True, slots=True)
class About:
    """What the page says above and below the list."""

    dictionary: Dictionary
    site: Site
    kept: Gauge
    recovered: Gauge
    alive: Gauge
    shape: Shape
    states: dict[str, int]
    random: Dictionary | None  # the untrained dictionary that the curves are held against
    cosines: tuple[CosineCurve, ...]
    compared: tuple[Compared, ...]
    curves: tuple[Curve, ...]
    card: Markup | None  # what the dictionary's own folder says of it
    provenance: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DictionaryPage:
    dictionary: Dictionary
    upper: Markup | None  # what stands above the list and below it; None where htmx asks for the list alone
    lower: Markup | None
    columns: tuple[Column, ...]
    found: FeaturePage
    lines: dict[int, Markup]
    starred: frozenset[int] | None  # None where nobody is signed in
    scored: Beside
    scores: dict[int, Score]  # of the chosen measure, by feature


@router.get("")
def dictionary_page(request: Request, name: str) -> Response:
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    listing = Listing.parse(request.query_params)
    if (
        "" in request.query_params.values()
    ):  # a form sends its empty fields too; an address is worth keeping without them
        return RedirectResponse(f"/dictionaries/{dictionary.name}{listing.query()}", 303)
    owner, scored = owner_of(request), scores_beside(store)
    starred = Shelf(state(request).study).starred(owner, dictionary.name) if owner else None
    found = feature_page(store, dictionary, listing, measures=scored.titles, starred=starred)
    upper, lower = (None, None) if wants_fragment(request) else about_parts(store, dictionary)
    context = DictionaryPage(
        dictionary=dictionary,
        upper=upper,
        lower=lower,
        columns=(*COLUMNS, SCORE) if listing.score else COLUMNS,
        found=found,
        lines=feature_lines(store, dictionary, found.indices),
        starred=starred,
        scored=scored,
        scores=scores_shown(scored, dictionary, found),
    )
    return render(request, "browse/dictionary.html", context)


def scores_shown(scored: Beside, dictionary: Dictionary, found: FeaturePage) -> dict[int, Score]:
    """By feature of the page, its score of the measure that the list asks for."""
    if found.listing.score is None or scored.scores is None:
        return {}
    known = scored.scores.some(dictionary.id, list(found.indices))
    return {index: one for index, some in known.items() for one in some if one.measure == found.listing.score}


def about_parts(store: FeatureStore, dictionary: Dictionary) -> tuple[Markup, Markup]:
    def make() -> tuple[Markup, ...]:
        return render_blocks("browse/_about.html", about(store, dictionary), "upper", "lower")

    upper, lower = remembered(store, ("about", dictionary.id), make)
    return upper, lower


def about(store: FeatureStore, dictionary: Dictionary) -> About:
    counted = store.states(dictionary.id)
    random = random_beside(store, dictionary)
    return About(
        dictionary=dictionary,
        site=site_of(store, dictionary),
        kept=kept_gauge(dictionary),
        recovered=gauge("Cross-entropy recovered", dictionary.ce_recovered),
        alive=gauge("Alive", dictionary.alive),
        shape=shape(store, dictionary),
        states={state: counted.get(state, 0) for state in STATES},
        random=random,
        cosines=cosine_curves(store, dictionary, random),
        compared=compared(store, dictionary),
        curves=curves(dictionary.provenance),
        card=card(dictionary),
        provenance=provenance(store, dictionary),
    )


@router.get("/random")
def random_page(request: Request, name: str) -> Response:
    """Go to a live feature drawn at random; the draw is seen in the address that follows."""
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    feature = random_feature(store, dictionary)
    if feature is None:
        raise NotFound(f"{dictionary.name} has no live feature to draw.", nearest=f"/dictionaries/{dictionary.name}")
    return RedirectResponse(feature_url(dictionary, feature.index), 303, {"Cache-Control": "no-store"})


def card(dictionary: Dictionary) -> Markup | None:
    """Its Markdown as HTML, with headings below the page's own and without a front matter."""
    text = dictionary.provenance.get("card")
    if not isinstance(text, str) or not text.strip():
        return None
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return markdown(re.sub(r"(?m)^(#{1,4} )", r"##\1", text))


def provenance(store: FeatureStore, dictionary: Dictionary) -> tuple[tuple[str, str], ...]:
    """What the build recorded, as (key, text): of this dictionary first, then of the whole store; less what is shown for itself."""
    records = [("weights SHA-256", dictionary.weights_hash)]
    records += [(key, value) for key, value in dictionary.provenance.items() if key not in DRAWN]
    records += [(f"build: {key}", value) for key, value in store.provenance().items()]
    return tuple(
        (key, value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))
        for key, value in records
    )
