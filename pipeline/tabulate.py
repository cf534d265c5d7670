"""Make the tables of a site: independent tasks, each of which leaves its result on disk as soon as it is done.

None of them depends on how many tokens were read. They are done on the computer that the build was started on.
"""

import functools
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from pipeline import cofiring, floors, logits
from pipeline.config import ModelConfig, TablesConfig
from pipeline.dictionaries import Codes, Dictionary
from pipeline.engines import Shared
from pipeline.engines.local import Local
from pipeline.files import whole
from pipeline.finish import DictionaryFolder, Judged
from pipeline.geometry import Directions, compare, compare_both
from pipeline.hashing import derive
from pipeline.model import OutputHead, find_blocks, load_whole_model, output_head
from pipeline.passes import Parts
from pipeline.splice import reconstructions, splice_scores
from pipeline.tables import Comparison, Outputs, Related, Tables


@dataclass(frozen=True, slots=True)
class Tabled:
    """What the tables of a site are made from. `tokens` and `allowed` are some held-out contexts, `[context, position]`."""

    folder: Path
    places: dict[str, DictionaryFolder]
    parts: Parts
    coded_shards: tuple[int, ...]
    model: ModelConfig
    layer: int
    vocabulary: int
    tokens: NDArray[np.int32]
    allowed: NDArray[np.bool_]
    config: TablesConfig
    seed: int


@dataclass(frozen=True, slots=True)
class Task:
    """One table: where its result goes, and a function of a module that makes it for some dictionaries; no names: for all."""

    path: Path
    make: Callable[..., Any]
    names: tuple[str, ...] = ()


def tabulate(site: Tabled, judged: Shared[Judged], engine: Local, advance: Callable[[int], None]) -> None:
    """Make what is not there yet; `advance` is told of tables as they are done."""
    left = [task for task in tasks(site) if not task.path.is_file()]
    site.folder.mkdir(parents=True, exist_ok=True)
    for task, result in engine.run(functools.partial(_do, site, judged), left):
        with whole(task.path) as temporary, temporary.open("wb") as file:
            pickle.dump(result, file, protocol=pickle.HIGHEST_PROTOCOL)
        advance(1)


def tasks(site: Tabled) -> list[Task]:
    """The longest first, so that no worker is left with it at the end."""
    made: list[Task] = []
    if site.config.splice_contexts and bool(site.allowed[:, :-1].any()):
        made.append(Task(site.folder / "splice.pickle", _splice))
    for name in site.places:
        if site.config.output_tokens:
            made.append(Task(site.folder / f"{name}.outputs.pickle", _outputs, (name,)))
        if site.config.cofiring_tokens:
            made.append(Task(site.folder / f"{name}.cofiring.pickle", _cofiring, (name,)))
        made.append(Task(site.folder / f"{name}.floors.pickle", _floors, (name,)))
    if site.config.neighbours:
        for one, other in combinations_with_replacement(site.places, 2):
            path = site.folder / f"{one}.{other}.neighbours.pickle"
            made.append(Task(path, _neighbours, (one, other)))
    return made


def tables(site: Tabled, name: str) -> Tables:
    """What `tabulate` has made of one dictionary."""
    made: dict[str, Any] = {}
    neighbours: list[tuple[Related, Comparison]] = []
    for task in tasks(site):
        if not task.names or name in task.names:
            with task.path.open("rb") as file:
                result = pickle.load(file)  # written by a build, in its own work folder
            if task.make is _neighbours:
                neighbours.append(result[name])
            else:
                made[task.make.__name__] = result
    ce_recovered, kl_score = made.get("_splice", {}).get(name, (None, None))
    isotropic, covariance = made["_floors"]
    return Tables(
        floor_isotropic=isotropic,
        floor_covariance=covariance,
        ce_recovered=ce_recovered,
        kl_score=kl_score,
        outputs=made.get("_outputs"),
        related=(*(related for related, _ in neighbours), *made.get("_cofiring", [])),
        comparisons=tuple(comparison for _, comparison in neighbours),
    )


def _do(site: Tabled, judged: Shared[Judged], task: Task) -> Any:
    return task.make(site, judged, *task.names)


def _neighbours(site: Tabled, _judged: Shared[Judged], one: str, other: str) -> dict[str, tuple[Related, Comparison]]:
    """By dictionary, what it finds in the other one of the two, which may be itself."""
    own = Directions.of(site.places[one].dictionary())
    if one == other:
        return {one: compare(own, None, one, site.config.neighbours)}
    there = Directions.of(site.places[other].dictionary())
    return dict(zip((one, other), compare_both(own, there, (one, other), site.config.neighbours), strict=True))


def _cofiring(site: Tabled, _judged: Shared[Judged], name: str) -> list[Related]:
    own = _firing(site, name)
    n = site.config.neighbours or 5
    return [cofiring.partners(own, None if other == name else _firing(site, other), other, n) for other in site.places]


def _firing(site: Tabled, name: str) -> sparse.csc_array:
    codes = Codes.concatenate(list(site.parts.codes(name, "codes", site.coded_shards)))
    tokens = torch.arange(len(codes)) < site.config.cofiring_tokens
    return cofiring.firing(codes.take(tokens), site.places[name].dictionary().m)


def _outputs(site: Tabled, _judged: Shared[Judged], name: str) -> Outputs:
    head = _head(site.model)
    dictionary = site.places[name].dictionary()
    return logits.output_tokens(dictionary, head.norm, head.unembedding, site.config.output_tokens, site.vocabulary)


def _floors(site: Tabled, judged: Shared[Judged], name: str) -> tuple[float, float]:
    """For a rule that has no k, at the number of features that fire on a token, its L0."""
    place = site.places[name]
    dictionary, x, seed = place.dictionary(), judged.get().fit, derive(site.seed, "floors")
    k = dictionary.k or max(1, round(place.fidelity().l0))
    return (
        floors.isotropic_floor(x.shape[1], dictionary.m, k, seed),
        floors.matched_floor(_matched(judged, seed), dictionary.m, k, seed),
    )


def _splice(site: Tabled, judged: Shared[Judged]) -> dict[str, tuple[float | None, float | None]]:
    model = load_whole_model(site.model)
    dictionaries: dict[str, Dictionary] = {name: place.dictionary() for name, place in site.places.items()}
    scores = splice_scores(
        model,
        find_blocks(model)[site.layer],
        torch.from_numpy(site.tokens.astype(np.int64)),
        torch.from_numpy(site.allowed),
        judged.get().mean,
        reconstructions(dictionaries),
    )
    return {name: (score.ce_recovered, score.kl_score) for name, score in scores.items()}


@functools.lru_cache(maxsize=1)
def _head(model: ModelConfig) -> OutputHead:
    return output_head(load_whole_model(model))


@functools.lru_cache(maxsize=1)
def _matched(judged: Shared[Judged], seed: int) -> floors.Matched:
    return floors.matched_tokens(judged.get().fit, seed)
