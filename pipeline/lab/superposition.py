"""Random directions against known features: a toy of superposition (Sharkey, Braun and beren 2022), untrained.

h unit features in n < h dimensions; a sample is a sum of a few of them, each with a coefficient uniform in 0…1. What a
direction means is known here: the features that are active in the samples on which it is strongest.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.dictionaries.directions import random_sign
from pipeline.hashing import derive
from pipeline.lab.inner_products import nearest_to

ACTIVE = 5  # features active in a sample, on average
TOP = 20  # samples that a reader would see
MONOSEMANTIC = 0.8  # of the top samples share one feature
ROUNDING = 1e-9
BLOCK = 64  # directions at a time


@dataclass(frozen=True, slots=True)
class Purity:
    """Of a set of directions: how much the samples on which each is strongest have in common.

    `mean`: the mean share of a direction's top samples that hold one and the same feature, the best one. `monosemantic`: the
    share of directions where that is at least .8. `beyond`: the mean of the best feature's (share − chance)/(1 − chance), since a
    feature that is active often is shared by any samples.
    """

    mean: float
    monosemantic: float
    beyond: float


def true_features(n: int, h: int, seed: int) -> Tensor:
    """`features[h, n]`: uniform unit vectors."""
    drawn = np.random.Generator(np.random.Philox(seed)).standard_normal((h, n), np.float32)
    return torch.nn.functional.normalize(torch.from_numpy(drawn), dim=1)


def mmcs_of_random(n: int, h: int, count: int, seed: int) -> float:
    """MMCS of `count` sign vectors: the mean over h true features of the largest cosine with one of them."""
    features = true_features(n, h, derive(seed, "features"))
    return float(nearest_to(features, random_sign(count, n, derive(seed, "directions"))).double().mean())


def purities(n: int, h: int, samples: int, directions: int, seed: int) -> dict[str, Purity]:
    """Purity by kind of direction; the null is TOP samples drawn at random."""
    random = np.random.Generator(np.random.Philox(derive(seed, "samples")))
    features = true_features(n, h, derive(seed, "features"))
    active = torch.from_numpy(random.random((samples, h), np.float32) < ACTIVE / h)
    x = (active * torch.from_numpy(random.random((samples, h), np.float32))) @ features
    points = x[torch.from_numpy(random.choice(samples, directions, replace=False))]
    kinds = {
        "true features": features,
        "data points": torch.nn.functional.normalize(points - x.mean(0), dim=1),
        "random sign": random_sign(directions, n, derive(seed, "directions")),
        "neuron basis": torch.eye(n),
    }
    found = {kind: purity(strongest(x, rows), active) for kind, rows in kinds.items()}
    return found | {"random samples": purity(torch.from_numpy(random.integers(0, samples, (directions, TOP))), active)}


def strongest(x: Tensor, rows: Tensor) -> Tensor:
    """`top[direction, TOP]`: the samples of `x[sample, n]` with the largest inner products with each of `rows[direction, n]`."""
    return torch.cat([(x @ some.T).topk(TOP, dim=0).indices.T for some in torch.split(rows, BLOCK)])


def purity(top: Tensor, active: Tensor) -> Purity:
    """Of `top[direction, TOP]`, numbers of samples, given `active[sample, feature]`."""
    chance = active.double().mean(0)
    hits, beyond = [], []
    for chosen in torch.split(top, BLOCK):
        share = active[chosen].double().mean(1)  # of [direction, TOP, feature]
        hits.append(share.amax(1))
        beyond.append(((share - chance) / (1 - chance).clamp_min(1 / len(active))).amax(1))
    best, more = torch.cat(hits), torch.cat(beyond)
    return Purity(float(best.mean()), float((best >= MONOSEMANTIC - ROUNDING).double().mean()), float(more.mean()))
