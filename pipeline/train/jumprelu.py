"""JumpReLU: c = z·1[z > θ] with z = ReLU(E (x − b) + e) and a threshold θ a feature; loss ‖x − x̂‖² + α ‖c‖₀, a token.

Rajamanoharan et al. (2024), "Jumping ahead: improving reconstruction fidelity with JumpReLU sparse autoencoders",
arXiv:2407.14435. Neither the jump nor the count has a useful slope in θ, so both get an estimated one (a straight-through
estimator): what happens within half a bandwidth ε of the threshold, spread over it by a rectangle kernel K,

    ∂c/∂θ = −(θ/ε) K((z − θ)/ε),  ∂1[z > θ]/∂θ = −(1/ε) K((z − θ)/ε),  K(u) = 1 for |u| < ½.

The count has no slope in z: the penalty moves thresholds alone. θ is kept positive as the exponential of what is trained.
ε is in training units, in which a token has length 1 on average, as in the paper.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.train.dense import copies, tied_start, told
from pipeline.train.family import Family, Moment, Start, Step, by_autograd
from pipeline.train.options import JumpReLUOptions


class JumpReLU(Family):
    def __init__(self, options: JumpReLUOptions, start: Start) -> None:
        self.options = options
        threshold = torch.full((len(start.directions),), math.log(options.threshold))
        self.tensors = tied_start(start) | {"log_threshold": threshold}
        self.state = {}

    def step(self, x: Tensor, moment: Moment) -> Step:
        alpha, bandwidth = self.options.alpha * moment.sparsity, self.options.bandwidth

        def rule(t: Mapping[str, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            z = torch.addmm(t["b_enc"], x - t["b_dec"], t["encoder"].T).relu()
            threshold = t["log_threshold"].exp()
            codes, fires = _Jump.apply(z, threshold, bandwidth)  # type: ignore[no-untyped-call]
            error = codes @ t["decoder"] + t["b_dec"] - x
            loss = (error.square().sum() + alpha * fires.sum()) / len(x)
            return loss, (error.detach(), codes.detach())

        loss, (error, codes) = by_autograd(self.tensors, rule)
        return told(loss, error, codes)

    def dictionary(self) -> Dictionary:
        made = copies(self.tensors)
        threshold = made.pop("log_threshold").exp()
        return Dictionary(kind="jumprelu-sae", rule="jumprelu", threshold=threshold, **made)


class _Jump(torch.autograd.Function):
    """z·1[z > θ] and 1[z > θ], `[token, m]` both, with their estimated slopes in θ."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, threshold: Tensor, bandwidth: float) -> tuple[Tensor, Tensor]:
        fires = (z > threshold).float()
        ctx.save_for_backward(z, threshold, fires)
        ctx.bandwidth = bandwidth
        return z * fires, fires

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        z, threshold, fires = ctx.saved_tensors
        of_codes, of_fires = gradients
        near = (z - threshold).abs() < ctx.bandwidth / 2
        of_threshold = torch.addcmul(of_fires, of_codes, threshold.expand_as(z)).mul_(near).sum(0) / -ctx.bandwidth
        return of_codes * fires, of_threshold, None
