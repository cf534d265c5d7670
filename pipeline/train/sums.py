"""Compiled by numba for sparse training steps: what k of m features cost, and no more.

Codes are ragged by token: token t owns the entries `start[t]` to `start[t + 1]` of `index` and `value`. Every token, and
every feature, is the work of one thread, so that sums do not depend on how many there are.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled, reordered

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@reordered
def encode(
    x: Floats,
    encoder: Floats,
    bias: Floats,
    start: Ints,
    index: NDArray[np.int32],
    first: int,
    last: int,
    value: Floats,
) -> None:
    """Fill `value` of the tokens from `first` to `last` with `x[token, d] · encoder[feature, d] + bias[feature]`."""
    d = x.shape[1]
    for t in range(first, last):
        row = x[t]
        for entry in range(start[t], start[t + 1]):
            direction = encoder[index[entry]]
            total = np.float32(0)
            for i in range(d):
                total += row[i] * direction[i]
            value[entry] = total + bias[index[entry]]


@reordered
def explain(
    x: Floats,
    decoder: Floats,
    start: Ints,
    index: NDArray[np.int32],
    value: Floats,
    group: NDArray[np.uint8],
    scale: float,
    first: int,
    last: int,
    pull: Floats,
    gradient: Floats,
    errors: NDArray[np.float64],
) -> None:
    """Decode the tokens from `first` to `last` by nested groups, and differentiate by the codes.

    Group g is explained by the features whose `group[m]` is at most g; errors[token, g] = ‖x̂ − x‖² of `x[token, d]`.
    `pull[token, g, d]` is `scale` times the sum of the errors x̂ − x of group g and those after it, and `gradient[entry]` the
    pull of the feature's group along its decoder row, 0 where the feature does not fire.
    """
    for t in range(first, last):
        mine = slice(start[t], start[t + 1])
        _decode(decoder, index[mine], value[mine], group, pull[t])
        _accumulate(x[t], np.float32(scale), pull[t], errors[t])
        _along(decoder, index[mine], value[mine], group, pull[t], gradient[mine])


@reordered
def _decode(decoder: Floats, index: NDArray[np.int32], value: Floats, group: NDArray[np.uint8], made: Floats) -> None:
    """`made[g, d]`: what the features of each group add."""
    made[:] = 0
    for entry in range(len(index)):
        if value[entry] > 0:
            size, direction, part = value[entry], decoder[index[entry]], made[group[index[entry]]]
            for i in range(len(direction)):
                part[i] += size * direction[i]


@reordered
def _accumulate(row: Floats, scale: np.float32, made: Floats, errors: NDArray[np.float64]) -> None:
    """From what each group adds to a token's pulls, in place."""
    groups, d = made.shape
    for i in range(d):
        made[0, i] -= row[i]
    for g in range(groups):
        here, total = made[g], np.float32(0)
        if g:
            before = made[g - 1]
            for i in range(d):
                here[i] += before[i]
        for i in range(d):
            total += here[i] * here[i]
        errors[g] = total
    for i in range(d):
        made[groups - 1, i] *= scale
    for g in range(groups - 2, -1, -1):
        here, after = made[g], made[g + 1]
        for i in range(d):
            here[i] = here[i] * scale + after[i]


@reordered
def _along(
    decoder: Floats,
    index: NDArray[np.int32],
    value: Floats,
    group: NDArray[np.uint8],
    pull: Floats,
    gradient: Floats,
) -> None:
    for entry in range(len(index)):
        along = np.float32(0)
        if value[entry] > 0:
            direction, towards = decoder[index[entry]], pull[group[index[entry]]]
            for i in range(len(direction)):
                along += direction[i] * towards[i]
        gradient[entry] = along


@compiled
def by_feature(start: Ints, index: NDArray[np.int32], value: Floats, ends: Ints, entries: Ints, tokens: Ints) -> None:
    """Sort the entries that fire by feature: feature f owns `entries[ends[f]:ends[f + 1]]` and their `tokens`, in order."""
    m = len(ends) - 1
    ends[:] = 0
    for entry in range(len(index)):
        if value[entry] > 0:
            ends[index[entry] + 1] += 1
    for f in range(m):
        ends[f + 1] += ends[f]
    place = ends[:m].copy()
    for t in range(len(start) - 1):
        for entry in range(start[t], start[t + 1]):
            if value[entry] > 0:
                f = index[entry]
                entries[place[f]] = entry
                tokens[place[f]] = t
                place[f] += 1


@reordered
def differentiate(
    x: Floats,
    decoder: Floats,
    value: Floats,
    gradient: Floats,
    pull: Floats,
    group: NDArray[np.uint8],
    ends: Ints,
    entries: Ints,
    tokens: Ints,
    first: int,
    last: int,
    of_encoder: Floats,
    of_bias: Floats,
    of_decoder: Floats,
) -> None:
    """Fill the gradients of the features from `first` to `last`; a decoder row's has no part along the row, of length 1."""
    d = x.shape[1]
    for f in range(first, last):
        encoding, decoding, direction = of_encoder[f], of_decoder[f], decoder[f]
        for i in range(d):
            encoding[i] = 0
            decoding[i] = 0
        total, g = np.float32(0), group[f]
        for place in range(ends[f], ends[f + 1]):
            entry, t = entries[place], tokens[place]
            size, slope, row, error = value[entry], gradient[entry], x[t], pull[t, g]
            for i in range(d):
                encoding[i] += slope * row[i]
                decoding[i] += size * error[i]
            total += slope
        of_bias[f] = total
        along = np.float32(0)
        for i in range(d):
            along += decoding[i] * direction[i]
        for i in range(d):
            decoding[i] -= along * direction[i]


@reordered
def rescale(rows: Floats, first: int, last: int) -> None:
    """Give the rows from `first` to `last` length 1."""
    for r in range(first, last):
        row, total = rows[r], np.float32(0)
        for i in range(len(row)):
            total += row[i] * row[i]
        factor = 1 / np.sqrt(total)
        for i in range(len(row)):
            row[i] *= factor
