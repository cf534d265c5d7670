"""A feature: figures, histograms, contexts, output tokens, what is near it, scores, ratings, and what its reader keeps of it.

What everybody sees is made once a feature (app.browse.feature_body). The fifths of its range, random contexts, its negative
tail and what it fires on in a second text load as the reader gets to them.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.browse.feature_body import feature_html
from app.browse.kept import kept
from app.browse.listing import natural
from app.browse.lookup import current_store, feature_url, find_dictionary, find_feature, find_scale
from app.browse.markdown import feature_markdown
from app.browse.memory import remembered
from app.browse.owner import owner_name
from app.browse.pieces import Row
from app.browse.ratings import rating_part
from app.browse.rows import FIFTHS, GROUPS, Look, random_rows, rows, shown_above
from app.browse.scored import Beside, score_part, scores_beside
from app.browse.shelved import shelved_part
from app.errors import NotFound, Unprocessable
from app.memo import memo
from app.render import figure, mould, wants_fragment
from app.sessions import staff
from app.state import state
from app.store.features import Dictionary, FeatureScale, FeatureStore
from app.store.packing import Group

router = APIRouter(prefix="/dictionaries/{name}/features/{index}")
RANDOM = "Random contexts"
NUMBERS = ("", "yes")


@dataclass(frozen=True, slots=True)
class GroupCase:
    """All that the layout of a group's page follows from; what else differs stands in its slots."""

    dictionary: Dictionary
    title: str
    empty: bool
    random: bool


async def feature_page(request: Request) -> Response:
    """The page as it was made before, unless its reader, the feature store or the study store has changed since."""
    session = await staff(request)
    known, store = memo(state(request).study), current_store(request)
    who, beside = owner_name(session), scores_beside(store)
    if not known.fast:
        return html(await run_in_threadpool(made_page, request, store, who, beside))
    key = ("page", known.version, beside.stamp, who, request.scope["path"], request.scope["query_string"])
    (body,) = remembered(store, key, lambda: (made_page(request, store, who, beside),))
    return html(body)


def made_page(request: Request, store: FeatureStore, owner: str | None, beside: Beside) -> bytes:
    study = state(request).study
    dictionary = find_dictionary(store, request.path_params["name"])
    feature = find_feature(store, dictionary, request.path_params["index"])
    starred, shelved = shelved_part(study, owner, dictionary, feature.index)
    return feature_html(
        store,
        dictionary,
        feature,
        numbers=wants_numbers(request),
        starred=starred,
        parts={
            "kept": shelved,
            "ratings": rating_part(study, store, dictionary, feature),
            "scores": score_part(beside, feature),
        },
    )


async def group_page(request: Request) -> Response:
    await staff(request)
    key = ("group", wants_fragment(request), request.scope["path"], request.scope["query_string"])
    store = current_store(request)
    (body,) = remembered(store, key, lambda: (made_group(request, store),))
    return html(body)


def html(body: bytes) -> Response:
    return Response(body, headers={"Vary": "HX-Request"}, media_type="text/html")


def made_group(request: Request, store: FeatureStore) -> bytes:
    """`from` and `seed` in the address: the first context of the top ones to show, and which random ones."""
    group = request.path_params["group"]
    dictionary = find_dictionary(store, request.path_params["name"])
    feature = find_scale(store, dictionary, request.path_params["index"])
    numbers = wants_numbers(request)
    texts: dict[str, object] = {"index": feature.index, "scale": figure(feature.max), "again": ""}
    if group == "random":
        seed = natural("seed", request.query_params.get("seed") or "0")
        texts["again"] = urlencode({"seed": seed + 1} | ({"numbers": "yes"} if numbers else {}))
        found, title = random_rows(store, feature, seed, Look(numbers, shown_above(store, feature))), RANDOM
    elif group in GROUPS:
        found, title = group_rows(request, store, feature, group, numbers), GROUPS[group]
        if group == "bottom":
            texts["scale"] = figure(feature.min or 0.0)
    else:
        raise NotFound(
            f"There is no group “{group[:20]}”; the groups are {', '.join(GROUPS)}, random.",
            nearest=feature_url(dictionary, feature.index),
        )
    texts["rows"] = "".join([row.text for row in found]).encode()
    case = GroupCase(dictionary, title, not found, group == "random")
    block = "fragment" if wants_fragment(request) else None
    return kept(store, (case, block), lambda: mould("browse/group.html", case, block)).fill(texts)


def group_rows(
    request: Request, store: FeatureStore, feature: FeatureScale, group: Group, numbers: bool
) -> tuple[Row, ...]:
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
    given = request.query_params.get("numbers", "") if request.scope["query_string"] else ""
    if given not in NUMBERS:
        raise Unprocessable(f"“numbers” in the address is yes, or is left out, not “{given[:40]}”.")
    return given == "yes"


ROUTES = (  # outside FastAPI's, whose dependencies take longer than the page; each calls `staff` itself
    Route("/dictionaries/{name}/features/{index}", feature_page),
    Route("/dictionaries/{name}/features/{index}/groups/{group}", group_page),
)
