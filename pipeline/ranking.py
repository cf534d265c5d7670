"""For every row of one matrix, the rows of another with the largest inner products: a blocked product, and never all of it.

A block is ROWS × KEYS products in a buffer that is used again; of each only the n largest are kept, and merged at the
end. Equal products go by the lower index, and block shapes are fixed, so that the result is the same wherever it is made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.sift import keep_largest, sift
from pipeline.topk import top_k

ROWS = 256
KEYS = 32_768


@dataclass(frozen=True, slots=True)
class Ranked:
    """`index[row, n]` (int32) and `value[row, n]` (float32), largest value first."""

    index: NDArray[np.int32]
    value: NDArray[np.float32]


def largest(rows: Tensor, keys: Tensor, n: int, *, itself: bool = True) -> Ranked:
    """The n largest of `rows[row, d] · keys[key, d]` for every row; fewer where there are fewer keys.

    Where not `itself`, rows and keys are the same list, and no row is ranked for itself.
    """
    n = max(0, min(n, len(keys) if itself else len(keys) - 1))
    result = _empty(len(rows), n)
    for start, found in _blocks(rows, keys, n, itself, both=False):
        _store(result, start, found[0])
    return result


def both_ways(rows: Tensor, keys: Tensor, n: int) -> tuple[Ranked, Ranked]:
    """`largest` of every row among the keys, and of every key among the rows; on a CPU from one product."""
    if not len(rows) or not len(keys) or rows.device.type != "cpu":
        return largest(rows, keys, n), largest(keys, rows, n)
    wanted = min(n, len(rows))
    columns = _Columns(
        np.full(len(keys), -np.inf, np.float32),
        np.zeros(len(keys), np.int32),
        np.empty((len(keys), 2 * wanted), np.int32),
        np.empty((len(keys), 2 * wanted), np.float32),
    )

    def see(start: int, first: int, products: Tensor) -> None:
        some = slice(first, first + products.shape[1])
        held = columns.index[some], columns.value[some]
        sift(products.numpy(), start, wanted, columns.least[some], columns.filled[some], *held)

    result = _empty(len(rows), min(n, len(keys)))
    for start, ranked in _blocks(rows, keys, min(n, len(keys)), True, both=False, see=see):
        _store(result, start, ranked[0])
    keep_largest(columns.filled, columns.index, columns.value, wanted)
    return result, _sorted(columns.index[:, :wanted], columns.value[:, :wanted], wanted)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Of every key: what a product must exceed, how many are held, and those."""

    least: NDArray[np.float32]
    filled: NDArray[np.int32]
    index: NDArray[np.int32]
    value: NDArray[np.float32]


def extremes(rows: Tensor, keys: Tensor, n: int) -> tuple[Ranked, Ranked]:
    """The n largest and the n smallest products (smallest first) for every row, from one product."""
    n = min(n, len(keys))
    top, bottom = _empty(len(rows), n), _empty(len(rows), n)
    for start, (large, small) in _blocks(rows, keys, n, True, both=True):
        _store(top, start, large)
        _store(bottom, start, Ranked(small.index, -small.value))
    return top, bottom


def _blocks(
    rows: Tensor,
    keys: Tensor,
    n: int,
    itself: bool,
    both: bool,
    see: Callable[[int, int, Tensor], None] | None = None,
) -> Iterator[tuple[int, list[Ranked]]]:
    """By block of rows: its first row, and what is largest in the products (and in the products times −1).

    `see` is shown the first row, the first key and the products of every block.
    """
    if n < 1:
        return
    spans = [(first, min(KEYS, len(keys) - first)) for first in range(0, len(keys), KEYS)]
    buffer = torch.empty(ROWS * min(KEYS, len(keys)), device=rows.device)
    held = sum(min(n, width) for _, width in spans)
    sides = [(torch.empty(ROWS, held, dtype=torch.int32), torch.empty(ROWS, held)) for _ in range(1 + both)]
    for start in range(0, len(rows), ROWS):
        block = rows[start : start + ROWS]
        place = 0
        for first, width in spans:
            products = buffer[: len(block) * width].view(len(block), width)
            torch.mm(block, keys[first : first + width].T, out=products)
            if not itself and first < start + ROWS and start < first + width:
                own = torch.arange(max(start, first), min(start + len(block), first + width), device=rows.device)
                products[own - start, own - first] = -torch.inf
            if see is not None:
                see(start, first, products)
            kept = min(n, width)
            for side, (index, value) in enumerate(sides):
                if side:
                    products.neg_()
                found = index[: len(block), place : place + kept], value[: len(block), place : place + kept]
                _top_k(products, kept, *found)
                found[0].add_(first)
            place += kept
        yield start, [_sorted(index[: len(block)].numpy(), value[: len(block)].numpy(), n) for index, value in sides]


def _top_k(products: Tensor, n: int, index: Tensor, value: Tensor) -> None:
    """As `top_k`, into slices that need not be contiguous, on the CPU."""
    own = torch.empty(index.shape, dtype=torch.int32, device=products.device)
    of_own = torch.empty(value.shape, device=products.device)
    top_k(products, n, own, of_own)
    index.copy_(own)
    value.copy_(of_own)


def _sorted(index: NDArray[np.int32], value: NDArray[np.float32], n: int) -> Ranked:
    """The n largest of each row in order, equal values by index: one sort of 64-bit keys that hold both."""
    bits = (value + np.float32(0)).view(np.uint32)  # −0 becomes 0
    descending = np.where(bits >> 31, bits, ~bits & np.uint32(0x7FFFFFFF))
    keys = np.sort(descending.astype(np.uint64) << np.uint64(32) | index.astype(np.uint64), axis=1)[:, :n]
    high = (keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(high >> 31, high, ~high & np.uint32(0x7FFFFFFF))
    return Ranked((keys & np.uint64(0xFFFFFFFF)).astype(np.int32), bits.view(np.float32))


def _empty(rows: int, n: int) -> Ranked:
    return Ranked(np.empty((rows, n), np.int32), np.empty((rows, n), np.float32))


def _store(result: Ranked, start: int, found: Ranked) -> None:
    result.index[start : start + len(found.index)] = found.index
    result.value[start : start + len(found.value)] = found.value
