"""The k largest pre-activations of each token, exactly, from a product that was made in a hurry.

The encoder's product is made in bfloat16 where the processor is quick at it, else in float32: a hint. An error bound turns
it into a shortlist from which no feature of the true k is missing, hardly longer than k; what is on the shortlist is
summed again in float64, in a fixed order. Values are thus better than those of a float32 product, at a third of its cost,
and the same bits on every processor, whatever made the hint.

The bound, for x̂ and ê as rounded for the product, and p the true pre-activation without its bias:

    |x·e − x̂·ê| ≤ ‖x − x̂‖ ‖e‖ + ‖x̂‖ ‖e − ê‖,  summing in float32 adds at most d 2⁻²² ‖x̂‖ ‖ê‖,  rounding the product r |p|
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.compiled import compiled
from pipeline.dictionaries.codes import Codes
from pipeline.kernels import BAND, GROUP, LANES, collect, key, kth, lane_maxima, settle, value_of

SUMMING = 2.0**-22  # of one addition in float32, with room to spare for how a processor goes about it
ROUNDING = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-22}  # of a product, relative to it
SUMS = 32  # kept side by side, so that the processor adds many at once
AT_ONCE = 4  # rows summed together, so that it need not wait for each


@functools.cache
def hint_dtype() -> torch.dtype:
    """What this processor multiplies fastest. No result depends on it."""
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


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
        rounded = encoder.to(dtype or hint_dtype())
        lost = (encoder - rounded.float()).norm(dim=1).max()
        exact, bias = encoder.contiguous(), bias if bool(bias.any()) else bias[:0]
        return cls(exact, bias, rounded.T, float(exact.norm(dim=1).max()), float(lost), k, absolute)

    def slack(self, x: Tensor, rough: Tensor) -> NDArray[np.float32]:
        """By how much a pre-activation may be off for each row, apart from ROUNDING times itself."""
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
        self.hints = torch.empty(0, len(by.exact), dtype=by.rounded.dtype)

    def add(self, x: Tensor, rows: slice) -> None:
        """Encode `x[row, d]`, float32. Raises FloatingPointError where a pre-activation is NaN or infinite."""
        by, rough = self.by, x.to(self.by.rounded.dtype)
        if len(self.hints) < len(x):
            self.hints = torch.empty(len(x), len(by.exact), dtype=rough.dtype)
        hint = torch.mm(rough, by.rounded, out=self.hints[: len(x)])
        rounding = np.float32(ROUNDING[rough.dtype])
        work = (by.slack(x, rough), rounding, x.numpy(), by.exact.numpy(), by.bias.numpy(), by.absolute)
        if not _choose(_bits(hint), *work, self.index[rows].numpy(), self.value[rows].numpy()):
            raise FloatingPointError("a pre-activation is NaN or infinite")

    def codes(self) -> Codes:
        return Codes.of_top(self.index, self.value.relu_() if self.positive else self.value)


def _bits(hint: Tensor) -> NDArray[Any]:
    """The values themselves; of bfloat16, which numpy does not have, the bits."""
    found: NDArray[Any] = (
        hint.numpy() if hint.dtype == torch.float32 else hint.view(torch.int16).numpy().view(np.uint16)
    )
    return found


@compiled
def _choose(
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
    """Fill `index[row, k]` and `value[row, k]`. False where a pre-activation is not finite; what is filled then is void."""
    m = hints.shape[1]
    k = index.shape[1]
    row = np.full(-(-m // BAND) * BAND, -np.inf, np.float32)
    bands = len(row) // BAND
    maxima, largest = np.empty(bands * LANES, np.float32), np.empty(LANES, np.float32)
    found, keys = np.empty(len(row), np.int32), np.empty(len(row), np.int32)
    reached, sums, totals = np.empty(GROUP, np.int32), np.empty((AT_ONCE, SUMS)), np.empty(AT_ONCE)
    for r in range(len(hints)):
        _read(hints[r], bias, absolute, row)
        if not lane_maxima(row, maxima, largest):
            return False
        count = _shortlist(row[:m], k, slack[r], rounding, maxima, largest, found, keys, reached)
        if count < k:
            return False
        if not _recompute(x[r], exact, bias, found, count, row, sums, totals):
            return False
        for i in range(count):
            keys[i] = key(abs(row[found[i]]) if absolute else row[found[i]])
        settle(row, found, keys, count, k, index[r], value[r])
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
    k: int,
    slack: np.float32,
    rounding: np.float32,
    maxima: NDArray[np.float32],
    largest: NDArray[np.float32],
    found: NDArray[np.int32],
    keys: NDArray[np.int32],
    reached: NDArray[np.int32],
) -> int:
    """Fill `found` with the places that may be among the k largest; how many they are. Fewer than k where bounds overflow."""
    count = 0
    if k <= LANES:
        for lane in range(LANES):
            keys[lane] = key(largest[lane])
        least = _reach(value_of(kth(keys, LANES, k)), slack, rounding)
        count = collect(row, maxima, least, found, reached)
    else:
        for i in range(len(row)):
            found[i] = i
        count = len(row)
    if count < k:
        return count
    for i in range(count):
        keys[i] = key(row[found[i]])
    least = _reach(value_of(kth(keys, count, k)), slack, rounding)
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
