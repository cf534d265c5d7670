"""Search: features by the words or the meaning of their contexts, by their peak or output tokens, by one's own notes.

/search?q=…&by=text&dictionary=NAME&page=2. Without a dictionary each one shows its best few, side by side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.browse.listing import page_number, query_of
from app.browse.lookup import current_store, feature_url, find_dictionary
from app.browse.pieces import Row
from app.browse.rows import row
from app.errors import NotFound, Unavailable, Unprocessable
from app.render import render, whole
from app.security import client_of
from app.sessions import CurrentSession
from app.state import state
from app.store.features import Dictionary, Feature, FeatureStore
from app.store.records import Session
from app.store.search import (
    CONTEXTS,
    FoundContexts,
    contexts_like,
    contexts_with,
    features_by_output,
    features_by_peak,
    features_in,
)
from app.store.shelf import Shelf

router = APIRouter()

By = Literal["text", "token", "output", "notes", "meaning"]
WAYS: dict[By, str] = {
    "text": "Words in contexts",
    "token": "Peak token",
    "output": "Output token",
    "notes": "My notes",
    "meaning": "Meaning",
}
EACH = 5  # features of a dictionary where all are shown
PAGE_SIZE = 20  # of one by itself
NOTES = 500
NEAREST = 50  # contexts, by meaning: beyond some dozens they are near to nothing in particular
LONGEST = 200  # characters of a query that are looked at, and kept in the address
TURNED_OFF = (
    "Search by meaning needs a worker that embeds what you type: install `dartboard[embedder]`, run `dartboard embed` once, "
    "and start the server with `dartboard serve --live`."
)


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for; field names are the names in the address, and what is default is left out of it."""

    q: str = ""
    by: By = "text"
    dictionary: str | None = None
    page: int = 1

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Self:
        """Raises Unprocessable with the name of a bad value."""
        by, page = query.get("by") or "text", query.get("page") or "1"
        if by not in WAYS:
            raise Unprocessable(f"“by” in the address is {' or '.join(WAYS)}, not “{by[:40]}”.")
        known = next(one for one in get_args(By) if one == by)
        return cls(query.get("q", "").strip()[:LONGEST], known, query.get("dictionary") or None, page_number(page))

    def url(self, **changes: object) -> str:
        return "/search" + query_of(replace(self, **changes), Query())  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Hit:
    """A feature found: why (`words`), and the context that shows it, where there is one."""

    feature: Feature
    url: str
    words: str
    row: Row | None


@dataclass(frozen=True, slots=True)
class Group:
    """What one dictionary has; `first` to `last` of `total` are shown. `said`: about all of them."""

    dictionary: Dictionary
    total: int
    said: str
    hits: tuple[Hit, ...]
    first: int
    pages: int

    @property
    def last(self) -> int:
        return self.first + len(self.hits) - 1


@dataclass(frozen=True, slots=True)
class SearchPage:
    query: Query
    ways: dict[By, str]
    dictionaries: tuple[Dictionary, ...]
    groups: tuple[Group, ...]
    note: str  # one sentence on what was looked at, or why nothing was


@dataclass(frozen=True, slots=True)
class Candidate:
    """A feature that may be shown, and the context that shows it best (None: its strongest)."""

    feature: int
    words: str = ""
    context: int | None = None
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Candidates:
    """All of a dictionary's, best first: how many, what is said of them, and how to get some."""

    total: int
    said: str
    cut: Callable[[int, int], Sequence[Candidate]]


@dataclass(frozen=True, slots=True)
class Found:
    """`of`: by dictionary; `note`: one sentence."""

    of: Callable[[Dictionary], Candidates]
    note: str = ""


@router.get("/search")
def search_page(request: Request, session: CurrentSession) -> Response:
    store, query = current_store(request), Query.parse(request.query_params)
    dictionaries = tuple(store.dictionaries())
    chosen = (find_dictionary(store, query.dictionary),) if query.dictionary else dictionaries
    found = find(request, store, query, session)
    groups = [group(store, query, dictionary, found.of(dictionary)) for dictionary in chosen] if found else []
    shown = tuple(one for one in groups if one.total)
    note = found.note if found else ""
    if found and not shown and not note:
        note = (
            "Nothing found. Try fewer words, the beginning of one with an asterisk (walk*), or another way to search."
        )
    return render(request, "browse/search.html", SearchPage(query, WAYS, dictionaries, shown, note))


def find(request: Request, store: FeatureStore, query: Query, session: Session | None) -> Found | None:
    """What the query finds; None where nothing was asked."""
    if not query.q:
        return None
    match query.by:
        case "text":
            return by_words(store, query)
        case "token":
            return Found(lambda one: by_numbers(features_by_peak(store, one.id, query.q)))
        case "output":
            return Found(lambda one: by_output(store, one, query.q))
        case "notes":
            return by_notes(request, session, query.q)
        case "meaning":
            return by_meaning(request, store, query.q)


