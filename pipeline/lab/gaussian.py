"""How much of isotropic Gaussian tokens a random dictionary explains: the floor under every FVE.

The tokens have no structure, so that whatever a dictionary explains of them is due to n, m and k alone. Encoding is the
pipeline's own. The reconstructions, from the weakest up:

- tied: the directions that fire, each times its activation, all times the one best scale (or unscaled);
- least squares on the support: the same directions, with the best coefficients for each token;
- OMP, orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993): the directions chosen one by one, each the one
  with the largest inner product with what is still unexplained, with the best coefficients of all so far;
- PCA: the k leading principal components of other tokens, no choice at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.dictionaries.directions import random_sign
from pipeline.floors import alone, gaussian
from pipeline.hashing import derive

TIED_TOKENS, SOLVE_TOKENS, OMP_TOKENS = 2048, 512, 64  # enough for ±.002 in one seed; OMP encodes each token k times
BATCH = 128  # tokens: a block of inner products with 32768 directions is 16 MB
DRAW = 4096  # tokens drawn at a time


@dataclass(frozen=True, slots=True)
class Floors:
    """FVE by reconstruction."""

    tied: float
    least_squares: float
    omp: float


def floors(directions: Tensor, x: Tensor, k: int, advance: Callable[[int], None]) -> Floors:
    """The FVE of `x[token, n]`, of mean 0, by `directions[m, n]`; `advance` counts multiplications."""
    tied = tied_fve(directions, x[:TIED_TOKENS], k)
    advance(len(x[:TIED_TOKENS]) * directions.numel())
    solved = least_squares_fve(directions, x[:SOLVE_TOKENS], k)
    return Floors(tied, solved, omp_fve(directions, x[:OMP_TOKENS], k, advance))


def tied_fve(directions: Tensor, x: Tensor, k: int, scaled: bool = True) -> float:
    """FVE of s Σ (x·eⱼ) eⱼ over the k directions that fire, at the s that explains most, or at s = 1."""
    unscaled = alone(directions, k).encode(x).decode(directions).double()
    scale = float((x * unscaled).sum() / unscaled.square().sum()) if scaled else 1.0
    return _fve(x, x - scale * unscaled)


def least_squares_fve(directions: Tensor, x: Tensor, k: int) -> float:
    """FVE of the best combination, for each token, of the k directions that fire on it."""
    support = alone(directions, k).encode(x).index.long().reshape(len(x), k)
    explained = 0.0
    for rows, chosen in zip(torch.split(x, BATCH), torch.split(support, BATCH), strict=True):
        atoms = directions[chosen].double()
        inner = torch.einsum("tkn,tn->tk", atoms, rows.double())
        coefficients = torch.linalg.solve(atoms @ atoms.mT, inner)
        explained += float((coefficients * inner).sum())
    return explained / float(x.double().square().sum())


def omp_fve(directions: Tensor, x: Tensor, k: int, advance: Callable[[int], None]) -> float:
    """FVE after k steps of orthogonal matching pursuit."""
    left = 0.0
    for rows in torch.split(x, BATCH):
        residual = rows.clone()
        basis = torch.zeros(len(rows), k, x.shape[1])  # orthonormal: the directions chosen so far, made orthogonal
        for step in range(k):
            fresh = directions[(residual @ directions.T).argmax(1)]
            for _ in range(2):  # once leaves rounding behind
                fresh = fresh - torch.einsum("tk,tkn->tn", torch.einsum("tkn,tn->tk", basis, fresh), basis)
            fresh = torch.nn.functional.normalize(fresh, dim=1)
            basis[:, step] = fresh
            residual -= (residual * fresh).sum(1, keepdim=True) * fresh
            advance(len(rows) * directions.numel())
        left += float(residual.double().square().sum())
    return 1 - left / float(x.double().square().sum())


def pca_fve(fit: Tensor, x: Tensor, k: int) -> float:
    """FVE on `x[token, n]` of the k leading principal components of `fit[token, n]`."""
    _, vectors = torch.linalg.eigh((fit.T @ fit).double())
    components = vectors[:, -k:].float()
    return _fve(x, x - x @ components @ components.T)


def shares_used(
    n: int, m: int, k: int, gammas: Sequence[float], tokens: int, seed: int, advance: Callable[[int], None]
) -> list[float]:
    """For each γ the share of m sign vectors that fire at least once on x = μ + g, ‖μ‖ = γ√n, uncentred; centred last.

    Centred, x − μ = g is encoded, whatever γ is. `advance` counts multiplications.
    """
    mean = torch.nn.functional.normalize(gaussian(1, n, derive(seed, "mean")), dim=1) * n**0.5
    raw = alone(random_sign(m, n, derive(seed, "directions")), k)
    used = torch.zeros(len(gammas) + 1, m, dtype=torch.bool)
    for start in range(0, tokens, DRAW):
        x = gaussian(min(DRAW, tokens - start), n, derive(seed, "tokens", str(start)))
        for seen, gamma in zip(used, [*gammas, 0], strict=True):
            seen[raw.encode(x + gamma * mean).index.long()] = True
            advance(len(x) * raw.encoder.numel())
    shares: list[float] = used.double().mean(1).tolist()
    return shares


def _fve(x: Tensor, residual: Tensor) -> float:
    return 1 - float(residual.double().square().sum() / x.double().square().sum())
