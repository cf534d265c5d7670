"""Compiled by numba for thresholded rules: the pre-activations above their limits, in one reading of each row."""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

STRIDE = 64  # values looked at together: hardly any group has one that survives


@compiled
def find(
    pre: NDArray[np.float32], limit: NDArray[np.float32], index: NDArray[np.int32], value: NDArray[np.float32]
) -> tuple[NDArray[np.int64], int]:
    """Fill `index` and `value` with the entries of `pre[row, m]` above `limit[m]`, row after row.

    Stops before a row that might not fit. Gives how many each row has, of the rows that were done, and their sum.
    """
    counts = np.zeros(len(pre), np.int64)
    filled = 0
    for r in range(len(pre)):
        if filled + pre.shape[1] > len(index):
            return counts[:r], filled
        counts[r] = _row(pre[r], limit, index[filled:], value[filled:])
        filled += counts[r]
    return counts, filled


@compiled
def find_half(
    pre: NDArray[np.uint16], limit: NDArray[np.float32], index: NDArray[np.int32], value: NDArray[np.float32]
) -> tuple[NDArray[np.int64], int]:
    """The same for the bits of bfloat16 values: the upper half of a float32's."""
    counts = np.zeros(len(pre), np.int64)
    row = np.empty(pre.shape[1], np.float32)
    bits = row.view(np.uint32)
    filled = 0
    for r in range(len(pre)):
        if filled + pre.shape[1] > len(index):
            return counts[:r], filled
        for i in range(pre.shape[1]):
            bits[i] = np.uint32(pre[r, i]) << np.uint32(16)
        counts[r] = _row(row, limit, index[filled:], value[filled:])
        filled += counts[r]
    return counts, filled


@compiled
def _row(
    row: NDArray[np.float32], limit: NDArray[np.float32], index: NDArray[np.int32], value: NDArray[np.float32]
) -> int:
    filled = 0
    whole = len(row) - len(row) % STRIDE
    for start in range(0, whole, STRIDE):
        values, limits = row[start : start + STRIDE], limit[start : start + STRIDE]
        reached = np.int32(0)
        for i in range(STRIDE):
            reached += np.int32(values[i] > limits[i])
        if reached:
            filled = _take(row, limit, start, start + STRIDE, index, value, filled)
    return _take(row, limit, whole, len(row), index, value, filled)


@compiled
def _take(
    row: NDArray[np.float32],
    limit: NDArray[np.float32],
    start: int,
    stop: int,
    index: NDArray[np.int32],
    value: NDArray[np.float32],
    filled: int,
) -> int:
    for i in range(start, stop):
        index[filled] = i  # overwritten by the next, unless it survives: a branch would cost more
        value[filled] = row[i]
        filled += int(row[i] > limit[i])
    return filled
