"""A sample of a layer's activations in memory: which positions count, and what the sample says of the site.

A shard is SHARD_CONTEXTS contexts; the model runs on FORWARD_CONTEXTS at a time. Both are fixed, so that a shard's bytes
do not depend on how many workers share the work.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import UserError
from pipeline.corpus import Contexts

SHARD_CONTEXTS = 64
FORWARD_CONTEXTS = 16


@dataclass(frozen=True, slots=True)
class Layout:
    """How a number of contexts is cut into shards."""

    contexts: int

    @property
    def count(self) -> int:
        return -(-self.contexts // SHARD_CONTEXTS)

    def span(self, shard: int) -> slice:
        return slice(shard * SHARD_CONTEXTS, min((shard + 1) * SHARD_CONTEXTS, self.contexts))


@dataclass(frozen=True, slots=True)
class Mask:
    """Where no feature may fire: special tokens, the first `skip` positions of a context, and attention sinks.

    A sink is where the norm exceeds `limit`.
    """

    special: frozenset[int]
    limit: float
    skip: int = 0

    def special_at(self, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.isin(tokens, np.array(sorted(self.special), np.int64))
        return found

    def allowed(self, tokens: NDArray[np.int32], activations: Tensor) -> NDArray[np.bool_]:
        """`allowed[context, position]` for `tokens[context, position]` and `activations[context · position, d]`."""
        norms = activations.float().norm(dim=1).cpu().numpy().reshape(tokens.shape)
        ordinary: NDArray[np.bool_] = ~self.special_at(tokens) & (norms <= self.limit)
        ordinary[:, : self.skip] = False
        return ordinary

    def counts(self, tokens: NDArray[np.int32], allowed: NDArray[np.bool_]) -> dict[str, int]:
        """How many positions are masked, by reason: `start` are those skipped that are not special."""
        special = self.special_at(tokens)
        counts = {"special": int(special.sum())}
        if self.skip:
            counts["start"] = int((~special[:, : self.skip]).sum())
        return {**counts, "sink": int((~allowed).sum()) - sum(counts.values())}


@dataclass(frozen=True, slots=True)
class Rows:
    """Unmasked tokens of a shard: `x[token, d]` in float32, and the context and position of each."""

    x: Tensor
    context: NDArray[np.int64]
    position: NDArray[np.int64]

    @classmethod
    def of(cls, activations: Tensor, allowed: NDArray[np.bool_], first: int) -> "Rows":
        """From `activations[context · position, d]` of the contexts from `first` on."""
        context, position = np.nonzero(allowed)
        chosen = torch.from_numpy(np.flatnonzero(allowed)).to(activations.device)
        return cls(activations[chosen].float(), context + first, position)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Facts of a site's activations over unmasked tokens of the sample; mean and spread over fitting documents only.

    `mean[d]`; `spread`: root mean squared distance from the mean; `gamma`: norm of the mean over the spread.
    """

    mean: NDArray[np.float32]
    spread: float
    gamma: float
    median_norm: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Some shards' activations of one layer, in memory: `activations[shard][context · position, d]`, in the model's precision."""

    contexts: Contexts
    activations: dict[int, Tensor]
    mask: Mask

    @classmethod
    def of(
        cls,
        contexts: Contexts,
        activations: dict[int, Tensor],
        special: frozenset[int],
        sink_norm: float,
        skip: int = 0,
    ) -> "Sample":
        """A sink's norm exceeds `sink_norm` times the median norm of the first shard's ordinary tokens."""
        first = min(activations)
        tokens = contexts.tokens[Layout(contexts.count).span(first)]
        ordinary = ~Mask(special, np.inf).special_at(tokens).reshape(-1)
        norms = activations[first].float().norm(dim=1).numpy()
        return cls(contexts, activations, Mask(special, sink_norm * float(np.median(norms[ordinary])), skip))

    def rows(self, shard: int, held_out: bool | None = None) -> Rows:
        """Of all documents, or of the held-out ones alone, or of those that may fit dictionaries."""
        span = Layout(self.contexts.count).span(shard)
        allowed = self.mask.allowed(self.contexts.tokens[span], self.activations[shard])
        if held_out is not None:
            allowed &= (self.contexts.held_out[span] == held_out)[:, None]
        return Rows.of(self.activations[shard], allowed, span.start)

    def part(self, held_out: bool) -> Tensor:
        """`x[token, d]` of the held-out documents, or of those that may fit dictionaries."""
        return torch.cat([self.rows(shard, held_out).x for shard in sorted(self.activations)])

    def statistics(self, sink_norm: float) -> Statistics:
        """Raises UserError where all activations are the same."""
        total, squares, count = torch.zeros(0), 0.0, 0
        for shard in sorted(self.activations):
            x = self.rows(shard, held_out=False).x.double()
            total = x.sum(0) if not len(total) else total + x.sum(0)
            squares += float(x.square_().sum())
            count += len(x)
        mean = (total / max(count, 1)).numpy()
        spread = float(np.sqrt(max(squares / max(count, 1) - float(mean @ mean), 0.0)))
        if spread == 0:
            raise UserError(
                "all activations at this site are the same, so no dictionary can tell them apart; use another layer."
            )
        gamma = float(np.linalg.norm(mean)) / spread
        return Statistics(mean.astype(np.float32), spread, gamma, self.mask.limit / sink_norm)


def sample_shards(contexts: Contexts, fit_tokens: int, judged_tokens: int) -> list[int]:
    """The shards that a sample is made of: the first held-out ones, and the first fitting ones.

    Contexts come held-out first, each part in random order, so that both are random samples.
    """
    layout, tokens = Layout(contexts.count), SHARD_CONTEXTS * contexts.length
    first_fit = int(contexts.held_out.sum()) // SHARD_CONTEXTS
    judged = range(min(first_fit + 1, -(-judged_tokens // tokens)))
    fitting = range(first_fit, min(layout.count, first_fit + 1 + -(-fit_tokens // tokens)))
    return sorted({*judged, *fitting})
