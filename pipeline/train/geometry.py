"""Points and directions that training needs: the geometric median, rows that turn, rows near their start, rows apart."""

import torch
from torch import Tensor

ROUNDS = 50
CHUNK = 512  # decoder rows that are compared with each other


def geometric_median(x: Tensor) -> Tensor:
    """The point `[d]` with the least sum of distances to `x[token, d]`, by Weiszfeld's algorithm.

    Where b_dec starts in Bricken et al. 2023 and Gao et al. 2024: unlike the mean it follows no few extreme tokens.
    """
    centre = x.mean(0)
    for _ in range(ROUNDS):
        weight = 1 / (x - centre).norm(dim=1).clamp_min(1e-12)
        moved = weight @ x / weight.sum()
        done = float((moved - centre).norm()) <= 1e-6 * float(moved.norm())
        centre = moved
        if done:
            break
    return centre


def tangent(gradient: Tensor, rows: Tensor) -> None:
    """Take away the part of `gradient[m, d]` along `rows[m, d]` of length 1, which rescaling would undo."""
    gradient -= torch.linalg.vecdot(gradient, rows)[:, None] * rows


def hold_near(rows: Tensor, start: Tensor, cosine: float) -> None:
    """Turn each row back towards its start where their cosine is below `cosine` (Korznikov et al. 2026, arXiv:2602.14111)."""
    found = torch.linalg.vecdot(rows, start)
    far = (found < cosine).nonzero()[:, 0]
    if len(far):
        across = rows[far] - found[far, None] * start[far]
        across /= across.norm(dim=1, keepdim=True).clamp_min(1e-12)
        rows[far] = cosine * start[far] + (1 - cosine**2) ** 0.5 * across


def push_apart(rows: Tensor, gradient: Tensor, coefficient: float, seed: int) -> float:
    """Add the gradient of `coefficient` × the mean of each row's largest squared cosine to another; gives that penalty.

    Rows are compared within chunks, cut anew by `seed`, as in OrtSAE (Korznikov et al. 2025, arXiv:2509.22033).
    """
    m = len(rows)
    order, total = torch.randperm(m, generator=torch.Generator().manual_seed(seed)), 0.0
    for members in torch.split(order, CHUNK):
        some = rows[members]
        cosines = (some @ some.T).fill_diagonal_(0)
        nearest = cosines.abs().argmax(1)
        largest = cosines.gather(1, nearest[:, None])
        total += float(largest.square().sum())
        force = 2 * coefficient / m * largest
        found = (force * some[nearest]).index_add_(0, nearest, force * some)
        tangent(found, some)
        gradient[members] += found
    return coefficient * total / m
