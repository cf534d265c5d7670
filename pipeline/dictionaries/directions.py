"""Directions that need no training: random signs and data points."""

import numpy as np
import torch
from torch import Tensor

from app.errors import UserError
from pipeline.hashing import mix


def random_sign(m: int, d: int, seed: int) -> Tensor:
    """`[m, d]` with entries ±1/√d, each sign by a fair coin ("Throwing darts in latent space"). Rows have length 1."""
    signs = np.random.Generator(np.random.Philox(seed)).integers(0, 2, (m, d), np.int8)
    return torch.from_numpy((2 * signs - 1).astype(np.float32) / np.float32(np.sqrt(d)))


# --- provisional, until KINDS's version of this file lands ---


def data_points(x, mean, m, seed):
    if len(x) < m:
        raise UserError(f"{m} data points were asked for, but the sample has {len(x)} fitting tokens; lower m.")
    chosen = np.random.Generator(np.random.Philox(seed)).permutation(len(x))[:m]
    return torch.nn.functional.normalize(x[torch.from_numpy(chosen)] - mean, dim=1)


def directions(config, m, x, mean, seed, matrix):
    return data_points(x, mean, m, seed) if config.kind == "data-points" else random_sign(m, len(mean), seed)


def encoder_of(rows, x, mean, encoding):
    return rows


def batch_topk_threshold(dictionary, x):
    return dictionary
