"""Gated: which features fire and how strongly are two questions to one encoder.

Rajamanoharan et al. (2024), "Improving dictionary learning with gated sparse autoencoders", arXiv:2404.16014. With
p = E (x − b) and rows of D of length 1:

    g = p + b_gate;  c = 1[g > 0]·ReLU(e^r p + b_enc);  x̂ = D c + b
    loss = ‖x − x̂‖² + α ‖ReLU(g)‖₁ + ‖x − (D' ReLU(g) + b')‖², a token,

where D' and b' are D and b held fixed. The step 1[g > 0] lets nothing through backwards: the gate learns from the penalty and
from the last term, which keeps what the gate lets through enough to explain x.

`step = false` leaves the step out: c = e^r ReLU(g), the encoder's own activations times a learned factor a feature, which
undoes the penalty's shrinkage; the loss is the same. That is a plain ReLU dictionary in the end, and is handed on as one.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.train.dense import copies, tied_start, told
from pipeline.train.family import Family, Moment, Start, Step, by_autograd
from pipeline.train.options import GatedOptions


class Gated(Family):
    """Without the step, `b_enc` is the gate's bias, and there is no other."""

    def __init__(self, options: GatedOptions, start: Start) -> None:
        self.options = options
        names = ("r_mag", "b_gate") if options.step else ("r_mag",)
        self.tensors = tied_start(start) | {name: torch.zeros(len(start.directions)) for name in names}
        self.state = {}

    def step(self, x: Tensor, moment: Moment) -> Step:
        alpha = self.options.alpha * moment.sparsity

        def rule(t: Mapping[str, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            inner, gain = (x - t["b_dec"]) @ t["encoder"].T, t["r_mag"].exp()
            if self.options.step:
                gate = (inner + t["b_gate"]).relu()
                codes = (inner * gain + t["b_enc"]).relu() * (gate.detach() > 0)
            else:
                gate = (inner + t["b_enc"]).relu()
                codes = gate * gain
            error = codes @ t["decoder"] + t["b_dec"] - x
            beside = gate @ t["decoder"].detach() + t["b_dec"].detach() - x
            loss = (error.square().sum() + alpha * gate.sum() + beside.square().sum()) / len(x)
            return loss, (error.detach(), codes.detach())

        loss, (error, codes) = by_autograd(self.tensors, rule)
        return told(loss, error, codes)

    def dictionary(self) -> Dictionary:
        made = copies(self.tensors)
        if self.options.step:
            return Dictionary(kind="gated-sae", rule="gated", **made)
        gain = made.pop("r_mag").exp()
        made["encoder"] *= gain[:, None]
        made["b_enc"] *= gain
        return Dictionary(kind="gated-sae", rule="relu", **made)
