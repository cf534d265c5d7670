"""Compiled by numba for `pipeline.topk` and the shortlists of `pipeline.dictionaries`: the k largest of each row.

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
FLAGS = 8  # of lanes, looked at together: bytes of a word
SUMS = 32  # of products, kept side by side, so that the processor adds many at once
AT_ONCE = 4  # rows summed together, so that it need not wait for each
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
    """The same for `pre[row, m]` of the bits of bfloat16 values, the upper half of a float32's: compared as 16-bit integers."""
    m = pre.shape[1]
    row = np.full(-(-m // BAND) * BAND, -(2**15), np.int16)
    maxima, largest = np.empty(len(row) // DEPTH, np.int16), np.empty(LANES, np.int16)
    _, _, found, keys = _room(m)
    for r in range(len(pre)):
        if not _half_keys(pre[r], row):
            return False
        _lane_maxima(row, maxima, largest)
        if k <= LANES:
            for lane in range(LANES):
                keys[lane] = largest[lane]
            count = _collect(row, maxima, np.int16(_kth(keys, LANES, k)), found, keys)
        else:
            count = _all(found, m)
        for i in range(count):
            keys[i] = row[found[i]]
        _settle(found, keys, count, k, index[r])
        for i in range(k):
            value[r, i] = np.uint32(np.uint32(pre[r, index[r, i]]) << np.uint32(16)).view(np.float32)
    return True


@compiled
def select_half_sum(
    pre: NDArray[np.uint16], bias: NDArray[np.float32], k: int, index: NDArray[np.int32], value: NDArray[np.float32]
) -> bool:
    """`select` for the sum of `pre[row, m]`, bits of bfloat16 values, and `bias[m]`."""
    m = pre.shape[1]
    padded = np.full(-(-m // BAND) * BAND, -np.inf, np.float32)
    room = _room(m)
    for r in range(len(pre)):
        _read(pre[r], bias, False, padded)
        if not _row(padded, k, index[r], value[r], room):
            return False
    return True


@compiled
def _half_keys(bits: NDArray[np.uint16], row: NDArray[np.int16]) -> bool:
    """Fill `row[:m]` with integers in the order of the values; −0 is 0. False where a value is NaN."""
    largest = np.uint16(0)
    for i in range(len(bits)):
        signed = np.int16(bits[i])
        size = np.uint16(bits[i] & np.uint16(0x7FFF))
        largest = max(largest, size)
        key = np.int16(signed ^ ((signed >> np.int16(15)) & np.int16(0x7FFF)))
        row[i] = np.int16(0) if size == 0 else key
    return bool(largest <= np.uint16(0x7F80))


@compiled
def _room(m: int) -> Any:
    """Working memory of a row: lane maxima by band and over all, candidates, and their values as ordered integers."""
    bands = -(-m // BAND)
    return (
        np.empty(bands * LANES, np.float32),
        np.empty(LANES, np.float32),
        np.empty(bands * BAND, np.int32),
        np.empty(bands * BAND, np.int32),
    )


@compiled
def _row(row: NDArray[np.float32], k: int, index: NDArray[np.int32], value: NDArray[np.float32], room: Any) -> bool:
    maxima, largest, found, keys = room
    if not _lane_maxima(row, maxima, largest):
        return False
    count = 0
    if k <= LANES:
        for lane in range(LANES):
            keys[lane] = _key(largest[lane])
        bound = _value(_kth(keys, LANES, k))
        count = _collect(row, maxima, bound, found, keys)
    else:
        count = _all(found, len(row))
    for i in range(count):
        keys[i] = _key(row[found[i]])
    _settle(found, keys, count, k, index)
    for i in range(k):
        value[i] = row[index[i]]
    return True


@compiled
def _all(found: NDArray[np.int32], m: int) -> int:
    """Every value is a candidate: lanes say nothing of the k-th largest where k is more than they are."""
    for i in range(m):
        found[i] = i
    return m


@compiled
def _lane_maxima(row: NDArray[Any], maxima: NDArray[Any], largest: NDArray[Any]) -> bool:
    """Fill `maxima[band · lane]` and `largest[lane]`; false where a value is NaN."""
    wrong = False
    for lane in range(LANES):
        largest[lane] = row[lane]
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
def _collect(
    row: NDArray[Any], maxima: NDArray[Any], bound: Any, found: NDArray[np.int32], room: NDArray[np.int32]
) -> int:
    """Fill `found` with the places of values that reach the bound; how many they are. `room` is as long, to work in.

    What is written is written always and counted where it holds: a branch that can't be foreseen costs more.
    """
    flags, reached = room[: len(maxima) // 4].view(np.uint8), room[len(maxima) :]
    for lane in range(len(maxima)):
        flags[lane] = maxima[lane] >= bound
    words = flags.view(np.uint64)
    some = 0
    for word in range(len(words)):
        found[some] = word
        some += int(words[word] != 0)
    lanes = 0
    for i in range(some):
        first = found[i] * FLAGS
        for lane in range(first, first + FLAGS):
            reached[lanes] = lane
            lanes += int(flags[lane])
    count = 0
    for i in range(lanes):
        place = reached[i] // LANES * BAND + reached[i] % LANES
        for _ in range(DEPTH):
            found[count] = place
            count += int(row[place] >= bound)
            place += LANES
    return count


@compiled
def _settle(found: NDArray[np.int32], keys: NDArray[np.int32], count: int, k: int, index: NDArray[np.int32]) -> None:
    """The k candidates of the largest `keys[candidate]`: those above the k-th, then those equal to it with the lowest indices."""
    least = _kth(keys, count, k)
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


@compiled
def _kth(keys: NDArray[np.int32], count: int, k: int) -> np.int32:
    """The k-th largest of `keys[:count]`, by bisection."""
    least = most = keys[0]
    for i in range(count):
        least = min(least, keys[i])
        most = max(most, keys[i])
    low, high = np.int64(least), np.int64(most)
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
def _key(value: np.float32) -> np.int32:
    """An integer in the order of the values; −0 is 0."""
    bits = np.float32(value + np.float32(0)).view(np.int32)
    return np.int32(bits ^ ((bits >> np.int32(31)) & SIGN))


@compiled
def _value(key: np.int32) -> np.float32:
    bits = np.int32(key ^ ((key >> np.int32(31)) & SIGN))
    return bits.view(np.float32)


@compiled
def choose(
    hints: NDArray[Any],
    slack: NDArray[np.float32],
    rounding: np.float32,
    x: NDArray[np.float32],
    exact: NDArray[np.float32],
    bias: NDArray[np.float32],
    absolute: bool,
    index: NDArray[np.int32],
    value: NDArray[np.float32],
) -> bool:
    """Fill `index[row, k]` and `value[row, k]` with the k largest of x · exact + bias, by `hints[row, m]` of the products.

    `slack[row]` and `rounding` bound the hints' errors: see `pipeline.dictionaries.shortlist`. False where a
    pre-activation is not finite; what is filled then is void.
    """
    m = hints.shape[1]
    k = index.shape[1]
    row = np.full(-(-m // BAND) * BAND, -np.inf, np.float32)
    maxima, largest, found, keys = _room(m)
    sums, totals = np.empty((AT_ONCE, SUMS)), np.empty(AT_ONCE)
    for r in range(len(hints)):
        _read(hints[r], bias, absolute, row)
        if not _lane_maxima(row, maxima, largest):
            return False
        count = _shortlist(row, m, k, slack[r], rounding, maxima, largest, found, keys)
        if count < k:
            return False
        if not _recompute(x[r], exact, bias, found, count, row, sums, totals):
            return False
        for i in range(count):
            keys[i] = _key(abs(row[found[i]]) if absolute else row[found[i]])
        _settle(found, keys, count, k, index[r])
        for i in range(k):
            value[r, i] = row[index[r, i]]
    return True


@compiled
def _read(hint: NDArray[Any], bias: NDArray[np.float32], absolute: bool, row: NDArray[np.float32]) -> None:
    """Fill `row[:m]` with what is to be compared."""
    m = len(hint)
    if hint.itemsize == 2:
        bits = row.view(np.uint32)
        for i in range(m):
            bits[i] = np.uint32(hint[i]) << np.uint32(16)
    else:
        for i in range(m):
            row[i] = hint[i]
    if len(bias):
        for i in range(m):
            row[i] += bias[i]
    if absolute:
        for i in range(m):
            row[i] = abs(row[i])


@compiled
def _shortlist(
    row: NDArray[np.float32],
    m: int,
    k: int,
    slack: np.float32,
    rounding: np.float32,
    maxima: NDArray[np.float32],
    largest: NDArray[np.float32],
    found: NDArray[np.int32],
    keys: NDArray[np.int32],
) -> int:
    """Fill `found` with the places that may be among the k largest; how many they are. Fewer than k where bounds overflow."""
    count = 0
    if k <= LANES:
        for lane in range(LANES):
            keys[lane] = _key(largest[lane])
        least = _reach(_value(_kth(keys, LANES, k)), slack, rounding)
        count = _collect(row, maxima, least, found, keys)
    else:
        count = _all(found, m)
    if count < k:
        return count
    for i in range(count):
        keys[i] = _key(row[found[i]])
    least = _reach(_value(_kth(keys, count, k)), slack, rounding)
    kept = 0
    for i in range(count):
        if row[found[i]] >= least:
            found[kept] = found[i]
            kept += 1
    return kept


@compiled
def _reach(kth: np.float32, slack: np.float32, rounding: np.float32) -> np.float32:
    """What a hint must reach for its true value to be possibly as large as that of the k-th largest hint."""
    truth = kth - rounding * abs(kth) - np.float32(2) * slack
    return truth / (np.float32(1) + rounding if truth > 0 else np.float32(1) - rounding)


@compiled
def _recompute(
    x: NDArray[np.float32],
    exact: NDArray[np.float32],
    bias: NDArray[np.float32],
    found: NDArray[np.int32],
    count: int,
    row: NDArray[np.float32],
    sums: NDArray[np.float64],
    totals: NDArray[np.float64],
) -> bool:
    """Put the true pre-activations of `found[:count]` into `row`. False where one is not finite."""
    finite = True
    for first in range(0, count, AT_ONCE):
        last = min(first + AT_ONCE, count) - 1
        _dots(
            x,
            exact[found[first]],
            exact[found[min(first + 1, last)]],
            exact[found[min(first + 2, last)]],
            exact[found[last]],
            sums,
            totals,
        )
        totals[last - first] = totals[AT_ONCE - 1]
        for i in range(first, last + 1):
            total = totals[i - first]
            if len(bias):
                total += np.float64(bias[found[i]])
            row[found[i]] = total
            finite &= np.isfinite(row[found[i]])
    return finite


@compiled
def _dots(
    x: NDArray[np.float32],
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    c: NDArray[np.float32],
    d: NDArray[np.float32],
    sums: NDArray[np.float64],
    totals: NDArray[np.float64],
) -> None:
    """Of x with each of the rows. Products are exact; float64 sums are in an order of their own: `sums[i % SUMS]`, then those."""
    of_a, of_b, of_c, of_d = sums[0], sums[1], sums[2], sums[3]
    for i in range(SUMS):
        of_a[i] = of_b[i] = of_c[i] = of_d[i] = 0.0
    whole = len(x) // SUMS * SUMS
    for first in range(0, whole, SUMS):
        xs = x[first : first + SUMS]
        here_a, here_b = a[first : first + SUMS], b[first : first + SUMS]
        here_c, here_d = c[first : first + SUMS], d[first : first + SUMS]
        for i in range(SUMS):
            value = np.float64(xs[i])
            of_a[i] += value * np.float64(here_a[i])
            of_b[i] += value * np.float64(here_b[i])
            of_c[i] += value * np.float64(here_c[i])
            of_d[i] += value * np.float64(here_d[i])
    for i in range(whole, len(x)):
        value, place = np.float64(x[i]), i - whole
        of_a[place] += value * np.float64(a[i])
        of_b[place] += value * np.float64(b[i])
        of_c[place] += value * np.float64(c[i])
        of_d[place] += value * np.float64(d[i])
    for place in range(AT_ONCE):
        totals[place] = 0.0
        for i in range(SUMS):
            totals[place] += sums[place, i]
