"""What nothing can be faster than: the stopped forward pass and the encoder's product, each alone, on the same workers."""

import functools
import time

import numpy as np
import torch
from torch import Tensor

from pipeline.bench.shapes import Ground
from pipeline.engines import silent
from pipeline.engines.local import Local
from pipeline.sample import SHARD_CONTEXTS
from pipeline.streaming import FromModel, Precision, Shard
from pipeline.topk import top_k

BLOCKS = (256, 1024)  # rows multiplied at a time: the limit is that of the better one


def warm(engine: Local, source: FromModel, ground: Ground) -> None:
    """Start the workers, have each load the model, and compile what is compiled: none of that is counted.

    A worker that is busy loading takes no second piece, so that every worker gets one.
    """
    tokens = np.zeros((SHARD_CONTEXTS, ground.shape.length), np.int32)
    pieces = [Shard(number, 0, tokens) for number in range(2 * engine.workers)]
    for _ in engine.run(functools.partial(_begin, source), pieces, silent):
        pass


def forward_alone(engine: Local, source: FromModel, ground: Ground) -> float:
    """Seconds for all the shape's tokens."""
    shape = ground.shape
    tokens = np.random.default_rng(0).integers(0, 40_000, (SHARD_CONTEXTS, shape.length)).astype(np.int32)
    return _seconds(engine, functools.partial(_forward, source), [Shard(n, 0, tokens) for n in range(shards(ground))])


def product_alone(engine: Local, ground: Ground, precision: Precision) -> float:
    """Seconds for all the shape's tokens."""
    shape = ground.shape
    work = functools.partial(_product, shape.d, shape.m, shape.length * SHARD_CONTEXTS, precision)
    for _ in engine.run(work, [0] * (2 * engine.workers), silent):
        pass
    return _seconds(engine, work, list(range(shards(ground))))


def shards(ground: Ground) -> int:
    return ground.shape.contexts // SHARD_CONTEXTS


def _seconds(engine: Local, work: "functools.partial[float]", pieces: list[Shard] | list[int]) -> float:
    """What the workers say that they needed, shared among them: what starting a piece takes is no limit."""
    return sum(found for _, found in engine.run(work, pieces, silent)) / engine.workers


def _begin(source: FromModel, shard: Shard) -> None:
    source.read(shard)
    pre = torch.randn(8, 2048)
    for precision in (torch.float32, torch.bfloat16):
        top_k(pre.to(precision), 4, torch.empty(8, 4, dtype=torch.int32), torch.empty(8, 4))


def _forward(source: FromModel, shard: Shard) -> float:
    begun = time.perf_counter()
    source.read(shard)
    return time.perf_counter() - begun


def _product(d: int, m: int, tokens: int, precision: Precision, _: int) -> float:
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    x, weights = torch.randn(tokens, d).to(dtype), torch.randn(m, d).to(dtype).T
    return min(_multiplied(x, weights, block) for block in BLOCKS)


def _multiplied(x: Tensor, weights: Tensor, block: int) -> float:
    out = torch.empty(block, weights.shape[1], dtype=x.dtype)
    begun = time.perf_counter()
    for start in range(0, len(x), block):
        part = x[start : start + block]
        torch.mm(part, weights, out=out[: len(part)])
    return time.perf_counter() - begun
