"""Decoders for directions that have none, and how well any dictionary explains the activations.

Least squares: the decoder D minimises Σ ‖x − μ − C D‖² for the top-k codes C of the fitting tokens, by the normal
equations (CᵀC + εI) D = Cᵀ(x − μ), summed in float64, some shards at a time. FVE = 1 − Σ‖x − x̂‖² / Σ‖x − μ‖², over held-out tokens.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from pipeline.dictionaries.codes import Codes
from pipeline.dictionaries.dictionary import Dictionary

SHARDS_AT_A_TIME = 8
RIDGE = 1e-6  # ε, as a share of the mean diagonal: makes features that never fired harmless


@dataclass(frozen=True, slots=True)
class Coded:
    """Tokens with their codes: `x[token, d]`, codes, and which tokens are held out."""

    x: Tensor
    codes: Codes
    held_out: Tensor

    def part(self, held_out: bool) -> tuple[Tensor, Codes]:
        chosen = self.held_out if held_out else ~self.held_out
        return self.x[chosen], self.codes.take(chosen)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Fraction of variance explained on held-out and on fitting tokens, and mean L0."""

    fve: float
    fve_fit: float
    l0: float


def least_squares(shards: Callable[[], Iterable[Coded]], m: int, mean: Tensor) -> Tensor:
    """`decoder[m, d]` in float32, from the fitting tokens."""
    gram = np.zeros((m, m))
    moment = np.zeros((m, len(mean)))
    coming = iter(shards())
    for group in iter(lambda: list(islice(coming, SHARDS_AT_A_TIME)), []):
        parts = [coded.part(held_out=False) for coded in group]
        c = sparse.vstack([codes.csr(m) for _, codes in parts])
        by_feature = c.T.tocsr()
        products = (by_feature.astype(np.float64) @ c.astype(np.float64)).tocoo()
        gram[products.row, products.col] += products.data
        moment += by_feature @ torch.cat([x - mean for x, _ in parts]).numpy()
    diagonal = gram.diagonal()
    gram[np.diag_indices(m)] += RIDGE * max(float(diagonal.mean()), np.finfo(np.float64).tiny)
    factor = torch.linalg.cholesky(torch.from_numpy(gram))
    return torch.cholesky_solve(torch.from_numpy(moment), factor).float()


def tied(shards: Callable[[], Iterable[Coded]], encoder: Tensor, mean: Tensor) -> Tensor:
    """The encoder times the one scale that explains most: s = Σ⟨x − μ, C E⟩ / Σ‖C E‖²."""
    numerator = denominator = 0.0
    for coded in shards():
        x, codes = coded.part(held_out=False)
        unscaled = codes.decode(encoder)
        numerator += float(((x - mean).double() * unscaled.double()).sum())
        denominator += float(unscaled.double().square().sum())
    return encoder * (numerator / denominator if denominator else 0.0)


def fidelity(shards: Callable[[], Iterable[Coded]], dictionary: Dictionary, mean: Tensor) -> Fidelity:
    """How much of the activations a dictionary explains; one pass over its codes."""
    residual = {True: 0.0, False: 0.0}
    total = {True: 0.0, False: 0.0}
    active = tokens = 0
    for coded in shards():
        active += len(coded.codes.index)
        tokens += len(coded.x)
        for held_out in (True, False):
            x, codes = coded.part(held_out)
            residual[held_out] += float((x - dictionary.decode(codes)).double().square().sum())
            total[held_out] += float((x - mean).double().square().sum())
    return Fidelity(1 - residual[True] / total[True], 1 - residual[False] / total[False], active / tokens)
