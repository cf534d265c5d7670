"""Inner products of sign vectors: all pairs in blocks, and with one fixed vector.

The pairs are taken in whole blocks, the later blocks last, so that one pass over m vectors gives the figures of every
prefix of them too: the first n, 2n, 4n … are dictionaries of their own. Products of ±1 and their sums are whole numbers
that bfloat16 factors and a float32 sum hold exactly, so the fast product is exact here.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.dictionaries.directions import random_sign
from pipeline.hashing import derive

BLOCK = 1024  # rows: a block of products is 4 MB


@dataclass(frozen=True, slots=True)
class Pairs:
    """The inner products of all pairs of `m` unit vectors.

    Their root mean square, the largest |value|, and `nearest`: the mean over vectors of the largest value, which is the cosine
    with the nearest neighbour.
    """

    m: int
    rms: float
    largest: float
    nearest: float


def pairs_of_prefixes(n: int, sizes: Sequence[int], seed: int, advance: Callable[[int], None]) -> list[Pairs]:
    """Figures of the first m of `max(sizes)` sign vectors, for each m of `sizes`; `advance` counts multiplications."""
    sizes = sorted(sizes)
    block = math.gcd(BLOCK, *sizes)
    signs = torch.split(random_sign(sizes[-1], n, seed).sign(), block)
    nearest = np.full((len(signs), block), -float(n), np.float32)
    gram = torch.zeros(n, n, dtype=torch.float64)
    largest = 0.0
    found = []
    with _fast_products():
        for last, rows in enumerate(signs):
            for first in range(last + 1):
                products = (signs[first] @ rows.T).numpy()  # whose maxima over rows are many times as fast as torch's
                if first == last:
                    np.fill_diagonal(products, 0)
                largest = max(largest, float(products.max()), -float(products.min()))
                if first == last:
                    np.fill_diagonal(products, -n)
                np.maximum(nearest[first], products.max(1), out=nearest[first])
                np.maximum(nearest[last], products.max(0), out=nearest[last])
                advance(block * block * n)
            gram += rows.T @ rows
            m = block * (last + 1)
            if m in sizes:
                # Σ (xᵢ·xⱼ)² over all i, j is ‖XᵀX‖²; of it, the n² of each i = j go.
                squares = float(gram.square().sum()) - m * n * n
                mean = float(nearest[: last + 1].mean(dtype=np.float64)) / n
                found.append(Pairs(m, math.sqrt(squares / (m * (m - 1))) / n, largest / n, mean))
    return found


def products_with_one(n: int, m: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A fixed y ~ N(0, I), `y[n]`, and its inner products with m sign vectors, `products[m]`."""
    y = np.random.Generator(np.random.Philox(derive(seed, "y"))).standard_normal(n)
    return y, (random_sign(m, n, derive(seed, "directions")) @ torch.from_numpy(y).float()).double().numpy()


def nearest_to(features: Tensor, directions: Tensor) -> Tensor:
    """`nearest[feature]`: the largest cosine of each of `features[feature, n]` with `directions[m, n]`, all unit rows."""
    return torch.stack([(features @ part.T).amax(1) for part in torch.split(directions, BLOCK)]).amax(0)


@contextmanager
def _fast_products() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
