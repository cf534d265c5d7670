"""Two to four dictionaries side by side, one feature of each: matched by direction, by frequency, by rank, or drawn at random.

The first dictionary leads: the features of the others follow from its own. Below stand the same texts under all of them.
"""

from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlencode

import numpy as np
from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.browse.charts import Chart, activation_chart
from app.browse.kept import figures
from app.browse.listing import natural
from app.browse.lookup import current_store, feature_url, find_dictionary, find_feature, random_feature
from app.browse.pieces import Row
from app.browse.rows import rows
from app.browse.texts import SharedText, shared_texts
from app.errors import NotFound, Unprocessable
from app.render import render
from app.store.features import Dictionary, Feature, FeatureFilter, FeatureStore

router = APIRouter()

Match = Literal["nearest", "frequency", "rank", "random"]
MATCHES: dict[Match, str] = {
    "nearest": "Nearest decoder row",
    "frequency": "Frequency",
    "rank": "Rank by frequency",
    "random": "Random draw",
}
FEWEST, MOST = 2, 4  # dictionaries beside one another
CONTEXTS = {2: 12, 3: 10, 4: 8}  # of each feature, by number of dictionaries
LIVE = FeatureFilter(state="live")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is compared, as the address says it. `at`: which match, from 0; `seed` only matters to random ones."""

    names: tuple[str, ...]
    by: Match = "rank"
    at: int = 0
    seed: int = 0

    def url(self, *, at: int, page: str = "/compare") -> str:
        query: list[tuple[str, str | int]] = [*(("d", name) for name in self.names), ("by", self.by), ("at", at)]
        return f"{page}?" + urlencode(query + ([("seed", self.seed)] if self.by == "random" else []))

    @property
    def turned(self) -> str:
        """The address with the second dictionary first; what the first one's ranks led to starts over."""
        turned = replace(self, names=(*self.names[1:], self.names[0]))
        return turned.url(at=0 if self.by in ("frequency", "nearest") else self.at)

    @property
    def lacking(self) -> str:
        """The address of what each of the dictionaries has and the others lack."""
        return "/compare/lacking?" + urlencode([("d", name) for name in self.names])

    @property
    def fewer(self) -> dict[str, str]:
        """By name, the address without that dictionary; empty where no fewer can be compared."""
        if len(self.names) <= FEWEST:
            return {}
        return {
            name: replace(self, names=tuple(other for other in self.names if other != name)).url(at=0)
            for name in self.names
        }


