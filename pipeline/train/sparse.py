"""A training step of families in which few features fire: gradients written out by hand, for those features alone.

Which features fire is found from one product of the batch with the encoder, in bfloat16 where the processor multiplies it
fast; the chosen features' values are then computed anew in float32, and so is everything after them. Sums over the
features of a token, and over the tokens of a feature, take the place of the five other products of a dense step.
"""

import threading
from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.arithmetic import fast_dtype
from pipeline.dictionaries.dictionary import BLOCK
from pipeline.train import sums
from pipeline.train.auxiliary import revive
from pipeline.train.family import Family, Moment, Start, Step
from pipeline.train.options import BatchTopKOptions, TopKOptions
from pipeline.train.threads import threads

Options = TopKOptions | BatchTopKOptions
Chosen = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
"""`start[token + 1]`, `index`, `value`: token t owns the entries `start[t]` to `start[t + 1]`; values are pre-activations."""


class Sparse(Family):
    """An autoencoder with codes relu((x − b_dec) · encoder + b_enc) of the features that `choose` picks, and AuxK.

    `sizes`: nested groups, the first so many features each, that explain the activations by themselves; the last has all.
    """

    tangent = True
    waking = 1.0

    def __init__(self, options: Options, start: Start, sizes: tuple[int, ...] = ()) -> None:
        m, d = start.directions.shape
        self.options = options
        self.tensors = {
            "encoder": start.directions * fitted_scale(start, options.k),
            "decoder": start.directions.clone(),
            "b_enc": torch.zeros(m),
            "b_dec": torch.zeros(d),
        }
        for tensor in self.tensors.values():
            tensor.grad = torch.zeros_like(tensor)
        self.state = {}
        self.groups = max(1, len(sizes))
        self.group = np.searchsorted(np.array(sizes[:-1]), np.arange(m), side="right").astype(np.uint8)
        self.threads = threads(options.threads)
        self._shadow = torch.empty(m, d, dtype=fast_dtype())
        self._room = threading.local()

    @abstractmethod
    def choose(self, centred: Tensor) -> Chosen:
        """The features that may fire on each token of `centred[token, d]`: those with a value above 0 do."""

    def in_float32(self) -> None:
        """Choose features by a product in float32, as on processors that don't multiply bfloat16."""
        self._shadow = self._shadow.float()

    def step(self, x: Tensor, moment: Moment) -> Step:
        p, count = self.tensors, len(x)
        m = len(p["encoder"])
        centred = x - p["b_dec"]
        start, index, value = self.choose(centred)
        np.maximum(value, 0, out=value)
        pull = torch.empty(count, self.groups, x.shape[1])
        gradient, errors = np.empty_like(value), np.empty((count, self.groups))
        encoder, decoder, rows = p["encoder"].numpy(), p["decoder"].numpy(), centred.numpy()
        scale = 2 / (count * self.groups)
        self.threads.split(
            count,
            lambda first, last: sums.explain(
                rows, decoder, start, index, value, self.group, scale, first, last, pull.numpy(), gradient, errors
            ),
        )
        ends, order, owners = (np.empty(size, np.int64) for size in (m + 1, len(index), len(index)))
        sums.by_feature(start, index, value, ends, order, owners)
        grads = {name: tensor.grad for name, tensor in p.items() if tensor.grad is not None}
        outs = tuple(grads[name].numpy() for name in ("encoder", "b_enc", "decoder"))
        self.threads.split(
            m,
            lambda first, last: sums.differentiate(
                rows, decoder, value, gradient, pull.numpy(), self.group, ends, order, owners, first, last, *outs
            ),
        )
        grads["b_dec"].copy_(pull[:, 0].sum(0) - grads["b_enc"] @ torch.from_numpy(encoder))
        residual = float(errors[:, -1].mean())
        loss = float(errors.mean())
        if self.options.aux and bool(moment.dead.any()):
            loss += revive(p, moment.dead, centred, pull[:, -1] / -scale, self.options.aux)
        return Step(
            loss=loss,
            residual=residual,
            l0=int(ends[-1]) / count,
            fired=torch.from_numpy(np.diff(ends) > 0),
        )

    def values(self, centred: Tensor, start: NDArray[np.int64], index: NDArray[np.int32]) -> NDArray[np.float32]:
        """The exact pre-activations of what was chosen."""
        value = np.empty(len(index), np.float32)
        encoder, bias, rows = self.tensors["encoder"].numpy(), self.tensors["b_enc"].numpy(), centred.numpy()
        self.threads.split(
            len(rows), lambda first, last: sums.encode(rows, encoder, bias, start, index, first, last, value)
        )
        return value

    def products(self, centred: Tensor, take: Callable[[Tensor, int], None]) -> None:
        """Call `take(products[row, m], first row)` on blocks of `centred · encoder`, several at a time, none of which stays."""
        self._shadow.copy_(self.tensors["encoder"])
        rows, weights = centred.to(self._shadow.dtype), self._shadow.T

        def work(first: int, last: int) -> None:
            room = self._buffer(len(self._shadow))
            for start in range(first, last, BLOCK):
                block = rows[start : min(start + BLOCK, last)]
                take(torch.mm(block, weights, out=room[: len(block)]), start)

        self.threads.split(len(rows), work, BLOCK)

    def _buffer(self, m: int) -> Tensor:
        """This thread's."""
        found: Tensor | None = getattr(self._room, "buffer", None)
        if found is None:
            found = self._room.buffer = torch.empty(BLOCK, m, dtype=self._shadow.dtype)
        return found


def fitted_scale(start: Start, k: int) -> float:
    """The factor of the directions as an encoder whose k largest codes, decoded by the directions, explain `start.x` best."""
    directions = start.directions
    of_both, of_made = 0.0, 0.0
    for x in torch.split(start.x, BLOCK):
        top = (x @ directions.T).topk(k, dim=1, sorted=False)
        made = torch.nn.functional.embedding_bag(
            top.indices, directions, per_sample_weights=top.values.relu(), mode="sum"
        )
        of_both += float((x * made).sum())
        of_made += float(made.square().sum())
    return of_both / of_made if of_made and of_both > 0 else 1.0
