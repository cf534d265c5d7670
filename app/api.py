"""The JSON API over the feature store, under /api. Every answer has an ETag; a client that holds it gets a 304.

    /api/dictionaries                            all of them, and the sites that they read
    /api/dictionaries/{name}                     one, with its states and comparisons
    /api/dictionaries/{name}/features            a page of its features, filtered and sorted as the page for people is
    /api/dictionaries/{name}/features/{index}    one, with all its contexts and the features nearest to it
    /api/contexts/{number}                       one, with the features that fire in it
    /api/search                                  features by words, tokens, notes or meaning

A long answer comes in pages, each with the address of the `next`. app.api_docs describes all of it.
"""

import hashlib
import json
from dataclasses import asdict, fields
from typing import Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app import api_models as m
from app.api_parameters import LISTING, SEARCH
from app.browse.listing import Listing, feature_page
from app.browse.lookup import current_store, find_context, find_dictionary, find_feature, site_of
from app.browse.owner import owner_of
from app.browse.rows import GROUPS
from app.browse.scored import scores_beside
from app.browse.search import Candidates, Query, cut, find, pages
from app.sessions import CurrentSession, require_staff
from app.state import state
from app.store.features import Context, Dictionary, Feature, FeatureStore, RelationKind
from app.store.packing import Group, PackedHit
from app.store.search import features_of_context
from app.store.shelf import Shelf

PROBLEMS: dict[int | str, dict[str, Any]] = {
    304: {"description": "The client has it already; there is no body."},
    401: {"model": m.Problem, "description": "A login is needed."},
    403: {"model": m.Problem, "description": "Not open to this login."},
    404: {"model": m.Problem, "description": "There is no such thing; `nearest` is what there is."},
    422: {"model": m.Problem, "description": "A value in the address is out of range."},
    429: {"model": m.Problem, "description": "Too many requests; the sentence says when to come back."},
}

router = APIRouter(prefix="/api", tags=["features"], dependencies=[Depends(require_staff)], responses=PROBLEMS)


@router.get("/dictionaries", response_model=m.DictionaryList)
def list_dictionaries(request: Request) -> Response:
    """All dictionaries, and the sites that they read."""
    store = current_store(request)
    return answer(request, m.DictionaryList(store.sites(), store.dictionaries()))


@router.get("/dictionaries/{name}", response_model=m.DictionaryDetail)
def one_dictionary(request: Request, name: str) -> Response:
    """A dictionary with its site, its states, and what it finds in others."""
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    detail = m.DictionaryDetail(
        **{field.name: getattr(dictionary, field.name) for field in fields(Dictionary)},
        site=site_of(store, dictionary),
        states=store.states(dictionary.id),
        comparisons=comparisons(store, dictionary),
    )
    return answer(request, detail)


@router.get("/dictionaries/{name}/features", response_model=m.FeatureList, openapi_extra={"parameters": LISTING})
def list_features(request: Request, name: str) -> Response:
    """A page of a dictionary's features."""
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    listing = Listing.parse(request.query_params)
    owner = owner_of(request)
    page = feature_page(
        store,
        dictionary,
        listing,
        measures=scores_beside(store).titles,
        starred=Shelf(state(request).study).starred(owner, dictionary.name) if owner else None,
    )
    following = listing.query(page=listing.page + 1) if listing.page < page.pages else None
    known = store.some(dictionary.id, page.indices)
    found = m.FeatureList(
        total=page.total,
        page=listing.page,
        pages=page.pages,
        next=f"/api/dictionaries/{dictionary.name}/features{following}" if following else None,
        features=[m.FeatureRow(**m.figures(known[index])) for index in page.indices],
    )
    return answer(request, found)


@router.get("/dictionaries/{name}/features/{index}", response_model=m.FeatureDetail)
def one_feature(request: Request, name: str, index: str) -> Response:
    """A feature with all its contexts, the features nearest to it, and its machine scores."""
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    feature = find_feature(store, dictionary, index)
    near, scores = relations(store, feature), scores_beside(store).scores
    detail = m.FeatureDetail(
        **m.figures(feature),
        dictionary=dictionary.name,
        neighbour=near["neighbour"],
        cofiring=near["cofiring"],
        groups={group: hits(store, feature, group) for group in GROUPS},
        scores=list(scores.of(dictionary.id, feature.index)) if scores else [],
        explanation=scores.explanation(dictionary.id, feature.index) if scores else None,
    )
    return answer(request, detail)


