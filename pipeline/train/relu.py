"""ReLU with an L1 penalty: c = ReLU(E (x − b) + e), x̂ = D c + b; loss ‖x − x̂‖² + α ‖c‖₁, a token.

Sharkey, Braun and beren (2022), "Taking features out of superposition with sparse autoencoders": x̂ = D·ReLU(W x + b), decoder
rows of length 1. `decoder_bias = false` is that to the letter; with it, the form is that of Bricken et al. (2023), "Towards
monosemanticity". Their code takes the mean over the d entries of the squared error and the mean over the m of the codes: its α is
m/d times the one here, which does not depend on the size. (Dividing by m made good values hard to find, Sharkey says since.)

The gradients are written out: five products and hardly a pass over `[token, m]` more.
"""

import torch

from pipeline.dictionaries import Dictionary
from pipeline.train.dense import copies, tied_start, told
from pipeline.train.family import Family, Moment, Start, Step
from pipeline.train.options import ReLUOptions


class ReLU(Family):
    def __init__(self, options: ReLUOptions, start: Start) -> None:
        self.options = options
        self.tensors = tied_start(start)
        self.state = {}

    def step(self, x: torch.Tensor, moment: Moment) -> Step:
        encoder, decoder, b_enc, b_dec = (self.tensors[name] for name in ("encoder", "decoder", "b_enc", "b_dec"))
        alpha, tokens = self.options.alpha * moment.sparsity, len(x)
        centred = x - b_dec
        codes = torch.addmm(b_enc, centred, encoder.T).relu_()
        error = torch.addmm(-centred, codes, decoder)
        slope = error * (2 / tokens)
        decoder.grad = codes.T @ slope
        gradient = torch.addmm(torch.full((), alpha / tokens), slope, decoder.T).mul_(codes > 0)
        encoder.grad = gradient.T @ centred
        b_enc.grad = gradient.sum(0)
        b_dec.grad = slope.sum(0) - b_enc.grad @ encoder if self.options.decoder_bias else torch.zeros_like(b_dec)
        loss = float(error.square().sum() + alpha * codes.sum()) / tokens
        return told(loss, error, codes)

    def dictionary(self) -> Dictionary:
        made = copies(self.tensors)
        return Dictionary(kind="relu-sae", rule="relu", **made)
