"""A feature: figures, histograms, contexts, output tokens, what is near it, scores, ratings, and what its reader keeps of it.

What everybody sees is made once a feature (app.browse.feature_body). The fifths of its range, random contexts, its negative
tail and what it fires on in a second text load as the reader gets to them.
"""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from fastapi import APIRouter
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.browse.feature_body import feature_parts
from app.browse.listing import natural
from app.browse.lookup import current_store, feature_url, find_dictionary, find_feature, site_of
from app.browse.markdown import feature_markdown
from app.browse.memory import remembered
from app.browse.owner import owner_name
from app.browse.ratings import RatedLine, rated
from app.browse.rows import FIFTHS, GROUPS, Look, Row, random_rows, rows, shown_above
from app.browse.scored import scores_stamp
from app.errors import NotFound, Unprocessable
from app.memo import memo
from app.render import render, wants_fragment
from app.sessions import staff
from app.state import state
from app.store.features import Dictionary, Feature, FeatureStore, Site
from app.store.packing import Group
from app.store.shelf import LONGEST_NOTE, Kept, Shelf
from app.store.study import Session

router = APIRouter(prefix="/dictionaries/{name}/features/{index}")
RANDOM = "Random contexts"
NUMBERS = ("", "yes")


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
    here: str
    steps: Steps
    upper: Markup
    lower: Markup
    kept: Kept | None  # None where nobody is signed in
    longest_note: int
    rated: tuple[RatedLine, ...]


@dataclass(frozen=True, slots=True)
class GroupPage:
    dictionary: Dictionary
    feature: Feature
    here: str
    title: str
    scale: float  # the activation of the strongest colour
    rows: tuple[Row, ...]
    again: str | None  # the address of another draw


async def feature_page(request: Request) -> Response:
    """The page as it was made before, unless its reader, the feature store or the study store has changed since."""
    session = await staff(request)
    known, store = memo(state(request).study), current_store(request)
    if not known.fast:
        return await run_in_threadpool(made_page, request, session)
    who, query = owner_name(session), request.scope["query_string"]
    key = ("page", known.version, scores_stamp(store), who, request.scope["path"], query)
    (body,) = remembered(store, key, lambda: (bytes(made_page(request, session).body),))
    return html(body)


def made_page(request: Request, session: Session | None) -> Response:
    store, study = current_store(request), state(request).study
    dictionary = find_dictionary(store, request.path_params["name"])
    feature = find_feature(store, dictionary, request.path_params["index"])
    upper, lower = feature_parts(store, dictionary, feature, wants_numbers(request))
    owner = owner_name(session)
    context = FeaturePage(
        dictionary=dictionary,
        site=site_of(store, dictionary),
        feature=feature,
        here=feature_url(dictionary, feature.index),
        steps=steps(dictionary, feature),
        upper=upper,
        lower=lower,
        kept=None if owner is None else Shelf(study).kept(owner, dictionary.name, feature.index),
        longest_note=LONGEST_NOTE,
        rated=rated(study, store, dictionary, feature),
    )
    return render(request, "browse/feature.html", context)


async def group_page(request: Request) -> Response:
    await staff(request)
    key = ("group", wants_fragment(request), request.scope["path"], request.scope["query_string"])
    (body,) = remembered(current_store(request), key, lambda: (bytes(made_group(request).body),))
    return html(body)


def html(body: bytes) -> Response:
    return Response(body, headers={"Vary": "HX-Request"}, media_type="text/html")


def made_group(request: Request) -> Response:
    """`from` and `seed` in the address: the first context of the top ones to show, and which random ones."""
    store = current_store(request)
    group = request.path_params["group"]
    dictionary = find_dictionary(store, request.path_params["name"])
    feature = find_feature(store, dictionary, request.path_params["index"])
    numbers = wants_numbers(request)
    page = GroupPage(dictionary, feature, feature_url(dictionary, feature.index), RANDOM, feature.max, (), None)
    if group == "random":
        seed = natural("seed", request.query_params.get("seed") or "0")
        query = urlencode({"seed": seed + 1} | ({"numbers": "yes"} if numbers else {}))
        look = Look(numbers, shown_above(store, feature))
        page = replace(page, rows=random_rows(store, feature, seed, look), again=f"{page.here}/groups/random?{query}")
        return render(request, "browse/group.html", page)
    for known, title in GROUPS.items():
        if group == known:
            page = replace(page, title=title, rows=group_rows(request, store, feature, known, numbers))
            if known == "bottom":
                page = replace(page, scale=feature.min or 0.0)
            return render(request, "browse/group.html", page)
    raise NotFound(
        f"There is no group “{group[:20]}”; the groups are {', '.join(GROUPS)}, random.",
        nearest=feature_url(dictionary, feature.index),
    )


def group_rows(request: Request, store: FeatureStore, feature: Feature, group: Group, numbers: bool) -> tuple[Row, ...]:
    first = natural("from", request.query_params.get("from") or "0")
    above = shown_above(store, feature) if group in FIFTHS else ()
    return rows(store, feature, group, first=first, look=Look(numbers, above))


@router.get("/markdown")
def markdown_page(request: Request, name: str, index: str) -> Response:
    """The feature as Markdown, to be pasted into notes."""
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    feature = find_feature(store, dictionary, index)
    address = f"{state(request).settings.public_url}{feature_url(dictionary, feature.index)}"
    return PlainTextResponse(feature_markdown(store, dictionary, feature, address))


def wants_numbers(request: Request) -> bool:
    given = request.query_params.get("numbers", "")
    if given not in NUMBERS:
        raise Unprocessable(f"“numbers” in the address is yes, or is left out, not “{given[:40]}”.")
    return given == "yes"


def steps(dictionary: Dictionary, feature: Feature) -> Steps:
    before, after = feature.index - 1, feature.index + 1
    return Steps(
        feature_url(dictionary, before) if before >= 0 else None,
        feature_url(dictionary, after) if after < dictionary.m else None,
    )


ROUTES = (  # outside FastAPI's, whose dependencies take longer than the page; each calls `staff` itself
    Route("/dictionaries/{name}/features/{index}", feature_page),
    Route("/dictionaries/{name}/features/{index}/groups/{group}", group_page),
)
