"""Dead features started anew from tokens that are badly explained (Bricken et al. 2023, "Towards Monosemanticity", appendix).

A token is drawn with a probability in proportion to its squared loss; the feature's decoder row becomes its direction, its
encoder row the same at a fifth of the mean length of the living ones (at that length, where features compete for k places),
and the optimiser forgets what it knew of the feature.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.train.family import Family


def resampled_at(steps: int, times: int) -> set[int]:
    """The steps after which dead features are started anew: evenly over the first half of the run."""
    return {round(steps / 2 * number / times) for number in range(1, times + 1)}


def resample(
    family: Family, dead: Tensor, x: Tensor, optimiser: torch.optim.Adam, begin: Mapping[str, Tensor], seed: int
) -> None:
    """Start the features of `dead[m]` anew from a batch `x[token, d]`; `begin`: what tensors of [m] began as."""
    rows = dead.nonzero()[:, 0]
    if not len(rows):
        return
    now, p = family.dictionary(), family.tensors
    left = (x - now.decode(now.encode(x))).square().sum(1)
    chance = left.double().square()
    if not float(chance.sum()) > 0:
        return
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(chance, len(rows), replacement=True, generator=generator)
    directions = torch.nn.functional.normalize(x[drawn] - p["b_dec"], dim=1)
    alive = p["encoder"][~dead].norm(dim=1)
    p["encoder"][rows] = directions * (family.waking * float(alive.mean()) if len(alive) else 1.0)
    p["decoder"][rows] = directions
    for name, tensor in p.items():
        if tensor.ndim == 1 and name != "b_dec":
            tensor[rows] = begin[name][rows]
        if tensor in optimiser.state and name != "b_dec":
            for moment in ("exp_avg", "exp_avg_sq"):
                optimiser.state[tensor][moment][rows] = 0
