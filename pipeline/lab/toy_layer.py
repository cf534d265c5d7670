"""A layer of a real model in the place of the toy world: activations that a build kept, as many as fit in memory.

Attention sinks, tokens whose norm exceeds ten times the median, are left out, as builds do.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.errors import UserError
from pipeline.hashing import derive
from pipeline.kept import Manifest, read_shard, shard_path
from pipeline.train.family import Units

SINK = 10.0


@dataclass(frozen=True, slots=True)
class Layer:
    """The first `tokens` ordinary tokens of a layer of kept activations in `folder`."""

    folder: Path
    layer: int
    tokens: int

    @property
    def rows(self) -> Tensor:
        """`x[token, d]`, in the model's precision. Raises UserError where the layer isn't kept, or too few tokens are."""
        return _rows(self)

    @property
    def facts(self) -> dict[str, Any]:
        """See Source."""
        manifest = Manifest.load(self.folder)
        return {"model": manifest.model, "corpus": manifest.corpus, "layer": self.layer, "tokens": self.tokens}

    def units(self, centred: bool) -> Units:
        """The mean is at 0 and the spread is 1, `centred` or not: real activations are far from 0."""
        exact = self.rows.double()
        mean = exact.mean(0)
        spread = float((exact.square().sum(1).mean() - mean.square().sum()).sqrt())
        return Units(mean.float(), spread)

    def sample(self, count: int, seed: int) -> Tensor:
        """See Source."""
        chosen = np.random.Generator(np.random.Philox(seed)).permutation(len(self.rows))[:count]
        return self.rows[torch.from_numpy(chosen)].float()

    def batches(self, size: int, seed: int, start: int) -> Iterator[Tensor]:
        """See Source; every token once before any is used again."""
        count = len(self.rows) // size
        while True:
            epoch, first = divmod(start, count)
            order = np.random.Generator(np.random.Philox(derive(seed, "epoch", str(epoch)))).permutation(len(self.rows))
            for number in range(first, count):
                yield self.rows[torch.from_numpy(order[number * size : (number + 1) * size])].float()
            start = (epoch + 1) * count


@functools.lru_cache(maxsize=1)
def _rows(layer: Layer) -> Tensor:
    manifest = Manifest.load(layer.folder)
    if layer.layer not in manifest.layers:
        kept = ", ".join(map(str, manifest.layers))
        raise UserError(f"{layer.folder} keeps layer {kept}, but --layer is {layer.layer}; give one that is kept.")
    parts: list[Tensor] = []
    limit, shard = 0.0, 0
    while sum(map(len, parts)) < layer.tokens and shard_path(layer.folder, shard).is_file():
        x = read_shard(layer.folder, shard)[layer.layer]
        norms = x.float().norm(dim=1)
        limit = limit or SINK * float(norms.median())
        parts.append(x[norms <= limit])
        shard += 1
    found = sum(map(len, parts))
    if found < layer.tokens:
        raise UserError(
            f"{layer.folder} keeps {found:,} ordinary tokens, and {layer.tokens:,} are needed; keep more contexts."
        )
    return torch.cat(parts)[: layer.tokens]