@router.get("/contexts/{number}", response_model=m.ContextDetail)
def one_context(request: Request, number: str) -> Response:
    """A context of the store, with the features that have a hit in it."""
    store = current_store(request)
    context = find_context(store, number)
    found = {
        dictionary.name: features_of_context(store, dictionary.id, context.id)
        for dictionary in store.dictionaries()
        if dictionary.site_id == context.site_id
    }
    detail = m.ContextDetail(
        context.id, context.site_id, context.document, context.held_out, context.tokens, context.masked, found
    )
    return answer(request, detail)


@router.get("/search", response_model=m.SearchAnswer, openapi_extra={"parameters": SEARCH})
def search(request: Request, session: CurrentSession) -> Response:
    """Features by words, tokens, notes or meaning: the best few of each dictionary, or a page of one."""
    store, query = current_store(request), Query.parse(request.query_params)
    found = find(request, store, query, session)
    chosen = [find_dictionary(store, query.dictionary)] if query.dictionary else store.dictionaries()
    groups = [search_group(store, query, dictionary, found.of(dictionary)) for dictionary in chosen if found]
    note = found.note if found else "Say what to search for in “q”."
    return answer(request, m.SearchAnswer(query.q, query.by, note, groups))


def search_group(store: FeatureStore, query: Query, dictionary: Dictionary, found: Candidates) -> m.SearchGroup:
    part = cut(query, found, "/api")
    features = store.some(dictionary.id, [one.feature for one in part.candidates])
    beyond = query.url(dictionary=dictionary.name, page=part.page + 1 if query.dictionary else 1)
    more = part.page < part.pages
    return m.SearchGroup(
        dictionary.name,
        found.total,
        part.page,
        pages(found),
        f"/api{beyond}" if more else None,
        [
            m.SearchHit(one.feature, mine.top_token, mine.state, one.words, one.context, sorted(one.marked))
            for one in part.candidates
            if (mine := features.get(one.feature))
        ],
    )


def comparisons(store: FeatureStore, dictionary: Dictionary) -> dict[str, m.Compared]:
    """By name of the other dictionary."""
    names = {other.id: other.name for other in store.dictionaries()}
    return {
        names[one.other_id]: m.Compared(one.mmcs, one.curves)
        for one in store.comparisons()
        if one.dictionary_id == dictionary.id
    }


def relations(store: FeatureStore, feature: Feature) -> dict[RelationKind, dict[str, m.Pairs]]:
    """By kind, and by name of the dictionary that the related features are of."""
    names = {other.id: other.name for other in store.dictionaries()}
    found: dict[RelationKind, dict[str, m.Pairs]] = {"neighbour": {}, "cofiring": {}}
    for relation in store.relations(feature.dictionary_id, feature.index):
        found[relation.kind][names[relation.other_id]] = list(relation.features)
    return found


def hits(store: FeatureStore, feature: Feature, group: Group) -> list[m.HitDetail]:
    found = store.hits(feature.dictionary_id, feature.index, group)
    contexts = store.contexts(hit.context for hit in found)
    return [hit_detail(hit, contexts[hit.context]) for hit in found]


def hit_detail(hit: PackedHit, context: Context) -> m.HitDetail:
    return m.HitDetail(
        context=context.id,
        document=context.document,
        held_out=context.held_out,
        peak=hit.peak,
        value=hit.value,
        tokens=context.tokens,
        activations=list(zip(hit.positions, hit.values, strict=True)),
    )


def answer(request: Request, content: Any) -> Response:
    """A dataclass as JSON."""
    return answer_json(request, asdict(content))


def answer_json(request: Request, content: dict[str, Any]) -> Response:
    """The content as JSON, or an empty 304 where the client's If-None-Match names what it would get."""
    # ASCII only, so that a lone surrogate in a token travels as an escape.
    body = json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag_matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def etag_matches(header: str, etag: str) -> bool:
    """Weak comparison of RFC 9110: a list of tags, or an asterisk for whatever there is."""
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return etag in tags or "*" in tags
