"""What families whose every feature may fire have in common: where they start, what a step tells, what they hand on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pipeline.train.family import Start, Step

FITTED_TOKENS = 4096


def tied_start(start: Start) -> dict[str, Tensor]:
    """Encoder and decoder begin as the same directions, biases at 0.

    The encoder is scaled as a whole, so that ReLU(x E) D fits the sample best: at m many times d, half of all features
    firing, it would begin far too large.
    """
    directions, x = start.directions, start.x[:FITTED_TOKENS]
    made = (x @ directions.T).relu_() @ directions
    scale = (x * made).sum() / made.square().sum().clamp_min(torch.finfo(torch.float32).tiny)
    m, d = directions.shape
    return {
        "encoder": directions * scale,
        "decoder": directions.clone(),
        "b_enc": torch.zeros(m),
        "b_dec": torch.zeros(d),
    }


def told(loss: float, error: Tensor, codes: Tensor) -> Step:
    """A batch's step, from its `error[token, d]`, which is x̂ − x, and its `codes[token, m]`."""
    fires = codes > 0
    return Step(
        loss=loss,
        residual=float(error.square().sum()) / len(error),
        l0=float(fires.sum()) / len(error),
        fired=fires.any(0),
    )


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """For a dictionary, which goes on living as training changes the tensors in place."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
