"""Tables that don't depend on the number of tokens, each against the product or the solution of equations it is made of."""

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.bench.shapes import Shape
from pipeline.dictionaries import Codes, Dictionary
from pipeline.dictionaries.decoders import add_moment, least_squares
from pipeline.geometry import Directions, compare
from pipeline.logits import output_tokens

VOCABULARY = 49_152
OUTPUTS = NEIGHBOURS = 10
ROWS = 1024  # rows multiplied at a time where the product is timed alone
FITTED_TOKENS = 32_768
UNIT = 2.0**-28  # of sums in fixed point


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of a table and of its product or solution alone."""

    name: str
    table: float
    alone: float


def measure_tables(shape: Shape, threads: int, fit: bool) -> Iterator[Timed]:
    """Output tokens and neighbours of a random dictionary; its decoder where `fit` is set, as it may take minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        random = torch.Generator().manual_seed(0)
        rows = torch.randn(shape.m, shape.d, generator=random)
        rows /= rows.norm(dim=1, keepdim=True)
        dictionary = Dictionary("random", "topk", rows, torch.zeros(shape.m), rows, torch.zeros(shape.d), k=shape.k)
        unembedding = torch.randn(VOCABULARY, shape.d, generator=random)
        norm = nn.LayerNorm(shape.d)
        lens = functools.partial(output_tokens, dictionary, norm, unembedding, OUTPUTS)
        yield Timed("output tokens", _seconds(lens), _seconds(functools.partial(_product, rows, unembedding)))
        near = functools.partial(_neighbours, dictionary)
        yield Timed("neighbours", _seconds(near), _seconds(functools.partial(_product, rows, rows)))
        if fit:
            yield _decoder(shape, dictionary, random)
    finally:
        torch.set_num_threads(before)


def _neighbours(dictionary: Dictionary) -> None:
    compare(Directions.of(dictionary), None, "itself", NEIGHBOURS)


def _product(left: Tensor, right: Tensor) -> None:
    out = torch.empty(ROWS, len(right))
    for start in range(0, len(left), ROWS):
        part = left[start : start + ROWS]
        torch.mm(part, right.T, out=out[: len(part)])


def _decoder(shape: Shape, dictionary: Dictionary, random: torch.Generator) -> Timed:
    """Of codes on random activations: whatever is fitted, the equations are the same size."""
    x = torch.randn(FITTED_TOKENS, shape.d, generator=random)
    codes = dictionary.encode(x)
    total = np.zeros((shape.m, shape.d), np.int64)
    add_moment(total, codes, x, UNIT)
    right = np.multiply(total, UNIT, dtype=np.float64)
    gram = torch.randn(shape.m, 64, dtype=torch.float64, generator=random)
    equations = gram @ gram.T + shape.m * torch.eye(shape.m, dtype=torch.float64)

    def solve() -> None:
        torch.cholesky_solve(torch.from_numpy(right), torch.linalg.cholesky(equations))

    def coded() -> Iterator[Codes]:
        yield codes

    return Timed("decoder", _seconds(lambda: least_squares(coded, right, shape.m)), _seconds(solve))


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
