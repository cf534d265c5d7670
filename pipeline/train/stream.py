"""Shuffled batches of a site's fitting tokens, read shard by shard, that can start anywhere.

An epoch takes the shards in a seeded order, a buffer of them at a time, and shuffles the tokens within the buffer: memory
is that of one buffer, whatever the corpus. What is left at a buffer's end, less than a batch, is dropped.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pipeline.activations import ShardFolder
from pipeline.hashing import derive

BUFFER_SHARDS = 16


def batches(shards: ShardFolder, batch: int, seed: int, start: int) -> Iterator[Tensor]:
    """Batches `x[batch, d]` without end, from the one numbered `start`; the same ones whatever `start` was."""
    sizes = _fit_sizes(shards)
    batch = min(batch, sum(sorted(sizes)[:BUFFER_SHARDS]))  # so that a full buffer always holds one
    epoch = 0
    while True:
        order = np.random.default_rng(derive(seed, "epoch", str(epoch))).permutation(shards.count)
        for first in range(0, shards.count, BUFFER_SHARDS):
            members = order[first : first + BUFFER_SHARDS]
            tokens = sum(sizes[shard] for shard in members)
            count = tokens // batch
            if start < count:
                rows = torch.cat([shards.fit_rows(int(shard)) for shard in members])
                shuffle = torch.Generator().manual_seed(derive(seed, "buffer", str(epoch), str(first)))
                rows = rows[torch.randperm(tokens, generator=shuffle)]
                for number in range(start, count):
                    yield rows[number * batch : (number + 1) * batch]
            start = max(0, start - count)
        epoch += 1


def _fit_sizes(shards: ShardFolder) -> list[int]:
    allowed, held_out = shards.allowed(), shards.contexts.held_out
    return [int(allowed[span][~held_out[span]].sum()) for span in map(shards.span, range(shards.count))]
