"""Two dictionaries side by side, one live feature of each, matched by rank, by frequency or by a seeded draw."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.browse.charts import Chart, activation_chart
from app.browse.lookup import current_store, find_dictionary, random_feature
from app.browse.rows import Row, rows
from app.errors import NotFound, Unprocessable
from app.render import render
from app.store.features import Dictionary, Feature, FeatureFilter, FeatureStore

router = APIRouter()

Match = Literal["rank", "frequency", "random"]
MATCHES: dict[Match, str] = {
    "rank": "Rank",
    "frequency": "Frequency",
    "random": "Random draw",
}
CONTEXTS = 12
LIVE = FeatureFilter(state="live")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is compared, as the address says it. `at`: which pair, from 0; `seed` only matters to random pairs."""

    left: str
    right: str
    by: Match = "rank"
    at: int = 0
    seed: int = 0

    def url(self, *, at: int) -> str:
        values = replace(self, at=at)
        query = {"left": values.left, "right": values.right, "by": values.by, "at": values.at}
        return "/compare?" + urlencode(query | ({"seed": self.seed} if self.by == "random" else {}))

    @property
    def swapped(self) -> str:
        """The address with the sides exchanged; ranks by frequency start over, since the other side counts them."""
        return replace(self, left=self.right, right=self.left).url(at=0 if self.by == "frequency" else self.at)


@dataclass(frozen=True, slots=True)
class Side:
    """One half of the page; no feature where the dictionary has no live one to match."""

    dictionary: Dictionary
    feature: Feature | None
    chart: Chart | None
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ComparePage:
    dictionaries: tuple[Dictionary, ...]
    matches: dict[Match, str]
    selection: Selection
    pairs: int | None  # how many there are to step through; None where draws never end
    sides: tuple[Side, Side]
    same_site: bool


@router.get("/compare")
def compare_page(request: Request) -> Response:
    store = current_store(request)
    dictionaries = tuple(store.dictionaries())
    selection = select(request.query_params, dictionaries)
    left, right = (find_dictionary(store, name) for name in (selection.left, selection.right))
    pairs = count_pairs(store, selection, left, right)
    if pairs is not None and selection.at >= max(pairs, 1):
        raise NotFound(
            f"There is no pair {selection.at + 1}; the last is {max(pairs, 1)}.",
            nearest=selection.url(at=max(pairs - 1, 0)),
        )
    sides = tuple(
        Side(
            dictionary,
            feature,
            activation_chart(feature) if feature else None,
            rows(store, feature, "top", CONTEXTS) if feature else (),
        )
        for dictionary, feature in zip((left, right), match(store, selection, left, right), strict=True)
    )
    context = ComparePage(
        dictionaries=dictionaries,
        matches=MATCHES,
        selection=selection,
        pairs=pairs,
        sides=(sides[0], sides[1]),
        same_site=left.site_id == right.site_id,
    )
    return render(request, "browse/compare.html", context)


def select(query: Mapping[str, str], dictionaries: tuple[Dictionary, ...]) -> Selection:
    """Read the address; by default the first untrained dictionary beside a trained one, and never one beside itself.

    Raises Unprocessable with the name of a bad value.
    """
    left = query.get("left") or next((d.name for d in dictionaries if not d.trained), dictionaries[0].name)
    others = [d for d in dictionaries if d.name != left] or list(dictionaries)
    right = query.get("right") or next((d.name for d in others if d.trained), others[0].name)
    by = query.get("by") or "rank"
    if by not in MATCHES:
        raise Unprocessable(f"“by” in the address is {' or '.join(MATCHES)}, not “{by[:40]}”.")
    return Selection(
        left,
        right,
        next(known for known in MATCHES if known == by),
        natural("at", query.get("at") or "0"),
        natural("seed", query.get("seed") or "0"),
    )


def natural(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Unprocessable(f"“{name}” in the address is a whole number from 0, not “{text[:40]}”.")
    return int(text)


def count_pairs(store: FeatureStore, selection: Selection, left: Dictionary, right: Dictionary) -> int | None:
    if selection.by == "random":
        return None
    lefts, rights = store.count(left.id, LIVE), store.count(right.id, LIVE)
    return min(lefts, rights) if selection.by == "rank" else lefts


def match(
    store: FeatureStore, selection: Selection, left: Dictionary, right: Dictionary
) -> tuple[Feature | None, Feature | None]:
    """The two features of a pair: by rank, both; by frequency, the right one follows the left one's rank."""
    if selection.by == "random":
        draw = f"{selection.seed} {selection.at}"
        return (
            random_feature(store, left, f"{draw} left {left.name}"),
            random_feature(store, right, f"{draw} right {right.name}"),
        )
    feature = ranked(store, left, selection.at)
    if selection.by == "rank" or feature is None:
        return feature, ranked(store, right, selection.at)
    return feature, nearest(store, right, feature.frequency)


def ranked(store: FeatureStore, dictionary: Dictionary, rank: int) -> Feature | None:
    """The live feature of that rank, from 0 for the one that fires most often."""
    found = store.features(dictionary.id, where=LIVE, sort="frequency", descending=True, limit=1, offset=rank)
    return found[0] if found else None


def nearest(store: FeatureStore, dictionary: Dictionary, frequency: float) -> Feature | None:
    """The live feature whose frequency is nearest; of two as near, the one that fires more often."""
    above = FeatureFilter(state="live", min_frequency=frequency)
    below = FeatureFilter(state="live", max_frequency=frequency)
    candidates = [
        *store.features(dictionary.id, where=above, sort="frequency", limit=1),
        *store.features(dictionary.id, where=below, sort="frequency", descending=True, limit=1),
    ]
    return min(candidates, key=lambda feature: abs(feature.frequency - frequency), default=None)
