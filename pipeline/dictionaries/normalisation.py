"""What some dictionaries do to an activation before they encode it, and undo in what they reconstruct.

Constant norm: x √d / ‖x‖. Layer norm: (x − mean) / (std + ε) over the d entries, with the unbiased standard deviation;
undone by × std + mean. Both as sae-lens has them; the second is the LayerNorm of OpenAI's autoencoders, too.
"""

import math
from typing import Literal

import torch
from torch import Tensor

Normalisation = Literal["none", "constant-norm", "layer-norm"]
EPSILON = 1e-5


def normalise(x: Tensor, how: Normalisation) -> Tensor:
    """`x[token, d]` as the encoder reads it. A token of norm 0 stays 0."""
    if how == "constant-norm":
        return x / _unit(x)
    if how == "layer-norm":
        return (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + EPSILON)
    return x


def undo(made: Tensor, x: Tensor, how: Normalisation) -> Tensor:
    """Bring a reconstruction `made[token, d]` of the normalised `x[token, d]` back to the scale of x itself."""
    if how == "constant-norm":
        return made * _unit(x)
    if how == "layer-norm":
        return made * x.std(1, keepdim=True) + x.mean(1, keepdim=True)
    return made


def _unit(x: Tensor) -> Tensor:
    """`[token, 1]`: ‖x‖ / √d."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return norm.clamp_min(torch.finfo(x.dtype).tiny) / math.sqrt(x.shape[1])
