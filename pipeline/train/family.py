"""What a family of sparse autoencoders is to the training loop: a rule and a loss, in a small file of its own.

Families work in training units: activations less a centre, over their spread (`Units`), so that one loss and one learning
rate suit every layer. The loop does what all families share: the learning rate, clipping, decoder rows of length 1, what
is frozen, dead features, checkpoints, and the way back to the model's units.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Start:
    """What a family starts from.

    `directions[m, d]`: rows of length 1; `x[token, d]`: a sample, in training units; `seed`: for what else is random.
    """

    directions: Tensor
    x: Tensor
    seed: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in its run a step is.

    `progress`: share of the steps that are done; `sparsity`: factor of a sparsity penalty, which rises to 1 in the warm-up;
    `dead[m]` (bool): features that have not fired for long.
    """

    step: int
    progress: float
    sparsity: float
    dead: Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """One batch: the loss with its penalties, ‖x − x̂‖² and the features that fire (both a token), and which fired, bool[m]."""

    loss: float
    residual: float
    l0: float
    fired: Tensor


class Family(ABC):
    """An autoencoder in training.

    `tensors`: what the optimiser changes, at least `encoder[m, d]`, `decoder[m, d]` (rows of length 1), `b_enc[m]`, `b_dec[d]`;
    tensors of [m] or [m, d] belong to features row by row. `state`: what else a checkpoint has to hold. Both are changed in
    place alone. `tangent`: whether the decoder's gradient comes without its part along the rows. `waking`: length of the encoder
    row of a feature started anew, as a share of the others' mean.
    """

    tensors: dict[str, Tensor]
    state: dict[str, Tensor]
    tangent: ClassVar[bool] = False
    waking: ClassVar[float] = 0.2

    @abstractmethod
    def step(self, x: Tensor, moment: Moment) -> Step:
        """Set `.grad` of every tensor from a batch `x[token, d]`, in training units."""

    def constrain(self) -> None:  # noqa: B027 (most have nothing to do)
        """Bring the tensors back to what the rule allows, after the optimiser's step; decoder rows have length 1 by then."""

    @abstractmethod
    def dictionary(self) -> Dictionary:
        """What was learnt so far, in training units; `kind` is the build file's."""


@dataclass(frozen=True, slots=True)
class Units:
    """Training units: (x − centre) / spread. `variance`: mean squared distance of a token from the mean, in these units."""

    centre: Tensor
    spread: float
    variance: float = 1.0

    def of(self, x: Tensor) -> Tensor:
        return (x - self.centre) / self.spread

    def fold_back(self, dictionary: Dictionary) -> Dictionary:
        """The same dictionary of activations in the model's units: its codes grow by the spread, its decoder stays."""
        made, spread = dictionary, self.spread
        b_enc = made.b_enc * spread
        b_gate = None if made.b_gate is None else made.b_gate * spread
        if not made.centred:  # the encoder reads x itself, so the centre goes into its biases
            shift = made.encoder @ self.centre
            gain = 1.0 if made.r_mag is None else made.r_mag.exp()
            b_enc = b_enc - shift * gain
            b_gate = None if b_gate is None else b_gate - shift
        return replace(
            made,
            b_enc=b_enc,
            b_gate=b_gate,
            threshold=None if made.threshold is None else made.threshold * spread,
            b_dec=self.centre + made.b_dec * spread,
        )


def by_autograd(
    tensors: Mapping[str, Tensor], rule: Callable[[Mapping[str, Tensor]], tuple[Tensor, Found]]
) -> tuple[float, Found]:
    """For families without gradients of their own: set `.grad` from `rule(tensors)`, which gives the loss and what else it found.

    Gives both back, the loss as a number.
    """
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
    with torch.enable_grad():
        loss, found = rule(leaves)
        loss.backward()  # type: ignore[no-untyped-call]
    for name, leaf in leaves.items():
        tensors[name].grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    return float(loss.detach()), found
