"""What one dictionary has and others lack: its live features by the cosine of their nearest direction in the others."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from app.browse.charts import Chart, bars, counted
from app.browse.compare import Selection, select
from app.browse.kept import figures, kept
from app.browse.lookup import current_store, find_dictionary
from app.browse.neighbours import random_beside
from app.browse.thumbs import Thumb, thumbs
from app.render import percent, render
from app.store.features import Dictionary, Feature, FeatureStore, Nearest

router = APIRouter()

BINS = 20  # of the cosine, from 0 to 1
SHOWN = 8  # features of each list
CLOSE = (0.9, 0.7, 0.5)


@dataclass(frozen=True, slots=True)
class Lone:
    """A feature and the largest cosine with any feature of the others; `url` compares it with those nearest to it."""

    feature: Feature
    cosine: float
    thumb: Thumb | None
    url: str


@dataclass(frozen=True, slots=True)
class Lacking:
    """One dictionary against the others. `shares`: of its live features, by how near the others come."""

    dictionary: Dictionary
    chart: Chart
    median: float
    shares: tuple[tuple[float, float], ...]
    random: (
        tuple[Dictionary, float] | None
    )  # an untrained dictionary that is not among the others, and the median there
    alone: tuple[Lone, ...]  # least found in the others
    shared: tuple[Lone, ...]  # most


@dataclass(frozen=True, slots=True)
class LackingPage:
    selection: Selection
    dictionaries: tuple[Dictionary, ...]
    found: tuple[Lacking, ...]  # of those whose directions the build compared


@router.get("/compare/lacking")
def lacking_page(request: Request) -> Response:
    store = current_store(request)
    selection = select(request.query_params, tuple(store.dictionaries()))
    chosen = tuple(find_dictionary(store, name) for name in dict.fromkeys(selection.names))
    found = tuple(one for dictionary in chosen if (one := lacking(store, dictionary, chosen)))
    return render(request, "browse/lacking.html", LackingPage(selection, chosen, found))


def lacking(store: FeatureStore, dictionary: Dictionary, chosen: tuple[Dictionary, ...]) -> Lacking | None:
    """What the others of `chosen` lack of a dictionary; None where it was compared with none, or has no live feature."""
    others = [one for one in chosen if one != dictionary]
    columns = [cosines(store, dictionary, one) for one in others]
    best = np.max([column for column in columns if column is not None], axis=0, initial=-2.0)
    live = np.flatnonzero(figures(store, dictionary.id).live)
    live = live[best[live] > -2] if np.ndim(best) else live[:0]
    if not len(live):
        return None
    values = best[live]
    order = live[np.argsort(values, kind="stable")]
    random = random_beside(store, dictionary)
    beside = cosines(store, dictionary, random) if random and random not in chosen else None
    return Lacking(
        dictionary,
        cosine_chart(values),
        float(np.median(values)),
        tuple((bound, float((values >= bound).mean())) for bound in CLOSE),
        (random, float(np.median(beside[live]))) if random and beside is not None else None,
        listed(store, dictionary, others, best, order[:SHOWN]),
        listed(store, dictionary, others, best, order[::-1][:SHOWN]),
    )


def cosines(store: FeatureStore, dictionary: Dictionary, other: Dictionary) -> NDArray[np.float64] | None:
    """By feature, the largest cosine with one of the other's; −2 where there is none. None where the two were not compared."""
    found: Nearest = kept(store, ("nearest", dictionary.id, other.id), lambda: store.nearest(dictionary.id, other.id))
    if not len(found.feature):
        return None
    column = np.full(dictionary.m, -2.0)
    column[found.feature] = found.cosine
    return column


def cosine_chart(values: NDArray[np.float64]) -> Chart:
    edges = np.linspace(0, 1, BINS + 1)
    counts: list[int] = np.histogram(np.clip(values, 0, 1), edges)[0].tolist()
    labels = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
    return Chart(
        bars(counts, labels, "feature"),
        ("0", "0.5", "1"),
        f"Histogram of the cosine with the nearest feature of the others: {counted(len(values), 'live feature')}, "
        f"median {np.median(values):.2f}, {percent(float((values >= 0.7).mean()))} at 0.7 or above.",
    )


def listed(
    store: FeatureStore,
    dictionary: Dictionary,
    others: list[Dictionary],
    best: NDArray[np.float64],
    indices: NDArray[np.int64],
) -> tuple[Lone, ...]:
    known = store.some(dictionary.id, indices.tolist())
    looks = thumbs(store, dictionary.id, known.values())
    names = (dictionary.name, *(one.name for one in others))
    return tuple(
        Lone(
            known[index],
            float(best[index]),
            looks.get(index),
            Selection(names, "nearest").url(at=0) + f"&feature={index}",
        )
        for index in indices.tolist()
    )
