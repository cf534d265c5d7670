"""Compiled by numba for `pipeline.topk`: the k largest of each row, in one reading of it.

The row is cut into bands of LANES × DEPTH values. One reading keeps, for every lane of every band, the largest of its
DEPTH values, and the largest of all bands: LANES maxima, of which the k-th largest is a lower bound of the k-th largest
value. Lanes whose maximum reaches the bound are then looked at again; there are hardly more of them than k.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

LANES = 128
DEPTH = 8
BAND = LANES * DEPTH
GROUP = 16  # lanes looked at together
SIGN = np.int32(0x7FFFFFFF)


@compiled
def select(pre: NDArray[np.float32], k: int, index: NDArray[np.int32], value: NDArray[np.float32]) -> bool:
    """Fill `index[row, k]` and `value[row, k]` from `pre[row, m]`. False where a NaN was met; what is filled then is void."""
    m = pre.shape[1]
    padded = np.full(-(-m // BAND) * BAND, -np.inf, np.float32)
    room = _room(m)
    for r in range(len(pre)):
        row = pre[r]
        if len(padded) > m:
            for i in range(m):
                padded[i] = row[i]
            row = padded
        if not _row(row, k, index[r], value[r], room):
            return False
    return True


@compiled
def select_half(pre: NDArray[np.uint16], k: int, index: NDArray[np.int32], value: NDArray[np.float32]) -> bool:
    """The same for `pre[row, m]` of the bits of bfloat16 values: the upper half of a float32's."""
    m = pre.shape[1]
    padded = np.full(-(-m // BAND) * BAND, -np.inf, np.float32)
    bits = padded.view(np.uint32)
    room = _room(m)
    for r in range(len(pre)):
        for i in range(m):
            bits[i] = np.uint32(pre[r, i]) << np.uint32(16)
        if not _row(padded, k, index[r], value[r], room):
            return False
    return True


@compiled
def select_sum(
    pre: NDArray[np.uint16], bias: NDArray[np.float32], k: int, index: NDArray[np.int32], value: NDArray[np.float32]
) -> bool:
    """The same for `pre[row, m]` in bfloat16 bits plus `bias[m]`."""
    m = pre.shape[1]
    padded = np.full(-(-m // BAND) * BAND, -np.inf, np.float32)
    bits = padded.view(np.uint32)
    room = _room(m)
    for r in range(len(pre)):
        for i in range(m):
            bits[i] = np.uint32(pre[r, i]) << np.uint32(16)
        for i in range(m):
            padded[i] += bias[i]
        if not _row(padded, k, index[r], value[r], room):
            return False
    return True


@compiled
def _room(m: int) -> Any:
    """Working memory of `_row`: lane maxima by band and over all, candidates, their values as ordered integers, and lanes."""
    bands = -(-m // BAND)
    return (
        np.empty(bands * LANES, np.float32),
        np.empty(LANES, np.float32),
        np.empty(bands * BAND, np.int32),
        np.empty(bands * BAND, np.int32),
        np.empty(GROUP, np.int32),
    )


@compiled
def _row(row: NDArray[np.float32], k: int, index: NDArray[np.int32], value: NDArray[np.float32], room: Any) -> bool:
    maxima, largest, found, keys, reached = room
    if not lane_maxima(row, maxima, largest):
        return False
    count = 0
    if k <= LANES:
        for lane in range(LANES):
            keys[lane] = key(largest[lane])
        bound = value_of(kth(keys, LANES, k))
        count = collect(row, maxima, bound, found, reached)
    else:  # so few lanes say nothing of the k-th largest: every value is a candidate
        for i in range(len(row)):
            found[i] = i
        count = len(row)
    for i in range(count):
        keys[i] = key(row[found[i]])
    settle(row, found, keys, count, k, index, value)
    return True


@compiled
def lane_maxima(row: NDArray[np.float32], maxima: NDArray[np.float32], largest: NDArray[np.float32]) -> bool:
    """Fill `maxima[band · lane]` and `largest[lane]`; false where a value is NaN."""
    wrong = False
    for lane in range(LANES):
        largest[lane] = -np.inf
    for band in range(len(row) // BAND):
        part = row[band * BAND : (band + 1) * BAND]
        top = maxima[band * LANES : (band + 1) * LANES]
        for lane in range(LANES):
            best = part[lane]
            wrong |= best != best  # noqa: PLR0124 (true of NaN alone)
            for depth in range(1, DEPTH):
                here = part[depth * LANES + lane]
                wrong |= here != here  # noqa: PLR0124
                best = here if here > best else best
            top[lane] = best
            largest[lane] = best if best > largest[lane] else largest[lane]
    return not wrong


@compiled
def collect(
    row: NDArray[np.float32],
    maxima: NDArray[np.float32],
    bound: np.float32,
    found: NDArray[np.int32],
    reached: NDArray[np.int32],
) -> int:
    """Fill `found` with the places of values that reach the bound; how many they are. `reached[GROUP]` is room to work in.

    What is written is written always and counted where it holds: a branch that can't be foreseen costs more.
    """
    count = 0
    for first in range(0, len(maxima), GROUP):
        some = np.int32(0)
        for lane in range(first, first + GROUP):
            some += np.int32(maxima[lane] >= bound)
        if not some:
            continue
        lanes = 0
        for lane in range(first, first + GROUP):
            reached[lanes] = lane
            lanes += int(maxima[lane] >= bound)
        for i in range(lanes):
            place = reached[i] // LANES * BAND + reached[i] % LANES
            for _ in range(DEPTH):
                found[count] = place
                count += int(row[place] >= bound)
                place += LANES
    return count


@compiled
def settle(
    row: NDArray[np.float32],
    found: NDArray[np.int32],
    keys: NDArray[np.int32],
    count: int,
    k: int,
    index: NDArray[np.int32],
    value: NDArray[np.float32],
) -> None:
    """The k candidates of the largest `keys[candidate]`: those above the k-th, then those equal to it with the lowest indices."""
    least = kth(keys, count, k)
    filled = 0
    equal = 0
    for i in range(count):
        if keys[i] > least:
            index[filled] = found[i]
            filled += 1
        elif keys[i] == least:
            found[equal] = found[i]
            equal += 1
    if equal > k - filled:
        found[:equal].sort()
    for i in range(k - filled):
        index[filled + i] = found[i]
    for i in range(k):
        value[i] = row[index[i]]


@compiled
def kth(keys: NDArray[np.int32], count: int, k: int) -> np.int32:
    """The k-th largest of `keys[:count]`, by bisection."""
    low, high = np.int64(-(2**31)), np.int64(2**31 - 1)
    while low < high:
        middle = np.int32((low + high + 1) >> 1)
        above = np.int32(0)
        for i in range(count):
            above += np.int32(keys[i] >= middle)
        if above >= k:
            low = np.int64(middle)
        else:
            high = np.int64(middle) - 1
    return np.int32(low)


@compiled
def key(value: np.float32) -> np.int32:
    """An integer in the order of the values; −0 is 0."""
    bits = np.float32(value + np.float32(0)).view(np.int32)
    return np.int32(bits ^ ((bits >> np.int32(31)) & SIGN))


@compiled
def value_of(key: np.int32) -> np.float32:
    bits = np.int32(key ^ ((key >> np.int32(31)) & SIGN))
    return bits.view(np.float32)
