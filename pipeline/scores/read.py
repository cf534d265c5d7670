"""The scored features of a store as arrays, with what the store says of them: for tables over whole dictionaries."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from app.errors import NotFound
from app.store import feature_schema as f
from app.store.features import Dictionary, FeatureStore
from app.store.scores import FILE, Measure, Scores

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoredDictionary:
    """A dictionary and its scored features, by index: `value[measure][feature]`, `null[measure][feature]`, NaN for none."""

    name: str
    title: str
    family: str
    kind: str
    trained: bool
    site: str
    width: int  # of an activation: n
    m: int
    k: int | None
    seed: int
    fve: float | None
    states: dict[str, int]
    index: NDArray[np.int64]
    frequency: Values
    single_token: NDArray[np.bool_]
    value: dict[str, Values]
    null: dict[str, Values]


@dataclass(frozen=True, slots=True)
class Scored:
    """A whole store's; `record` and `scores`: the provenance of features and scores."""

    dictionaries: tuple[ScoredDictionary, ...]
    measures: tuple[Measure, ...]
    tokens: dict[str, tuple[int, int]]  # by site, of either text
    record: dict[str, Any]
    scores: dict[str, Any]


def read_scored(path: Path) -> Scored:
    """Of the store at `path`. Raises NotFound, UserError where it, or its scores, are not there."""
    store = FeatureStore(path)
    try:
        scores = Scores.beside(store)
        if scores is None:
            raise NotFound(f"There are no scores at {path.with_name(FILE)}; make them with `dartboard scores`.")
        try:
            sites = {site.id: site for site in store.sites()}
            return Scored(
                tuple(_read(store, scores, one, sites[one.site_id]) for one in store.dictionaries()),
                scores.measures(),
                {site.name: (site.tokens, site.second_tokens or 0) for site in sites.values()},
                store.provenance(),
                scores.provenance(),
            )
        finally:
            scores.close()
    finally:
        store.close()


def _read(store: FeatureStore, scores: Scores, one: Dictionary, site: Any) -> ScoredDictionary:
    found = scores.some(one.id)
    index = np.array(sorted(found), np.int64)
    c = f.feature.c
    query = select(c.index, c.frequency, c.single_token).where(c.dictionary_id == one.id).order_by(c.index)
    with store.engine.connect() as connection:
        facts = {feature: rest for feature, *rest in connection.execute(query) if feature in found}
    value: dict[str, Values] = {}
    null: dict[str, Values] = {}
    for place, feature in enumerate(index.tolist()):
        for score in found[feature]:
            for columns, number in ((value, score.value), (null, score.null)):
                if score.measure not in columns:
                    columns[score.measure] = np.full(len(index), np.nan)
                columns[score.measure][place] = np.nan if number is None else number
    return ScoredDictionary(
        name=one.name,
        title=one.title,
        family=one.family,
        kind=one.kind,
        trained=one.trained,
        site=site.name,
        width=site.d,
        m=one.m,
        k=one.k,
        seed=one.seed,
        fve=one.fve,
        states=store.states(one.id),
        index=index,
        frequency=np.array([facts[feature][0] for feature in index.tolist()], np.float64),
        single_token=np.array([facts[feature][1] for feature in index.tolist()], bool),
        value=value,
        null=null,
    )
