"""For every row of one matrix, the rows of another with the largest inner products: a blocked product, and never all of it.

On a CPU the product is but a hint, made as fast as the processor can, and what may be among the n largest is summed again
exactly (`pipeline.dictionaries.shortlist`): the result is the same bits wherever it is made. On other devices, and where one
product serves two matrices, the product itself counts. Equal products go by the lower index.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.dictionaries.shortlist import Shortlister
from pipeline.sift import keep_largest, sift
from pipeline.topk import top_k

ROWS = 1024  # multiplied at a time, where there are few keys
PRODUCTS = 2**23  # at a time, at most, however many keys there are


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
    return _joined([product.largest() for product in _products(rows, keys, n, itself)], len(rows), n)


def extremes(rows: Tensor, keys: Tensor, n: int) -> tuple[Ranked, Ranked]:
    """The n largest and the n smallest products (smallest first) for every row, from one product."""
    n = min(n, len(keys))
    above, below = [], []
    for product in _products(rows, keys, n, itself=True):
        above.append(product.largest())
        product.negate()
        below.append(product.largest())
    bottom = _joined(below, len(rows), n)
    return _joined(above, len(rows), n), Ranked(bottom.index, -bottom.value)


def both_ways(rows: Tensor, keys: Tensor, n: int) -> tuple[Ranked, Ranked]:
    """`largest` of every row among the keys, and of every key among the rows; on a CPU from one product."""
    if not len(rows) or not len(keys) or rows.device.type != "cpu":
        return largest(rows, keys, n), largest(keys, rows, n)
    wanted = min(n, len(rows))
    least, filled = np.full(len(keys), -np.inf, np.float32), np.zeros(len(keys), np.int32)
    index, value = np.empty((len(keys), 2 * wanted), np.int32), np.empty((len(keys), 2 * wanted), np.float32)
    found, seen = [], 0
    for product in _plain(rows, keys, min(n, len(keys)), itself=True):
        sift(product.products.numpy(), seen, wanted, least, filled, index, value)
        found.append(product.largest())
        seen += len(product.products)
    keep_largest(filled, index, value, wanted)
    return _joined(found, len(rows), min(n, len(keys))), _sorted(index[:, :wanted], value[:, :wanted])


class _Product(Protocol):
    """The products of a block of rows with all keys."""

    def largest(self) -> Ranked:
        """The n largest of each row."""

    def negate(self) -> None:
        """Multiply by −1."""


@dataclass(slots=True)
class _Plain:
    """Products that count."""

    products: Tensor
    n: int

    def largest(self) -> Ranked:
        index = self.products.new_empty(len(self.products), self.n, dtype=torch.int32)
        value = torch.empty_like(index, dtype=torch.float32)
        top_k(self.products, self.n, index, value)
        return _sorted(index.cpu().numpy(), value.cpu().numpy())

    def negate(self) -> None:
        self.products.neg_()


@dataclass(slots=True)
class _Hinted:
    """Products that say which of `x · keys` to look at. Rows are shared among as many threads as torch has."""

    by: Shortlister
    x: Tensor
    hint: Tensor
    slack: NDArray[np.float32]

    def largest(self) -> Ranked:
        index, value = torch.empty(len(self.x), self.by.k, dtype=torch.int32), torch.empty(len(self.x), self.by.k)
        threads = torch.get_num_threads()
        share = -(-len(self.x) // threads)

        def choose(first: int) -> None:
            some = slice(first, first + share)
            self.by.choose(self.hint[some], self.slack[some], self.x[some], index[some], value[some])

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(choose, range(0, len(self.x), share)))
        return _sorted(index.numpy(), value.numpy())

    def negate(self) -> None:
        self.hint.neg_()
        self.x = -self.x


def _products(rows: Tensor, keys: Tensor, n: int, itself: bool) -> Iterator[_Product]:
    if rows.device.type != "cpu":
        return _plain(rows, keys, n, itself)
    return _hinted(rows, keys, n, itself) if n > 0 else iter(())


def _plain(rows: Tensor, keys: Tensor, n: int, itself: bool) -> Iterator[_Plain]:
    room = keys.new_empty(_at_a_time(rows, keys), len(keys))
    for start, x in _blocks(rows, len(room), n):
        products = torch.mm(x, keys.T, out=room[: len(x)])
        yield _Plain(products if itself else _without_itself(products, start), n)


def _hinted(rows: Tensor, keys: Tensor, n: int, itself: bool) -> Iterator[_Hinted]:
    by = Shortlister.of(keys, torch.empty(0), n, absolute=False)
    room = by.room(_at_a_time(rows, keys))
    for start, x in _blocks(rows, len(room), n):
        hint, slack = by.hint(x, room)
        yield _Hinted(by, x, hint if itself else _without_itself(hint, start), slack)


def _at_a_time(rows: Tensor, keys: Tensor) -> int:
    return max(1, min(len(rows), ROWS, PRODUCTS // max(len(keys), 1)))


def _blocks(rows: Tensor, at_a_time: int, n: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(rows) if n > 0 else 0, at_a_time):
        yield start, rows[start : start + at_a_time].contiguous()


def _without_itself(products: Tensor, start: int) -> Tensor:
    own = torch.arange(len(products), device=products.device)
    products[own, start + own] = -torch.inf
    return products


def _sorted(index: NDArray[np.int32], value: NDArray[np.float32]) -> Ranked:
    """In order, equal values by index: one sort of 64-bit keys that hold both."""
    bits = (value + np.float32(0)).view(np.uint32)  # −0 becomes 0
    descending = np.where(bits >> 31, bits, ~bits & np.uint32(0x7FFFFFFF))
    keys = np.sort(descending.astype(np.uint64) << np.uint64(32) | index.astype(np.uint64), axis=1)
    high = (keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(high >> 31, high, ~high & np.uint32(0x7FFFFFFF))
    return Ranked((keys & np.uint64(0xFFFFFFFF)).astype(np.int32), bits.view(np.float32))


def _joined(found: list[Ranked], rows: int, n: int) -> Ranked:
    if not found:
        return Ranked(np.empty((rows, n), np.int32), np.empty((rows, n), np.float32))
    return Ranked(*(np.concatenate([getattr(part, name) for part in found]) for name in ("index", "value")))
