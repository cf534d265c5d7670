"""Activations of a site, in shards on disk, and their statistics.

A shard is SHARD_CONTEXTS contexts; the model runs on FORWARD_CONTEXTS at a time. Both are fixed, so that a shard's bytes
do not depend on how many workers share the work. Shards live in the work folder until the build is published.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import UserError
from pipeline.corpus import Contexts
from pipeline.files import read_tensors, write_array, write_json, write_tensors
from pipeline.model import SiteModel

SHARD_CONTEXTS = 64
FORWARD_CONTEXTS = 16


@dataclass(frozen=True, slots=True)
class Rows:
    """Unmasked tokens of a shard: `x[token, d]` in float32, and the context and position of each."""

    x: Tensor
    context: NDArray[np.int64]
    position: NDArray[np.int64]
    held_out: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Facts of a site's activations over unmasked tokens; mean and spread over the fitting documents only.

    `mean[d]`; `spread`: root mean squared distance from the mean; `gamma`: norm of the mean over the spread.
    """

    mean: NDArray[np.float32]
    spread: float
    gamma: float
    median_norm: float
    masked: dict[str, int]
    unmasked: int


@dataclass(frozen=True, slots=True)
class ShardFolder:
    """Where a site's shards are, and which contexts each covers."""

    folder: Path
    contexts: Contexts

    @property
    def count(self) -> int:
        return -(-self.contexts.count // SHARD_CONTEXTS)

    def span(self, shard: int) -> slice:
        return slice(shard * SHARD_CONTEXTS, min((shard + 1) * SHARD_CONTEXTS, self.contexts.count))

    def path(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:06d}.safetensors"

    def make(self, shard: int, model: SiteModel) -> int:
        """Run the model over a shard and write `activations[token, d]` and `norms[token]`; gives the number of tokens."""
        span = self.span(shard)
        parts = []
        for start in range(span.start, span.stop, FORWARD_CONTEXTS):
            tokens = torch.from_numpy(np.array(self.contexts.tokens[start : min(start + FORWARD_CONTEXTS, span.stop)]))
            (layer,) = model.activations(tokens.long()).values()
            parts.append(layer.flatten(0, 1))
        activations = torch.cat(parts)
        norms = activations.float().norm(dim=1)
        if not bool(torch.isfinite(norms).all()):
            raise UserError(f'shard {shard} holds NaN or infinite activations; use dtype = "float32" or another layer.')
        write_tensors(self.path(shard), {"activations": activations, "norms": norms})
        return len(activations)

    def rows(self, shard: int) -> Rows:
        """The unmasked tokens of a shard; `statistics` must have run."""
        span = self.span(shard)
        allowed = np.load(self.folder / "allowed.npy", mmap_mode="r")[span]
        context, position = np.nonzero(allowed)
        x = read_tensors(self.path(shard))["activations"][torch.from_numpy(allowed.reshape(-1).copy())].float()
        return Rows(x, context + span.start, position, self.contexts.held_out[context + span.start])

    def fit_rows(self, shard: int) -> Tensor:
        """`x[token, d]` of the unmasked tokens of a shard whose documents may fit dictionaries."""
        rows = self.rows(shard)
        return rows.x[torch.from_numpy(~rows.held_out)]

    def allowed(self) -> NDArray[np.bool_]:
        """`allowed[context, position]`: where features may fire."""
        array: NDArray[np.bool_] = np.load(self.folder / "allowed.npy", mmap_mode="r")
        return array


def measure(shards: ShardFolder, special: frozenset[int], sink_norm: float, advance: Callable[[int], None]) -> None:
    """Mask special tokens and attention sinks, and write the statistics of what is left.

    A sink is a position whose norm exceeds `sink_norm` times the median norm of the first shard, itself a random sample.
    """
    ids = np.array(sorted(special))
    limit = sink_norm * _median_norm(shards, ids)
    allowed = np.zeros((shards.contexts.count, shards.contexts.length), bool)
    masked = {"special": 0, "sink": 0}
    for shard in range(shards.count):
        span = shards.span(shard)
        norms = read_tensors(shards.path(shard))["norms"].numpy().reshape(-1, shards.contexts.length)
        is_special = np.isin(shards.contexts.tokens[span], ids)
        is_sink = (norms > limit) & ~is_special
        masked["special"] += int(is_special.sum())
        masked["sink"] += int(is_sink.sum())
        allowed[span] = ~(is_special | is_sink)
    write_array(shards.folder / "allowed.npy", allowed)

    total = np.zeros(0)
    squares = 0.0
    count = 0
    for shard in range(shards.count):
        x = shards.fit_rows(shard).double()
        total = (total if len(total) else np.zeros(x.shape[1])) + x.sum(0).numpy()
        squares += float(x.square().sum())
        count += len(x)
        advance(1)
    mean = total / count
    spread = float(np.sqrt(max(squares / count - float(mean @ mean), 0.0)))
    if spread == 0:
        raise UserError(
            "all activations at this site are the same, so no dictionary can tell them apart; use another layer."
        )
    facts = {
        "mean": mean.astype(np.float32).tolist(),
        "spread": spread,
        "gamma": float(np.linalg.norm(mean)) / spread,
        "median_norm": limit / sink_norm,
        "masked": masked,
        "unmasked": int(allowed.sum()),
    }
    write_json(shards.folder / "statistics.json", facts)


def load_statistics(shards: ShardFolder) -> Statistics:
    facts = json.loads((shards.folder / "statistics.json").read_text("utf-8"))
    return Statistics(**{**facts, "mean": np.array(facts["mean"], np.float32)})


def _median_norm(shards: ShardFolder, special: NDArray[np.int64]) -> float:
    norms = read_tensors(shards.path(0))["norms"].numpy()
    ordinary = ~np.isin(shards.contexts.tokens[shards.span(0)].reshape(-1), special)
    return float(np.median(norms[ordinary]))
