"""AuxK: dead features learn to explain what the others leave over (Gao et al. 2024, arXiv:2406.04093, appendix A.2).

The strongest d/2 of the dead features (all, if there are fewer) are decoded, ê; the loss is ‖e − ê‖² / ‖e‖² for the error
e = x − x̂, which counts as given. It is measured on an even eighth of the batch: enough to wake features up. Where more than
an eighth of the features are dead, on fewer tokens, down to one in 32, so that the price stays about the same: each token
names d/2 of them still.
"""

import torch
from torch import Tensor

SHARE = 8  # one token in so many, and the share of dead features up to which it is so
FEWEST = 32  # one token in so many at least


def revive(p: dict[str, Tensor], dead: Tensor, centred: Tensor, error: Tensor, coefficient: float) -> float:
    """Add the gradients of `coefficient` × AuxK to the tensors' own; gives what it adds to the loss.

    `dead[m]` (bool); `centred[token, d]`: the encoder's input; `error[token, d]` = x − x̂.
    """
    rows = dead.nonzero()[:, 0]
    every = stride(len(rows), len(dead))
    x, e = centred[::every], error[::every]
    total = float(e.square().sum())
    if not total > 0:
        return 0.0
    encoder, decoder = p["encoder"][rows], p["decoder"][rows]
    pre = torch.addmm(p["b_enc"][rows], x, encoder.T)
    k = min(len(rows), max(1, x.shape[1] // 2))
    if k < len(rows):
        pre = pre.where(pre >= pre.topk(k, dim=1).values[:, -1:], 0)
    codes = pre.relu_()
    left = codes @ decoder - e
    loss = coefficient * float(left.square().sum()) / total
    left *= 2 * coefficient / total
    of_decoder = codes.T @ left
    of_decoder -= torch.linalg.vecdot(of_decoder, decoder)[:, None] * decoder
    of_codes = (left @ decoder.T).mul_(codes > 0)
    for name, found in (("decoder", of_decoder), ("encoder", of_codes.T @ x), ("b_enc", of_codes.sum(0))):
        gradient = p[name].grad
        if gradient is not None:
            gradient.index_add_(0, rows, found)
    return loss


def stride(dead: int, m: int) -> int:
    """AuxK is measured on one token in so many, where `dead` of m features are."""
    return min(FEWEST, SHARE * max(1, -(-dead * SHARE // m)))
