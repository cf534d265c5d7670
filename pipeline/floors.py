"""The FVE that random directions reach on tokens without structure: the floor under a dictionary's own.

Tokens are Gaussian, of mean 0: isotropic ones, or ones with the covariance of a site's activations. The dictionary is m
random ±1/√n directions, of which the k with the largest inner products fire, times the one scale that explains most (as
a `tied` decoder does). Everything is drawn by seed and summed in float64.
"""

from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import random_sign
from pipeline.hashing import derive

TOKENS = 2048


def isotropic_floor(n: int, m: int, k: int, seed: int, tokens: int = TOKENS) -> float:
    """FVE on isotropic Gaussian tokens of width n, by m directions of which k fire."""
    return floor(_normal(tokens, n, derive(seed, "isotropic")), m, k, seed)


def matched_tokens(x: Tensor, seed: int, tokens: int = TOKENS) -> Tensor:
    """`[token, n]` ~ N(0, Σ), where Σ is the covariance of `x[token, n]`. One set serves all dictionaries of a site."""
    centred = x.double() - x.double().mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    root = vectors * values.clamp_min(0).sqrt()
    drawn: Tensor = _normal(tokens, x.shape[1], derive(seed, "covariance")).double() @ root.T
    return drawn.float()


def floor(x: Tensor, m: int, k: int, seed: int) -> float:
    """FVE on tokens `x[token, n]` of mean 0 by m random directions of which k fire; all of m where k is larger."""
    n = x.shape[1]
    directions = random_sign(m, n, derive(seed, "floor"))
    zeros = torch.zeros
    codes = Dictionary("random-sign", "topk", directions, zeros(m), None, zeros(n), k=min(k, m), centred=False).encode(
        x
    )
    made = codes.decode(directions).double()
    norm = float(made.square().sum())
    return float((x * made).sum()) ** 2 / (norm * float(x.double().square().sum())) if norm else 0.0


def expected_floor(n: int, m: int, k: int) -> float:
    """The isotropic floor by a formula: kq / (1 + (k − 1) q), with q = E[z² | z > t] / n and P(z > t) = k/m, k < m/2.

    As if the k largest of m inner products were draws from beyond the quantile t, and the directions that fire had no
    more in common than what they share with the token.
    """
    normal = NormalDist()
    t = normal.inv_cdf(1 - k / m)
    q = (1 + t * normal.pdf(t) / (k / m)) / n
    return k * q / (1 + (k - 1) * q)


def _normal(tokens: int, n: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.Generator(np.random.Philox(seed)).standard_normal((tokens, n), np.float32))
