"""Directions that need no training: random signs and data points."""

import numpy as np
import torch
from torch import Tensor

from app.errors import UserError
from pipeline.activations import ShardFolder
from pipeline.hashing import mix


def random_sign(m: int, d: int, seed: int) -> Tensor:
    """`[m, d]` with entries ±1/√d, each sign by a fair coin ("Throwing darts in latent space"). Rows have length 1."""
    signs = np.random.Generator(np.random.Philox(seed)).integers(0, 2, (m, d), np.int8)
    return torch.from_numpy((2 * signs - 1).astype(np.float32) / np.float32(np.sqrt(d)))


def data_points(shards: ShardFolder, mean: Tensor, m: int, seed: int) -> Tensor:
    """`[m, d]`: the fitting tokens with the m smallest seeded hashes, less the mean, scaled to length 1.

    Raises UserError where the site has fewer than m fitting tokens.
    """
    keys = np.zeros(0, np.uint64)
    points = torch.zeros(0, len(mean))
    for shard in range(shards.count):
        rows = shards.rows(shard)
        fit = ~rows.held_out
        keys = np.concatenate([keys, mix(seed, rows.context[fit], rows.position[fit])])
        points = torch.cat([points, rows.x[torch.from_numpy(fit)]])
        order = np.argsort(keys, kind="stable")[:m]
        keys, points = keys[order], points[torch.from_numpy(order)]
    if len(points) < m:
        raise UserError(
            f"{m} data points were asked for, but the site has {len(points)} fitting tokens; lower m or raise `contexts`."
        )
    return torch.nn.functional.normalize(points - mean, dim=1)
