"""The k largest pre-activations of each token, exact on ties: among equal values the lower index wins.

On a CPU this stands beside the encoder product in every token's way, so numba compiles it (`pipeline.kernels`): three to
seven microseconds a row of 9,216 to 24,576 values, where torch takes 17 to 60. On other devices torch does it.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import kernels


def top_k(pre: Tensor, k: int, index: Tensor, value: Tensor) -> None:
    """Fill `index[row, k]` (int32) and `value[row, k]` (float32) from `pre[row, m]` (float32 or bfloat16), 1 ≤ k ≤ m.

    The order within a row is not said. Raises FloatingPointError where a value is NaN.
    """
    if pre.device.type != "cpu":
        top_k_of_torch(pre, k, index, value)
        return
    if pre.dtype == torch.bfloat16:
        finite = kernels.select_half(bits(pre), k, index.numpy(), value.numpy())
    else:
        finite = kernels.select(pre.numpy(), k, index.numpy(), value.numpy())
    if not finite:
        raise FloatingPointError("a pre-activation is NaN")


def top_k_sum(pre: Tensor, bias: Tensor, k: int, index: Tensor) -> None:
    """Fill `index[row, k]` (int32) with the k largest of `pre[row, m]` + `bias[m]` (float32); `pre` may be overwritten.

    Raises FloatingPointError where a sum is NaN.
    """
    value = torch.empty(index.shape)
    if pre.device.type != "cpu" or pre.dtype != torch.bfloat16:
        top_k(pre.add_(bias) if pre.dtype == torch.float32 else pre.float() + bias, k, index, value)
    elif not kernels.select_half_sum(bits(pre), bias.numpy(), k, index.numpy(), value.numpy()):
        raise FloatingPointError("a pre-activation is NaN")


def bits(values: Tensor) -> NDArray[Any]:
    """The values themselves; of bfloat16, which numpy does not have, the bits."""
    found: NDArray[Any] = (
        values.numpy() if values.dtype == torch.float32 else values.view(torch.int16).numpy().view(np.uint16)
    )
    return found


def top_k_of_torch(pre: Tensor, k: int, index: Tensor, value: Tensor) -> None:
    """The same by torch alone, on any device, which leaves open which of equal values it gives: those are put right."""
    top = pre.topk(k, dim=1)
    if bool(top.values[:, 0].isnan().any()):  # torch takes NaN for the largest
        raise FloatingPointError("a pre-activation is NaN")
    chosen, least = top.indices, top.values[:, -1:]
    tied = ((pre == least).sum(1) > (top.values == least).sum(1)).nonzero()[:, 0]
    if len(tied):
        equal = pre[tied] == least[tied]
        place = equal.cumsum(1) - 1 + (top.values[tied] > least[tied]).sum(1, keepdim=True)
        row, column = (equal & (place < k)).nonzero(as_tuple=True)
        chosen[tied[row], place[row, column]] = column
    index.copy_(chosen)
    value.copy_(top.values)
