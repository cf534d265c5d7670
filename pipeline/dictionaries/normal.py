"""Compiled by numba: what the normal equations of a decoder need of sparse codes C.

Sums are float64, in token order. The Gram matrix is summed a row at a time, which stays in cache; what is slow then is to
look up the codes of the tokens on which a rare feature fires, so they are asked for AHEAD entries before they are used.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from pipeline.compiled import compiled

AHEAD = 4
LINE = 8  # packed entries in a cache line
COLUMNS = 64
TILE = 64

Int32 = NDArray[np.int32]
UInt32 = NDArray[np.uint32]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@compiled
def by_feature(start: Int64, index: Int32, m: int) -> tuple[Int64, UInt32, UInt32]:
    """The entries of each feature, in token order: feature j owns those from `first[j]` to `first[j + 1]`.

    `entry` is each one's place in `index`, `token` its token.
    """
    first = np.zeros(m + 1, np.int64)
    for i in index:
        first[i + 1] += 1
    for j in range(m):
        first[j + 1] += first[j]
    free = first[:-1].copy()
    entry = np.empty(len(index), np.uint32)
    token = np.empty(len(index), np.uint32)
    for t in range(len(start) - 1):
        for e in range(start[t], start[t + 1]):
            place = free[index[e]]
            entry[place] = e
            token[place] = t
            free[index[e]] = place + 1
    return first, entry, token


@compiled
def add_gram(start: Int64, index: Int32, value: Float32, gram: Float64) -> None:
    """Add CᵀC to `gram[m, m]`, each pair in one of its two places: that of the feature that a token names first.

    `fold` makes a triangle of it. Fewer than 2³² entries at a time.
    """
    m, count = len(gram), len(index)
    first, entry, token = by_feature(start, index, m)
    packed = np.empty(count, np.uint64)  # a value and its feature, to find them in one place
    bits = value.view(np.uint32)
    for e in range(count):
        packed[e] = (np.uint64(bits[e]) << np.uint64(32)) | np.uint64(index[e])
    for i in range(m):
        row = gram[i]
        for p in range(first[i], first[i + 1]):
            if p + AHEAD < count:
                near = np.int64(entry[p + AHEAD])
                for line in range(4):
                    _ask_for(packed, near + line * LINE)  # type: ignore[call-arg]
            begin, end = np.uint64(entry[p]), np.uint64(start[token[p] + 1])
            v = _value(packed[begin])
            for e in range(begin, end):
                row[packed[e] & np.uint64(0xFFFFFFFF)] += v * _value(packed[e])


@compiled
def fold(gram: Float64) -> None:
    """Add what is below the diagonal to what is above; only the triangle j ≥ i of `gram[i, j]` counts afterwards."""
    m = len(gram)
    for top in range(0, m, TILE):
        for left in range(top, m, TILE):
            for i in range(top, min(top + TILE, m)):
                for j in range(max(left, i + 1), min(left + TILE, m)):
                    gram[i, j] += gram[j, i]


@compiled
def apply_gram(start: Int64, index: Int32, value: Float32, given: Float64, result: Float64) -> None:
    """Add Cᵀ(C · given) to `result`, both `[m, column]`, token by token: m × m numbers are never held."""
    made = np.empty(COLUMNS)
    for left in range(0, given.shape[1], COLUMNS):
        width = min(COLUMNS, given.shape[1] - left)
        for t in range(len(start) - 1):
            made[:] = 0.0
            for e in range(start[t], start[t + 1]):
                v = np.float64(value[e])
                row = given[index[e], left : left + width]
                for column in range(width):
                    made[column] += v * row[column]
            for e in range(start[t], start[t + 1]):
                v = np.float64(value[e])
                row = result[index[e], left : left + width]
                for column in range(width):
                    row[column] += v * made[column]


@compiled
def add_moment(start: Int64, index: Int32, value: Float32, x: Float32, unit: float, total: Int64) -> None:
    """Add Cᵀx to `total[m, d]`, in units of `unit`, each sum over the tokens rounded once."""
    first, entry, token = by_feature(start, index, len(total))
    d = x.shape[1]
    made = np.empty(d)
    for j in range(len(total)):
        if first[j] == first[j + 1]:
            continue
        made[:] = 0.0
        for p in range(first[j], first[j + 1]):
            v = np.float64(value[entry[p]])
            row = x[token[p]]
            for i in range(d):
                made[i] += v * np.float64(row[i])
        feature = total[j]
        for i in range(d):
            feature[i] += np.int64(np.rint(made[i] / unit))


@compiled
def add_squares(index: Int32, value: Float32, diagonal: Float64) -> None:
    """Add the diagonal of CᵀC to `diagonal[m]`."""
    for e in range(len(index)):
        diagonal[index[e]] += np.float64(value[e]) * np.float64(value[e])


@compiled
def _value(packed: np.uint64) -> np.float64:
    return np.float64(np.uint32(packed >> np.uint64(32)).view(np.float32))


@intrinsic
def _ask_for(context: Any, array: Any, place: Any) -> Any:
    """Have the processor fetch `array[place]`: a hint, harmless where there is no such place."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        integer = ir.IntType(32)
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [address.type],
            ir.FunctionType(ir.VoidType(), [address.type, integer, integer, integer]),
        )
        builder.call(prefetch, [address, *(ir.Constant(integer, flag) for flag in (0, 3, 1))])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
