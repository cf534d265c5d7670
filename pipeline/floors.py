"""The FVE that random directions reach on tokens without structure: the floor under a dictionary's own.

The dictionary is m random ±1/√n directions, of which the k with the largest inner products fire. What it reaches depends on
the tokens, which are Gaussian, of mean 0, and on the decoder:

- isotropic: tokens of no shape, and the directions themselves times the one scale that explains most;
- matched: tokens with the covariance of a site's activations, and the directions times one scale for each principal
  axis. Directions by themselves explain no more of such tokens than of isotropic ones, whatever the covariance; it is a
  fitted decoder that takes up the covariance, and by symmetry one scale an axis is nearly all that it can take. (Fitted
  row by row it would explain some hundredths more.)

Everything is drawn by seed and summed in float64.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import random_sign
from pipeline.hashing import derive

TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Matched:
    """Gaussian `tokens[token, n]` with the covariance of a site's activations, and its principal `axes[n, axis]`."""

    tokens: Tensor
    axes: Tensor


def isotropic_floor(n: int, m: int, k: int, seed: int, tokens: int = TOKENS) -> float:
    """FVE on isotropic Gaussian tokens of width n, by m directions of which k fire, or all where k is larger."""
    x = gaussian(tokens, n, derive(seed, "isotropic"))
    made = _reconstruct(x, m, k, seed)
    return _explained(x.double().reshape(-1, 1), made.reshape(-1, 1))


def matched_floor(matched: Matched, m: int, k: int, seed: int) -> float:
    """The same on tokens of a site's covariance, with one scale an axis."""
    made = _reconstruct(matched.tokens, m, k, seed)
    return _explained(matched.tokens.double() @ matched.axes, made @ matched.axes)


def matched_tokens(x: Tensor, seed: int, tokens: int = TOKENS) -> Matched:
    """Tokens ~ N(0, Σ), where Σ is the covariance of `x[token, n]`. One set serves all dictionaries of a site."""
    centred = x.double() - x.double().mean(0)
    values, axes = torch.linalg.eigh(centred.T @ centred / len(x))
    drawn = gaussian(tokens, x.shape[1], derive(seed, "covariance")).double() * values.clamp_min(0).sqrt()
    return Matched((drawn @ axes.T).float(), axes)


def _reconstruct(x: Tensor, m: int, k: int, seed: int) -> Tensor:
    """The sums of activation × direction over the directions that fire, `[token, n]` in float64, unscaled."""
    directions = random_sign(m, x.shape[1], derive(seed, "floor"))
    return alone(directions, min(k, m)).encode(x).decode(directions).double()


def _explained(x: Tensor, made: Tensor) -> float:
    """FVE of `x[:, part]` by `made[:, part]`, each part at its best scale."""
    norms = made.square().sum(0)
    explained = torch.where(norms > 0, (x * made).sum(0).square() / norms, 0.0)
    return float(explained.sum() / x.square().sum())


def alone(directions: Tensor, k: int) -> Dictionary:
    """The top-k dictionary of `directions[m, n]` that subtracts no mean and has no decoder."""
    m, n = directions.shape
    return Dictionary("random-sign", "topk", directions, torch.zeros(m), None, torch.zeros(n), k=k, centred=False)


def gaussian(tokens: int, n: int, seed: int) -> Tensor:
    """`x[token, n]` ~ N(0, I)."""
    return torch.from_numpy(np.random.Generator(np.random.Philox(seed)).standard_normal((tokens, n), np.float32))
