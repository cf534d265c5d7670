"""Shuffled batches of a site's fitting tokens, read shard by shard, that can start anywhere.

An epoch takes the shards in a seeded order, a buffer of them at a time, and shuffles the tokens within the buffer: memory
is that of one buffer, whatever the corpus. What is left at a buffer's end, less than a batch, is dropped.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from app.errors import UserError
from pipeline.hashing import derive
from pipeline.kept import Kept

BUFFER_SHARDS = 16


def batches(kept: Kept, batch: int, seed: int, start: int) -> Iterator[Tensor]:
    """Batches `x[batch, d]` without end, from the one numbered `start`; the same ones whatever `start` was.

    Raises UserError where the tokens that are shuffled at a time are fewer than a batch.
    """
    sizes = {shard: size for shard, size in enumerate(kept.fit_sizes()) if size}
    fitting = np.array(list(sizes))
    buffer = sum(sorted(sizes.values())[:BUFFER_SHARDS])  # of the smallest, so that a full buffer always holds a batch
    if batch > buffer:
        raise UserError(
            f"a batch of {batch:,} tokens is more than the {buffer:,} fitting tokens that are shuffled at a time; lower "
            "batch, or raise the site's contexts."
        )
    epoch = 0
    while True:
        order = np.random.default_rng(derive(seed, "epoch", str(epoch))).permutation(fitting)
        for first in range(0, len(order), BUFFER_SHARDS):
            members = order[first : first + BUFFER_SHARDS]
            tokens = sum(sizes[int(shard)] for shard in members)
            count = tokens // batch
            if start < count:
                rows = torch.cat([kept.fit_rows(int(shard)) for shard in members])
                shuffle = torch.Generator().manual_seed(derive(seed, "buffer", str(epoch), str(first)))
                rows = rows[torch.randperm(tokens, generator=shuffle)]
                for number in range(start, count):
                    yield rows[number * batch : (number + 1) * batch]
            start = max(0, start - count)
        epoch += 1
