"""Decoders for directions that have none, and how well any dictionary explains the activations.

Least squares: the decoder D minimises Σ ‖x − μ − C D‖² + ε ‖D‖² for the codes C of the fitting tokens, by the normal
equations (CᵀC + εI) D = Cᵀ(x − μ). The right-hand side is summed in the pass over the text; CᵀC comes from the codes that
the pass left. Features that never fire have rows of zeros.

Fidelity, x̂ being the reconstruction and μ the mean of the fitting tokens, all sums over tokens in float64:
FVE = 1 − Σ‖x − x̂‖² / Σ‖x − μ‖²; MSE = Σ‖x − x̂‖² / (tokens × d); L0 = features that fire on a token, on average.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import UserError
from pipeline.dictionaries import conjugate, normal
from pipeline.dictionaries.codes import Codes
from pipeline.dictionaries.dictionary import Dictionary

RIDGE = 1e-6  # ε, as a share of CᵀC's mean diagonal: makes features that always fire together harmless
DENSE_LIMIT = 24_576  # features that fire: the m × m matrix takes 4.5 GiB; above it, conjugate gradients
GROUP_ENTRIES = 2**25  # entries of codes at a time: fixed, since sums depend on it
COLUMN_ENTRIES = 2**26  # of each of the five arrays of conjugate gradients: 512 MiB
TOKENS_AT_A_TIME = 4096

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """FVE on held-out and on fitting tokens, MSE and L0 on held-out ones; None where there is no reconstruction."""

    fve: float | None
    fve_fit: float | None
    mse: float | None
    l0: float


def add_moment(total: NDArray[np.int64], codes: Codes, x: Tensor, unit: float) -> None:
    """Add Cᵀx of some tokens to `total[m, d]`, in whole numbers of `unit`; `x[token, d]` is float32, less the mean."""
    normal.add_moment(*_arrays(codes), x.contiguous().numpy(), unit, total)


def least_squares(
    codes: Callable[[], Iterable[Codes]], moment: Array, m: int, dense_limit: int = DENSE_LIMIT
) -> Tensor:
    """`decoder[m, d]` in float32, from the fitting tokens' codes, given as often as asked, and `moment[m, d]`.

    Raises UserError where conjugate gradients don't converge.
    """
    diagonal = np.zeros(m)
    for part in codes():
        normal.add_squares(part.index.numpy(), part.value.numpy(), diagonal)
    fires = np.flatnonzero(diagonal)
    decoder = torch.zeros(moment.shape)
    if not len(fires):
        return decoder
    ridge = RIDGE * float(diagonal.mean())
    place = np.zeros(m, np.int32)
    place[fires] = np.arange(len(fires))
    groups = _Groups(codes, place)
    solve = _dense if len(fires) <= dense_limit else _conjugate
    decoder[torch.from_numpy(fires)] = solve(groups, diagonal[fires], ridge, moment[fires])
    return decoder


def fidelity(x_held_out: Tensor, x_fit: Tensor, dictionary: Dictionary, mean: Tensor) -> Fidelity:
    """How much of `x_held_out[token, d]` and `x_fit[token, d]` a dictionary explains; `mean[d]` is the fitting tokens'.

    Raises UserError where a part has no token, or tokens that are all the mean.
    """
    held_out = _judge(x_held_out, dictionary, mean, "held-out")
    fit = _judge(x_fit, dictionary, mean, "fitting")
    if held_out.residual is None or fit.residual is None:
        return Fidelity(None, None, None, held_out.active / len(x_held_out))
    return Fidelity(
        fve=1 - held_out.residual / held_out.total,
        fve_fit=1 - fit.residual / fit.total,
        mse=held_out.residual / x_held_out.numel(),
        l0=held_out.active / len(x_held_out),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    residual: float | None
    total: float
    active: int


def _judge(x: Tensor, dictionary: Dictionary, mean: Tensor, what: str) -> _Judged:
    reconstructs = dictionary.decoder is not None and dictionary.reconstructs
    residual, total, active = 0.0, 0.0, 0
    for part in torch.split(x, TOKENS_AT_A_TIME):
        codes = dictionary.encode(part)
        active += len(codes.index)
        total += float((part - mean).double().square().sum())
        if reconstructs:
            residual += float((part - dictionary.decode(codes, part)).double().square().sum())
    if not total > 0:
        raise UserError(
            f"the {what} sample has {len(x)} tokens, all of them alike, so nothing can be measured on it; "
            "raise `contexts` or `sample`."
        )
    return _Judged(residual if reconstructs else None, total, active)


class _Groups:
    """The codes a fixed number of entries at a time, as arrays, with the features that fire renumbered."""

    def __init__(self, codes: Callable[[], Iterable[Codes]], place: NDArray[np.int32]) -> None:
        self.codes = codes
        self.place = place

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]]:
        waiting: list[Codes] = []
        for part in self.codes():
            if waiting and sum(len(some.index) for some in waiting) + len(part.index) > GROUP_ENTRIES:
                yield self._arrays(waiting)
                waiting = []
            waiting.append(part)
        if waiting:
            yield self._arrays(waiting)

    def _arrays(self, parts: list[Codes]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        start, index, value = _arrays(Codes.concatenate(parts) if len(parts) > 1 else parts[0])
        return start, self.place[index], value


def _dense(groups: _Groups, diagonal: Array, ridge: float, moment: Array) -> Tensor:
    """By Cholesky's decomposition, in the place of the Gram matrix itself."""
    gram = np.zeros((len(diagonal), len(diagonal)))
    for group in groups:
        normal.add_gram(*group, gram)
    normal.fold(gram)
    np.fill_diagonal(gram, diagonal + ridge)
    lower = torch.from_numpy(gram).T
    torch.linalg.cholesky(lower, out=lower)
    half = torch.linalg.solve_triangular(lower, torch.from_numpy(moment), upper=False)
    decoder: Tensor = torch.linalg.solve_triangular(lower.T, half, upper=True)
    return decoder.float()


def _conjugate(groups: _Groups, diagonal: Array, ridge: float, moment: Array) -> Tensor:
    """By products with C alone, some columns at a time."""

    def multiply(given: Array) -> Array:
        result = ridge * given
        for group in groups:
            normal.apply_gram(*group, given, result)
        return result

    width = max(normal.COLUMNS, COLUMN_ENTRIES // len(diagonal))
    parts = [
        conjugate.solve(multiply, diagonal + ridge, np.ascontiguousarray(moment[:, left : left + width]))
        for left in range(0, moment.shape[1], width)
    ]
    return torch.from_numpy(np.concatenate(parts, 1)).float()


def _arrays(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    return codes.start.numpy(), codes.index.numpy(), codes.value.numpy()
