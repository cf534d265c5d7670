"""The k largest pre-activations of each token, exactly, from a product that was made in a hurry.

The encoder's product is made in bfloat16 where the processor is quick at it, else in float32: a hint. An error bound turns
it into a shortlist from which no feature of the true k is missing, hardly longer than k; what is on the shortlist is
summed again in float64, in a fixed order. Values are thus better than those of a float32 product, at a third of its cost,
and the same bits on every processor, whatever made the hint.

The bound, for x̂ and ê as rounded for the product, and p the true pre-activation without its bias:

    |x·e − x̂·ê| ≤ ‖x − x̂‖ ‖e‖ + ‖x̂‖ ‖e − ê‖,  summing in float32 adds at most d 2⁻²² ‖x̂‖ ‖ê‖,  rounding the product r |p|
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import kernels
from pipeline.arithmetic import fast_dtype
from pipeline.dictionaries.codes import Codes
from pipeline.topk import bits

SUMMING = 2.0**-22  # of one addition in float32, with room to spare for how a processor goes about it
ROUNDING = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-22}  # of a product, relative to it


@dataclass(frozen=True, slots=True)
class Shortlister:
    """A top-k dictionary's encoder, ready for CPUs.

    `exact[m, d]` and `bias[m]` (empty where it is 0 everywhere) in float32; `rounded[d, m]` for the hint; `length` and
    `lost`: the greatest norms of a row and of what rounding took off one. `absolute`: the k largest in magnitude.
    """

    exact: Tensor
    bias: Tensor
    rounded: Tensor
    length: float
    lost: float
    k: int
    absolute: bool

    @classmethod
    def of(
        cls, encoder: Tensor, bias: Tensor, k: int, absolute: bool, dtype: torch.dtype | None = None
    ) -> "Shortlister":
        """From `encoder[m, d]` and `bias[m]`, float32; `dtype` of the hint is the processor's own unless given."""
        rounded = encoder.to(dtype or fast_dtype())
        lost = (encoder - rounded.float()).norm(dim=1).max()
        exact, bias = encoder.contiguous(), bias if bool(bias.any()) else bias[:0]
        return cls(exact, bias, rounded.T, float(exact.norm(dim=1).max()), float(lost), k, absolute)

    def room(self, rows: int) -> Tensor:
        """For the hints of so many rows."""
        return torch.empty(rows, len(self.exact), dtype=self.rounded.dtype)

    def hint(self, x: Tensor, room: Tensor) -> tuple[Tensor, NDArray[np.float32]]:
        """Of `x[row, d]`, float32: hints `[row, m]`, in `room`, and by how much each row's may be off, apart from ROUNDING."""
        rough = x.to(self.rounded.dtype)
        return torch.mm(rough, self.rounded, out=room[: len(x)]), self._slack(x, rough)

    def choose(self, hint: Tensor, slack: NDArray[np.float32], x: Tensor, index: Tensor, value: Tensor) -> None:
        """Fill `index[row, k]` and `value[row, k]`. Raises FloatingPointError where a pre-activation is NaN or infinite."""
        rounding = np.float32(ROUNDING[hint.dtype])
        work = slack, rounding, x.numpy(), self.exact.numpy(), self.bias.numpy(), self.absolute
        if not kernels.choose(bits(hint), *work, index.numpy(), value.numpy()):
            raise FloatingPointError("a pre-activation is NaN or infinite")

    def _slack(self, x: Tensor, rough: Tensor) -> NDArray[np.float32]:
        size = rough.float().norm(dim=1)
        summing = x.shape[1] * SUMMING * size * (self.length + self.lost)
        slack = (x - rough.float()).norm(dim=1) * self.length + size * self.lost + summing
        if len(self.bias):  # a product is at most its pre-activation and the bias together
            slack += 2 * ROUNDING[rough.dtype] * float(self.bias.abs().max())
        found: NDArray[np.float32] = (slack * 1.001 + 1e-30).numpy()  # norms are rounded too
        return found


class Shortlisting:
    """A run of a Shortlister over some tokens, taken by blocks of rows, in order."""

    def __init__(self, tokens: int, by: Shortlister, positive: bool) -> None:
        self.by = by
        self.index = torch.empty(tokens, by.k, dtype=torch.int32)
        self.value = torch.empty(tokens, by.k)
        self.positive = positive
        self.room = by.room(0)

    def add(self, x: Tensor, rows: slice) -> None:
        """Encode `x[row, d]`, float32."""
        if len(self.room) < len(x):
            self.room = self.by.room(len(x))
        self.by.choose(*self.by.hint(x, self.room), x, self.index[rows], self.value[rows])

    def codes(self) -> Codes:
        return Codes.of_top(self.index, self.value.relu_() if self.positive else self.value)
