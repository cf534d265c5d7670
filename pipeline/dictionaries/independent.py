"""Independent components by FastICA (Hyvärinen 1999, doi:10.1109/72.761722): log cosh contrast, symmetric decorrelation."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from app.errors import UserError
from pipeline.dictionaries.covariance import Axes

TOKENS = 32_768  # of the sample, at most
STEPS = 400
TOLERANCE = 1e-4  # of 1 − |cosine| between a component and itself a step before
LEAST_VARIANCE = 1e-10  # of an axis, as a share of the largest
TOKENS_AT_A_TIME = 2048


def independent_components(centred: Tensor, m: int, seed: int, note: Callable[[str], None]) -> Tensor:
    """Unmixing rows `[m, d]`, by which components are read off `centred[token, d]`, within the first m principal axes.

    Each has the sign that makes its component's long tail positive. A run that does not converge is noted, and used.
    Raises UserError where fewer than m axes vary.
    """
    some = centred[:TOKENS]
    axes = Axes.of(some)
    varying = int((axes.variance > LEAST_VARIANCE * axes.variance[0]).sum())
    if varying < m:
        raise UserError(
            f"activations vary along {varying} axes only, so there are no {m} independent components; set m."
        )
    to_white = axes.rows[:m] / axes.variance[:m].sqrt().unsqueeze(1)
    white = torch.cat([(part.double() @ to_white.T).float() for part in torch.split(some, TOKENS_AT_A_TIME)])
    start = np.random.Generator(np.random.Philox(seed)).standard_normal((m, m))
    rotation = _decorrelated(torch.from_numpy(start))
    for _ in range(STEPS):
        turned = _decorrelated(_step(white, rotation))
        change = float((1 - (turned * rotation).sum(1).abs()).max())
        rotation = turned
        if change < TOLERANCE:
            break
    else:
        note(f"FastICA did not converge in {STEPS} steps: some component still turned by 1 − cosine = {change:.1g}")
    tail = sum((part.double() @ rotation.T).pow(3).sum(0) for part in torch.split(white, TOKENS_AT_A_TIME))
    return torch.where(torch.as_tensor(tail).unsqueeze(1) < 0, -1.0, 1.0) * (rotation @ to_white)


def _step(white: Tensor, rotation: Tensor) -> Tensor:
    """E[g(s) zᵀ] − E[g′(s)] W for s = W z and g = tanh, over the tokens z."""
    rows = rotation.float()
    products = torch.zeros_like(rotation)
    slopes = torch.zeros(len(rotation), dtype=torch.float64)
    for part in torch.split(white, TOKENS_AT_A_TIME):
        bent = torch.tanh(part @ rows.T)
        products += (bent.T @ part).double()
        slopes += (1 - bent.square()).sum(0).double()
    step: Tensor = (products - slopes.unsqueeze(1) * rotation) / len(white)
    return step


def _decorrelated(rows: Tensor) -> Tensor:
    """(W Wᵀ)^−½ W: the nearest rotation."""
    left, _, right = torch.linalg.svd(rows)
    nearest: Tensor = left @ right
    return nearest