@dataclass(frozen=True, slots=True)
class Matched:
    """A feature, and the cosine of its decoder row with the first dictionary's where that is how it was found."""

    feature: Feature | None
    cosine: float | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One column of the page; no feature where the dictionary has none to match."""

    dictionary: Dictionary
    feature: Feature | None
    cosine: float | None
    chart: Chart | None
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ComparePage:
    dictionaries: tuple[Dictionary, ...]
    matches: dict[Match, str]
    selection: Selection
    chosen: tuple[str, ...]  # names in the form: those that are compared, then empty ones
    matched: int | None  # how many there are to step through; None where draws never end
    sides: tuple[Side, ...]
    same_site: bool
    texts: tuple[SharedText, ...]


@router.get("/compare")
def compare_page(request: Request) -> Response:
    store = current_store(request)
    known = tuple(store.dictionaries())
    query = request.query_params
    selection = select(query, known)
    chosen = [find_dictionary(store, name) for name in selection.names]
    if query.get("feature"):
        selection = replace(selection, at=rank_of(store, chosen[0], query["feature"]))
    canonical = selection.url(at=selection.at)
    if query and (set(query) - {"d", "by", "at", "seed"} or "" in query.values()):
        return RedirectResponse(canonical, 303)
    total = count_matches(store, selection, chosen)
    if total is not None and selection.at >= max(total, 1):
        raise NotFound(
            f"There is no match {selection.at + 1}; the last is {max(total, 1)}.",
            nearest=selection.url(at=max(total - 1, 0)),
        )
    matched = match(store, selection, chosen)
    sides = tuple(side(store, one, found, CONTEXTS[len(chosen)]) for one, found in zip(chosen, matched, strict=True))
    context = ComparePage(
        dictionaries=known,
        matches=MATCHES,
        selection=selection,
        chosen=(*selection.names, *[""] * (min(MOST, len(known)) - len(selection.names))),
        matched=total,
        sides=sides,
        same_site=len({one.site_id for one in chosen}) == 1,
        texts=shared_texts(store, [one.feature for one in sides]),
    )
    return render(request, "browse/compare.html", context)


def side(store: FeatureStore, dictionary: Dictionary, matched: Matched, contexts: int) -> Side:
    feature = matched.feature
    return Side(
        dictionary,
        feature,
        matched.cosine,
        activation_chart(feature) if feature else None,
        rows(store, feature, "top", contexts) if feature else (),
    )


def select(query: QueryParams, known: tuple[Dictionary, ...]) -> Selection:
    """Read the address; by default the first untrained dictionary beside a trained one, and never one beside itself.

    Raises Unprocessable with the name of a bad value.
    """
    names = [name for name in query.getlist("d") if name]
    names = names or [name for key in ("left", "right") if (name := query.get(key))]
    if len(names) > MOST:
        raise Unprocessable(
            f"{len(names)} dictionaries do not fit beside one another; name {FEWEST} to {MOST} of them."
        )
    for trained in (False, True):
        if len(names) < FEWEST:
            others = [one for one in known if one.name not in names] or list(known)
            names.append(next((one.name for one in others if one.trained is trained), others[0].name))
    by = query.get("by") or "rank"
    if by not in MATCHES:
        raise Unprocessable(f"“by” in the address is {' or '.join(MATCHES)}, not “{by[:40]}”.")
    return Selection(
        tuple(names),
        next(one for one in MATCHES if one == by),
        natural("at", query.get("at") or "0"),
        natural("seed", query.get("seed") or "0"),
    )


def rank_of(store: FeatureStore, dictionary: Dictionary, index: str) -> int:
    """The rank of a feature among the live ones, from 0. Raises NotFound where it is none of them."""
    feature = find_feature(store, dictionary, index)
    if feature.state != "live":
        raise NotFound(
            f"Feature {feature.index} of {dictionary.name} has too few contexts to compare; live features are matched alone.",
            nearest=feature_url(dictionary, feature.index),
        )
    columns = figures(store, dictionary.id)
    numbers = np.arange(len(columns.frequency))
    as_often = (columns.frequency == feature.frequency) & (numbers > feature.index)
    return int((columns.live & ((columns.frequency > feature.frequency) | as_often)).sum())


def count_matches(store: FeatureStore, selection: Selection, chosen: list[Dictionary]) -> int | None:
    if selection.by == "random":
        return None
    if selection.by == "rank":
        return min(store.count(one.id, LIVE) for one in chosen)
    return store.count(chosen[0].id, LIVE)


def match(store: FeatureStore, selection: Selection, chosen: list[Dictionary]) -> list[Matched]:
    """The feature of each dictionary: by rank and at random, each by itself; else the others follow the first one."""
    if selection.by == "random":
        return [
            Matched(random_feature(store, one, f"{selection.seed} {selection.at} {place} {one.name}"))
            for place, one in enumerate(chosen)
        ]
    first = ranked(store, chosen[0], selection.at)
    if selection.by == "rank":
        return [Matched(first), *(Matched(ranked(store, one, selection.at)) for one in chosen[1:])]
    if first is None:
        return [Matched(None) for _ in chosen]
    if selection.by == "frequency":
        return [Matched(first), *(Matched(as_frequent(store, one, first.frequency)) for one in chosen[1:])]
    near = {
        relation.other_id: relation.features[0]
        for relation in store.relations(first.dictionary_id, first.index)
        if relation.kind == "neighbour" and relation.features
    }
    return [
        Matched(first),
        *(
            Matched(store.feature(one, near[one.id][0]), near[one.id][1]) if one.id in near else Matched(None)
            for one in chosen[1:]
        ),
    ]


def ranked(store: FeatureStore, dictionary: Dictionary, rank: int) -> Feature | None:
    """The live feature of that rank, from 0 for the one that fires most often."""
    found = store.features(dictionary.id, where=LIVE, sort="frequency", descending=True, limit=1, offset=rank)
    return found[0] if found else None


def as_frequent(store: FeatureStore, dictionary: Dictionary, frequency: float) -> Feature | None:
    """The live feature whose frequency is nearest; of two as near, the one that fires more often."""
    above = FeatureFilter(state="live", min_frequency=frequency)
    below = FeatureFilter(state="live", max_frequency=frequency)
    candidates = [
        *store.features(dictionary.id, where=above, sort="frequency", limit=1),
        *store.features(dictionary.id, where=below, sort="frequency", descending=True, limit=1),
    ]
    return min(candidates, key=lambda feature: abs(feature.frequency - frequency), default=None)
