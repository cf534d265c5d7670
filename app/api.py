"""A small JSON API over the feature store, under /api. Every answer has an ETag; a client that holds it gets a 304.

Under /api/dictionaries: the list; `/{name}` one dictionary; `/{name}/features` a page of its features, filtered and
sorted by the same query as the page for people; `/{name}/features/{index}` one feature with all its contexts, and the
features nearest to it as [number, cosine or Jaccard index], by dictionary. docs/measures.md says what each figure is.
"""

import hashlib
import json
from dataclasses import asdict
from typing import Any, get_args

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.browse.listing import Listing, feature_page
from app.browse.lookup import current_store, find_dictionary, find_feature, site_of
from app.browse.rows import GROUPS
from app.sessions import require_staff
from app.store.features import Context, Dictionary, Feature, FeatureStore, RelationKind
from app.store.packing import Group, PackedHit

router = APIRouter(prefix="/api", dependencies=[Depends(require_staff)])


@router.get("/dictionaries")
def list_dictionaries(request: Request) -> Response:
    store = current_store(request)
    return answer(
        request,
        {
            "sites": [asdict(site) for site in store.sites()],
            "dictionaries": [asdict(dictionary) for dictionary in store.dictionaries()],
        },
    )


@router.get("/dictionaries/{name}")
def one_dictionary(request: Request, name: str) -> Response:
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    return answer(
        request,
        asdict(dictionary)
        | {
            "site": asdict(site_of(store, dictionary)),
            "states": store.states(dictionary.id),
            "comparisons": comparisons_json(store, dictionary),
        },
    )


@router.get("/dictionaries/{name}/features")
def list_features(request: Request, name: str) -> Response:
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    listing = Listing.parse(request.query_params)
    page = feature_page(store, dictionary, listing)
    following = listing.query(page=listing.page + 1) if listing.page < page.pages else None
    return answer(
        request,
        {
            "total": page.total,
            "page": listing.page,
            "pages": page.pages,
            "next": f"/api/dictionaries/{dictionary.name}/features{following}" if following else None,
            "features": [feature_json(feature) for feature in page.features],
        },
    )


@router.get("/dictionaries/{name}/features/{index}")
def one_feature(request: Request, name: str, index: str) -> Response:
    store = current_store(request)
    dictionary = find_dictionary(store, name)
    feature = find_feature(store, dictionary, index)
    groups = {group: group_json(store, feature, group) for group in GROUPS}
    near = relations_json(store, feature)
    return answer(request, {"dictionary": dictionary.name, **feature_json(feature), **near, "groups": groups})


def feature_json(feature: Feature) -> dict[str, Any]:
    return {name: value for name, value in asdict(feature).items() if name != "dictionary_id"}


def comparisons_json(store: FeatureStore, dictionary: Dictionary) -> dict[str, dict[str, Any]]:
    """By name of the other dictionary."""
    names = {other.id: other.name for other in store.dictionaries()}
    return {
        names[one.other_id]: {"mmcs": one.mmcs, "curves": one.curves}
        for one in store.comparisons()
        if one.dictionary_id == dictionary.id
    }


def relations_json(store: FeatureStore, feature: Feature) -> dict[str, Any]:
    """By kind, and by name of the dictionary that the related features are of."""
    names = {other.id: other.name for other in store.dictionaries()}
    found: dict[str, Any] = {kind: {} for kind in get_args(RelationKind)}
    for relation in store.relations(feature.dictionary_id, feature.index):
        found[relation.kind][names[relation.other_id]] = [(one.feature, one.value) for one in relation.features]
    return found


def group_json(store: FeatureStore, feature: Feature, group: Group) -> list[dict[str, Any]]:
    hits = store.hits(feature.dictionary_id, feature.index, group)
    contexts = store.contexts(hit.context for hit in hits)
    return [hit_json(hit, contexts[hit.context]) for hit in hits]


def hit_json(hit: PackedHit, context: Context) -> dict[str, Any]:
    """One context; `activations` are [position, value] of each token that fires, `peak` the position of the largest."""
    return {
        "context": context.id,
        "document": context.document,
        "held_out": context.held_out,
        "peak": hit.peak,
        "value": hit.value,
        "tokens": context.tokens,
        "activations": [list(pair) for pair in zip(hit.positions, hit.values, strict=True)],
    }


def answer(request: Request, content: dict[str, Any]) -> Response:
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
