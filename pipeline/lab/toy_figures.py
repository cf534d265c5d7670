"""What the grid of `dartboard lab toy` shows: each dictionary beside the truth, and three estimates of how many features there are.

None of the estimates looks at the truth, so that they can be made of a real layer too (Sharkey, Braun and beren 2022):

- dead neurons: how many features are alive in a dictionary with room to spare, a fifth or more of it dead. Alive is what fires on
  more than one in a thousand samples;
- loss stickiness: the loss falls with the dictionary's size until there is a feature for each true one, then stays. A line that
  falls and then is level is fitted to it; the estimate is where it bends;
- MMCS against a larger dictionary: how many features of a dictionary the next larger one has too (cosine ≥ .9), those alike within
  a dictionary counted once. It rises with the size until all true ones are there; the estimate is the most that it reaches.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csgraph, csr_array
from torch import Tensor

from pipeline.dictionaries import Codes, Dictionary
from pipeline.lab.inner_products import nearest_to

ALIVE = 1e-3  # share of samples
SAME = 0.9  # cosine
ROOMY = 0.8  # at most this share of a dictionary is alive


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one dictionary: `residual` ‖x − x̂‖², `l1` ‖c‖₁ and `l0`, a sample; `loss` with its α; features that are alive.

    Where the truth is known: `mmcs` of true features to learned ones, `mmcs_back` of living learned ones to true ones, and how many
    true ones were `found` (cosine ≥ .9).
    """

    alpha: float
    m: int
    loss: float
    residual: float
    fve: float
    l1: float
    l0: float
    alive: int
    mmcs: float | None = None
    mmcs_back: float | None = None
    found: int | None = None


@dataclass(frozen=True, slots=True)
class Estimates:
    """Of the number of features, for one α."""

    alpha: float
    dead: float
    stickiness: float
    larger: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A dictionary's figures, and its living rows `rows[feature, n]`."""

    figures: Figures
    rows: Tensor


def judge(dictionary: Dictionary, alpha: float, x: Tensor, features: Tensor | None, spread: float = 1.0) -> Judged:
    """Figures on `x[sample, n]`, in units of `spread`; `features[h, n]` where the truth is known."""
    if dictionary.decoder is None:
        raise ValueError("a trained dictionary has a decoder")
    codes = dictionary.encode(x)
    residual = float((dictionary.decode(codes, x) - x).double().square().sum()) / len(x) / spread**2
    l1 = float(codes.value.double().sum()) / len(x) / spread
    variance = float((x - x.mean(0)).double().square().sum()) / len(x) / spread**2
    fires = alive(codes, dictionary.m)
    rows = dictionary.decoder[fires]
    figures = Figures(
        alpha=alpha,
        m=dictionary.m,
        loss=residual + alpha * l1,
        residual=residual,
        fve=1 - residual / variance,
        l1=l1,
        l0=len(codes.index) / len(x),
        alive=int(fires.sum()),
        **_beside_truth(features, rows),
    )
    return Judged(figures, rows)


def alive(codes: Codes, m: int) -> Tensor:
    """bool[m]: features that fire on more than one in a thousand of the samples."""
    return torch.bincount(codes.index, minlength=m) > ALIVE * len(codes)


def _beside_truth(features: Tensor | None, rows: Tensor) -> dict[str, Any]:
    if features is None:
        return {}
    if not len(rows):
        return {"mmcs": 0.0, "mmcs_back": 0.0, "found": 0}
    nearest = nearest_to(features, rows)
    back = nearest_to(rows, features)
    return {"mmcs": float(nearest.mean()), "mmcs_back": float(back.mean()), "found": int((nearest >= SAME).sum())}


def estimates(grid: Sequence[Judged]) -> list[Estimates]:
    """For every α of the grid that has at least four sizes, ascending."""
    found = []
    for alpha in sorted({judged.figures.alpha for judged in grid}):
        column = sorted((one for one in grid if one.figures.alpha == alpha), key=lambda one: one.figures.m)
        if len(column) >= 4:
            larger = max(shared(one.rows, larger.rows) for one, larger in itertools.pairwise(column))
            losses = {one.figures.m: one.figures.loss for one in column}
            found.append(Estimates(alpha, spare(column), bend(losses), larger))
    return found


def spare(column: Sequence[Judged]) -> int:
    """The fewest features alive in a dictionary of which a fifth or more are dead; where there is none, the most alive in any."""
    roomy = [one.figures.alive for one in column if one.figures.alive <= ROOMY * one.figures.m]
    return min(roomy, default=max(one.figures.alive for one in column))


def bend(losses: Mapping[int, float]) -> float:
    """Where loss = level + slope × max(0, bend − size) bends, by least squares over the sizes."""
    size, loss = np.array(list(losses), float), np.array(list(losses.values()))
    places = np.linspace(size.min(), size.max(), 2000)[1:]

    def misfit(place: float) -> float:
        design = np.stack([np.ones_like(size), np.maximum(0, place - size)], 1)
        solved, *_ = np.linalg.lstsq(design, loss, rcond=None)
        return float(np.square(design @ solved - loss).sum())

    return float(min(places, key=misfit))


def shared(rows: Tensor, larger: Tensor) -> int:
    """How many of `rows[feature, n]`, those alike counted once, have a like in `larger[feature, n]`."""
    if not len(rows) or not len(larger):
        return 0
    again = rows[nearest_to(rows, larger) >= SAME]
    if not len(again):
        return 0
    groups, _ = csgraph.connected_components(csr_array((again @ again.T >= SAME).numpy()), directed=False)
    return int(groups)