def by_words(store: FeatureStore, query: Query) -> Found:
    found = contexts_with(store, query.q)
    if not found.total:
        note = "" if any(char.isalnum() for char in query.q) else "Texts are searched by letters and digits; "
        note += "look for punctuation among the peak tokens." if note else ""
        return Found(lambda _: NOTHING, note)
    note = f"{whole(found.total)} context{'s' if found.total > 1 else ''} of the store match."
    if found.total > CONTEXTS:
        note = f"{whole(found.total)} contexts match; these are the features of the {CONTEXTS} that have the words most often."
    return Found(lambda one: in_contexts(store, one, found), note)


def by_meaning(request: Request, store: FeatureStore, typed: str) -> Found:
    live = state(request).live
    if live is None:
        return Found(lambda _: NOTHING, TURNED_OFF)
    state(request).live_limit.take(client_of(request))
    try:
        near = live.nearest(typed, NEAREST)
    except (NotFound, Unavailable) as error:  # it has no embeddings; it is starting, busy or broken
        return Found(lambda _: NOTHING, str(error))
    found = contexts_like([(one.context, one.cosine) for one in near])
    note = f"Features that fire in the {len(near)} contexts nearest in meaning, whatever their words."
    return Found(lambda one: in_contexts(store, one, found), note)


def in_contexts(store: FeatureStore, dictionary: Dictionary, found: FoundContexts) -> Candidates:
    ranked = features_in(store, dictionary.id, found)
    there = int(ranked.at.sum())

    def cut(first: int, last: int) -> list[Candidate]:
        return [
            Candidate(feature, "" if at or found.spots is None else "peaks beside the words", context, marked)
            for feature, context, at in zip(
                *(column[first:last].tolist() for column in (ranked.feature, ranked.context, ranked.at)), strict=True
            )
            for marked in [found.positions(context)]
        ]

    return Candidates(len(ranked), f"{whole(there)} on the words themselves" if found.spots is not None else "", cut)


def by_numbers(features: Sequence[int]) -> Candidates:
    return Candidates(len(features), "", lambda first, last: [Candidate(one) for one in features[first:last]])


def by_output(store: FeatureStore, dictionary: Dictionary, typed: str) -> Candidates:
    found = features_by_output(store, dictionary.id, typed)

    def cut(first: int, last: int) -> list[Candidate]:
        return [Candidate(one.feature, f"{one.side} “{one.token}”, number {one.place}") for one in found[first:last]]

    return Candidates(len(found), "", cut)


def by_notes(request: Request, session: Session | None, typed: str) -> Found:
    if session is None or session.role is None:
        return Found(
            lambda _: NOTHING, "Notes belong to whoever is logged in; log in with a link of `dartboard login`."
        )
    notes = Shelf(state(request).study).noted(session.name, typed, NOTES)

    def of(dictionary: Dictionary) -> Candidates:
        mine = [one for one in notes if one.place.dictionary == dictionary.name and one.place.feature < dictionary.m]
        return Candidates(
            len(mine), "", lambda first, last: [Candidate(one.place.feature, one.text) for one in mine[first:last]]
        )

    return Found(of)


NOTHING = Candidates(0, "", lambda *_: ())


@dataclass(frozen=True, slots=True)
class Part:
    """The candidates of one page; `first` is the rank of the first of them, from 1."""

    candidates: Sequence[Candidate]
    first: int
    page: int
    pages: int


def pages(found: Candidates, size: int = PAGE_SIZE) -> int:
    """How many pages a dictionary's candidates fill."""
    return max(-(-found.total // size), 1)


def cut(query: Query, found: Candidates, prefix: str = "") -> Part:
    """What the query's page shows of a dictionary; `prefix`: of its address. Raises NotFound for a page that there is not."""
    size = PAGE_SIZE if query.dictionary else EACH
    page, last = query.page if query.dictionary else 1, pages(found, size)
    if not 1 <= page <= last:
        nearest = prefix + query.url(page=last if page else 1)
        raise NotFound(f"There is no page {page} of this search; the last is {last}.", nearest=nearest)
    return Part(found.cut((page - 1) * size, page * size), (page - 1) * size + 1, page, last)


def group(store: FeatureStore, query: Query, dictionary: Dictionary, found: Candidates) -> Group:
    """The candidates of the query's page, with what is shown of them."""
    part = cut(query, found)
    hits = shown(store, dictionary, part.candidates)
    return Group(dictionary, found.total, found.said, hits, part.first, part.pages)


def shown(store: FeatureStore, dictionary: Dictionary, some: Sequence[Candidate]) -> tuple[Hit, ...]:
    features = store.some(dictionary.id, [one.feature for one in some])
    strongest = store.leading(dictionary.id, [one.feature for one in some if one.context is None])
    hits = {
        one.feature: store.hit_in(dictionary.id, one.feature, one.context) if one.context is not None else None
        for one in some
    } | strongest
    contexts = store.contexts(hit.context for hit in hits.values() if hit is not None)
    return tuple(
        Hit(
            features[one.feature],
            feature_url(dictionary, one.feature),
            one.words,
            row(features[one.feature], hit, contexts[hit.context], found=one.marked)
            if (hit := hits.get(one.feature)) is not None
            else None,
        )
        for one in some
        if one.feature in features
    )
