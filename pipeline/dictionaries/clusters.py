"""k-means over a sample (Lloyd 1982, doi:10.1109/TIT.1982.1056489), from seeded starting points.

Written here because it must come out the same from one seed, and take a minute, not ten, for thousands of centroids: the
products that choose a token's centroid may be rounded to bfloat16, the centroids themselves are sums in float32.
"""

import torch
from torch import Tensor

ITERATIONS = 15
LEAST_GAIN = 1e-3  # of the sum of squared distances, below which it ends
TOKENS_AT_A_TIME = 1024


def k_means(centred: Tensor, start: Tensor) -> Tensor:
    """Centroids `[m, d]` of `centred[token, d]`, from `start[m, d]`.

    A centroid left without tokens moves to the token farthest from its own, the second such to the next, and so on.
    """
    squares = centred.square().sum(1)
    centroids, before = start.clone(), float("inf")
    for _ in range(ITERATIONS):
        nearest, distance = _assign(centred, squares, centroids)
        size = torch.bincount(nearest, minlength=len(centroids))
        sums = torch.zeros_like(centroids).index_add_(0, nearest, centred)
        centroids = sums / size.clamp_min(1).unsqueeze(1)
        empty = torch.nonzero(size == 0).squeeze(1)
        centroids[empty] = centred[torch.argsort(distance, descending=True, stable=True)[: len(empty)]]
        now = float(distance.double().sum())
        if now > (1 - LEAST_GAIN) * before and not len(empty):
            break
        before = now
    return centroids


def _assign(centred: Tensor, squares: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Of each token the nearest centroid, and the squared distance to it."""
    nearest = torch.empty(len(centred), dtype=torch.int64)
    closeness = torch.empty(len(centred))
    weights, shift = centroids.T.contiguous(), -centroids.square().sum(1) / 2
    scores = torch.empty(TOKENS_AT_A_TIME, len(centroids))
    for first in range(0, len(centred), TOKENS_AT_A_TIME):
        part = slice(first, first + TOKENS_AT_A_TIME)
        rows = centred[part]
        torch.addmm(shift, rows, weights, out=scores[: len(rows)])
        best = scores[: len(rows)].max(1)
        nearest[part], closeness[part] = best.indices, best.values
    return nearest, (squares - 2 * closeness).clamp_min(0)
