"""The covariance of a sample, its principal axes, and the whitening made of them. All in float64."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from app.errors import UserError

RIDGE = 1e-6  # of whitening, as a share of the mean variance: axes that hardly vary are not blown up
TOKENS_AT_A_TIME = 4096


@dataclass(frozen=True, slots=True)
class Axes:
    """Principal axes `rows[axis, d]`, of length 1, with their `variance[axis]`, largest first."""

    rows: Tensor
    variance: Tensor

    @classmethod
    def of(cls, centred: Tensor) -> "Axes":
        """Of `centred[token, d]`, activations less their mean. The largest entry of each axis is positive.

        Raises UserError where the sample does not vary.
        """
        total = torch.zeros(centred.shape[1], centred.shape[1], dtype=torch.float64)
        for part in torch.split(centred, TOKENS_AT_A_TIME):
            exact = part.double()
            total.addmm_(exact.T, exact)
        variance, axes = torch.linalg.eigh(total / max(len(centred), 1))
        variance, rows = variance.flip(0).clamp_min(0), axes.T.flip(0)
        if not float(variance[0]) > 0:
            raise UserError(
                f"the {len(centred)} tokens of the sample are all alike, so they have no principal axes; use another layer."
            )
        largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
        return cls(rows * largest.sign(), variance)

    def power(self, exponent: Literal[1, -1]) -> Tensor:
        """(Σ + εI)^½, or its inverse, which whitens: `matrix[d, d]`, symmetric."""
        ridged = self.variance + RIDGE * self.variance.mean()
        root: Tensor = (self.rows.T * ridged ** (exponent / 2)) @ self.rows
        return root


def whitening_axes(x: Tensor, mean: Tensor) -> Axes:
    """Of `x[token, d]`. Raises UserError where there are too few tokens to whiten."""
    if len(x) <= len(mean):
        raise UserError(
            f'encoding = "whitened" needs more tokens in the sample than the model\'s width of {len(mean)}, '
            f"and there are {len(x)}; raise `sample` or `contexts`."
        )
    return Axes.of(x - mean)


def unit(rows: Tensor) -> Tensor:
    """`rows[m, d]` scaled to length 1, in float32."""
    exact = rows.double()
    scaled: Tensor = exact / exact.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    return scaled.float()
