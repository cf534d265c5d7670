"""The post's claim where the truth is known: what the samples that a direction likes best have in common, by kind of direction.

Directions are judged by inner products with samples alone: of a trained dictionary the encoder's rows of features that are alive
(a dead one has no samples), of everything else the directions. The null is as many samples drawn at random.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.covariance import Axes
from pipeline.dictionaries.directions import starting_rows
from pipeline.hashing import derive
from pipeline.lab import theory
from pipeline.lab.inner_products import nearest_to
from pipeline.lab.superposition import TOP, Purity, mmcs_of_random, purity, strongest, true_features
from pipeline.lab.toy_figures import alive
from pipeline.lab.toy_world import Samples, World

ORDER = (
    "true features", "trained TopK, m = h", "trained TopK", "trained ReLU", "soft-frozen decoder", "frozen decoder",
    "data points", "PCA", "neurons", "frozen encoder", "random sign", "Gaussian", "random samples",
)  # fmt: skip
COSINES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9)
DIMENSIONS = (16, 64, 256, 1024)
FEATURES = 1024
EXPECTED = 30  # cosines above the bound: fewer say little


@dataclass(frozen=True, slots=True)
class Arm:
    """A kind of direction in a world, m of them, of which `alive` are judged.

    `purity`; `whole`: that of all m, dead ones too, by their encoder rows as they are; `mmcs`: the mean over true features of the
    largest cosine with one of them, of the decoder's rows where there are.
    """

    world: World
    kind: str
    m: int
    alive: int
    purity: Purity
    whole: Purity
    mmcs: float | None


@dataclass(frozen=True, slots=True)
class Needed:
    """log₁₀ of how many random directions it takes, on average, for one with a cosine of at least `cosine` to a given one."""

    n: int
    cosine: float
    theory: float
    simulated: float | None
    seen: int  # cosines that large


def compare(world: World, trained: Mapping[str, Dictionary], samples: Samples, m: int, seed: int) -> list[Arm]:
    """All kinds, in ORDER; `m` directions of each where the kind does not say how many there are."""
    x, features, mean = samples.x, world.features, samples.x.mean(0)
    rows = {
        "true features": features,
        "data points": starting_rows("data-points", m, x, mean, derive(seed, "points")),
        "random sign": starting_rows("random-sign", m, x, mean, derive(seed, "sign")),
        "Gaussian": starting_rows("gaussian", m, x, mean, derive(seed, "gaussian")),
        "PCA": Axes.of(x - mean).rows.float(),
        "neurons": torch.eye(world.n),
    }
    null = torch.randint(len(x), (m, TOP), generator=torch.Generator().manual_seed(derive(seed, "null")))
    chance = purity(null, samples.active)
    arms = {"random samples": Arm(world, "random samples", m, m, chance, chance, None)}
    for kind, directions in rows.items():
        found = purity(strongest(x, directions), samples.active)
        arms[kind] = Arm(world, kind, len(directions), len(directions), found, found, _mmcs(features, directions))
    for kind, dictionary in trained.items():
        fires = alive(dictionary.encode(x), dictionary.m)
        decoder = dictionary.encoder if dictionary.decoder is None else dictionary.decoder
        top = strongest(x, dictionary.encoder)
        found, whole = purity(top[fires], samples.active), purity(top, samples.active)
        arms[kind] = Arm(world, kind, dictionary.m, int(fires.sum()), found, whole, _mmcs(features, decoder[fires]))
    return [arms[kind] for kind in ORDER if kind in arms]


def _mmcs(features: Tensor, rows: Tensor) -> float:
    return float(nearest_to(features, rows).mean())


def floor(n: int, h: int, count: int, seed: int) -> float:
    """MMCS of `count` random directions with h features: what a dictionary has by its size alone."""
    return mmcs_of_random(n, h, count, derive(seed, "floor", str(count)))


def needed(drawn: int, seed: int) -> list[Needed]:
    """By dimension and cosine: the exact law, and, where enough of `drawn` sign vectors' cosines reach it, a count of them."""
    found = []
    for n in DIMENSIONS:
        seen = _reached(n, drawn, derive(seed, "cosines", str(n)))
        for cosine in COSINES:
            expected = -theory.log10_chance_of_cosine(n, cosine)
            enough = expected <= math.log10(drawn / EXPECTED)
            simulated = math.log10(drawn / max(seen[cosine], 1)) if enough else None
            found.append(Needed(n, cosine, expected, simulated, seen[cosine]))
    return found


def _reached(n: int, drawn: int, seed: int) -> dict[float, int]:
    """How many cosines of sign vectors with uniform features are at least as large, for each of COSINES."""
    features = true_features(n, FEATURES, derive(seed, "features"))
    total = torch.zeros(len(COSINES), dtype=torch.int64)
    directions = starting_rows(
        "random-sign", drawn // FEATURES, torch.empty(0, n), torch.zeros(n), derive(seed, "signs")
    )
    for some in torch.split(directions, FEATURES):
        cosines = some @ features.T
        total += torch.stack([(cosines >= cosine).sum() for cosine in COSINES])
    return dict(zip(COSINES, total.tolist(), strict=True))
