"""The one pass over the text, as workers do it.

    tokens → forward stopped at the deepest layer → mask → every dictionary's codes → hits and sums, one part a chunk

Parts merge exactly, in any order and grouping: hits by their order, counts as they are, float sums in fixed point.
Nothing dense leaves a block of rows, and no activation leaves the worker unless it is asked for.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import UserError
from pipeline.config import ModelConfig
from pipeline.dictionaries import Codes, Dictionary
from pipeline.dictionaries.decoders import add_moment
from pipeline.engines import Shared, tell
from pipeline.hits import Accumulator, Keep, Summary
from pipeline.kept import read_shard
from pipeline.model import SiteModel, load_site_model
from pipeline.sample import FORWARD_CONTEXTS, Mask, Rows

MOMENT_BITS = 28  # sums for decoders are integers in units of spread² × 2⁻²⁸
Fit = Literal["moment", "scale", None]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class FromModel:
    """Activations by running a model."""

    model: ModelConfig
    layers: tuple[int, ...]
    device: str = "cpu"

    def read(self, shard: "Shard") -> dict[int, Tensor]:
        model = _model(self.model, self.layers, self.device)
        parts: dict[int, list[Tensor]] = {layer: [] for layer in self.layers}
        for start in range(0, len(shard.tokens), FORWARD_CONTEXTS):
            tokens = torch.from_numpy(np.array(shard.tokens[start : start + FORWARD_CONTEXTS], np.int64))
            for layer, activations in model.activations(tokens).items():
                parts[layer].append(activations.flatten(0, 1))
        return {layer: torch.cat(some) for layer, some in parts.items()}


@dataclass(frozen=True, slots=True)
class FromDisk:
    """Activations that were kept."""

    folder: Path
    device: str = "cpu"

    def read(self, shard: "Shard") -> dict[int, Tensor]:
        return {layer: x.to(self.device) for layer, x in read_shard(self.folder, shard.number).items()}


Source = FromModel | FromDisk


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard's text, `tokens[context, position]`, and its activations by layer where they are in memory already."""

    number: int
    first: int  # context
    tokens: NDArray[np.int32]
    activations: dict[int, Tensor] | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """A dictionary in the pass, and what its decoder will be fitted from."""

    dictionary: Dictionary
    keep: Keep
    fit: Fit
    name: str


@dataclass(frozen=True, slots=True)
class StreamedSite:
    name: str
    layer: int
    mask: Mask
    mean: Tensor
    spread: float
    dictionaries: tuple[Streamed, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """What a worker must know: where activations come from, the sites, and of every context its document and part."""

    source: Source
    sites: tuple[StreamedSite, ...]
    precision: Precision
    document: NDArray[np.int32]
    held_out: NDArray[np.bool_]
    fit_shards: frozenset[int]  # on these decoders are fitted
    coded_shards: frozenset[int]  # of these the codes of all tokens are handed back


@dataclass(slots=True)
class DictionaryPart:
    """Of one dictionary, over some shards: the summary of its hits, the sums for its decoder, and codes by shard."""

    summary: Summary
    moment: NDArray[np.int64] | None = None  # Cᵀ(x − μ), `[m, d]`
    scale: tuple[int, int] | None = None  # Σ⟨x − μ, C E⟩ and Σ‖C E‖²
    fitting: dict[int, Codes] = field(default_factory=dict)  # of fitting tokens
    codes: dict[int, Codes] = field(default_factory=dict)  # of all tokens


@dataclass(slots=True)
class SitePart:
    allowed: dict[int, NDArray[np.bool_]]  # by shard: `allowed[context, position]`
    masked: dict[str, int]
    dictionaries: tuple[DictionaryPart, ...]


def read(source: Source, shard: Shard) -> dict[int, Tensor]:
    """`activations[context · position, d]` by layer, in the model's precision. Raises UserError where they aren't finite."""
    activations = shard.activations or source.read(shard)
    for layer, x in activations.items():
        if not bool(torch.isfinite(x.float().sum(1)).all()):
            raise UserError(
                f"layer {layer} gives NaN or infinite activations (shard {shard.number}); "
                'use dtype = "float32" for the model, or another layer.'
            )
    return activations


def sampled(source: Source, shard: Shard) -> dict[int, Tensor]:
    """A piece of work: a shard's activations, brought to the caller."""
    activations = {layer: x.cpu() for layer, x in read(source, shard).items()}
    tell(shard.tokens.size)
    return activations


def stream(job: Shared[Pass], chunk: tuple[Shard, ...]) -> tuple[SitePart, ...]:
    """A piece of work: everything that the pass learns from some shards, by site."""
    work = job.get()
    states = [_SiteState(site, work) for site in work.sites]
    for shard in chunk:
        activations = read(work.source, shard)
        for state in states:
            state.absorb(shard, activations[state.site.layer])
        tell(shard.tokens.size)
    return tuple(state.part() for state in states)


class _SiteState:
    def __init__(self, site: StreamedSite, work: Pass) -> None:
        self.site = site
        self.work = work
        self.allowed: dict[int, NDArray[np.bool_]] = {}
        self.masked: dict[str, int] = {}
        self.dictionaries = [_DictionaryState(entry, site) for entry in site.dictionaries]

    def absorb(self, shard: Shard, activations: Tensor) -> None:
        mask = self.site.mask
        allowed = mask.allowed(shard.tokens, activations)
        for reason, count in mask.counts(shard.tokens, allowed).items():
            self.masked[reason] = self.masked.get(reason, 0) + count
        self.allowed[shard.number] = allowed
        rows = Rows.of(activations, allowed, shard.first)
        fit = torch.from_numpy(~self.work.held_out[rows.context]) if shard.number in self.work.fit_shards else None
        for state in self.dictionaries:
            codes = state.encode(rows.x, self.work.precision)
            state.accumulator.absorb(codes, rows.context, rows.position, self.work.document)
            if state.entry.fit is not None and fit is not None and bool(fit.any()):
                state.fit(shard.number, codes.take(fit), rows.x.cpu()[fit] - self.site.mean)
            if shard.number in self.work.coded_shards:
                state.codes[shard.number] = codes

    def part(self) -> SitePart:
        return SitePart(self.allowed, self.masked, tuple(state.part() for state in self.dictionaries))


class _DictionaryState:
    def __init__(self, entry: Streamed, site: StreamedSite) -> None:
        self.entry = entry
        self.layer = site.layer
        self.unit = site.spread**2 * 2.0**-MOMENT_BITS
        self.accumulator = Accumulator(entry.dictionary.m, entry.keep, entry.dictionary.signed)
        self.moment: NDArray[np.int64] | None = None
        self.scale: tuple[int, int] | None = None
        self.fitting: dict[int, Codes] = {}
        self.codes: dict[int, Codes] = {}

    def encode(self, x: Tensor, precision: Precision) -> Codes:
        """Raises UserError where a product with the activations is beyond what a float holds."""
        try:
            codes = self.entry.dictionary.encode(x, precision)
            if bool(codes.value.isfinite().all()):
                return codes
        except FloatingPointError:
            pass
        raise UserError(
            f"dictionary {self.entry.name!r} gives NaN or infinite values at layer {self.layer}, though its weights and the "
            "activations are finite: their products are too large; use another layer, or scale its weights down."
        )

    def fit(self, shard: int, codes: Codes, x: Tensor) -> None:
        if self.entry.fit == "moment":
            if self.moment is None:
                self.moment = np.zeros((self.entry.dictionary.m, x.shape[1]), np.int64)
            add_moment(self.moment, codes, x, self.unit)
            self.fitting[shard] = codes
        elif self.entry.fit == "scale":
            dictionary = self.entry.dictionary
            rows = dictionary.encoder if dictionary.decoder is None else dictionary.decoder
            made = codes.decode(rows.cpu()).double()
            sums_of = float((x.double() * made).sum()), float(made.square().sum())
            above, below = (round(value / self.unit) for value in sums_of)
            before = self.scale or (0, 0)
            self.scale = before[0] + above, before[1] + below

    def part(self) -> DictionaryPart:
        return DictionaryPart(self.accumulator.summary(), self.moment, self.scale, self.fitting, self.codes)


def add_moments(parts: Iterable[NDArray[np.int64]], spread: float) -> NDArray[np.float64]:
    """The sum, exact until it is turned into float64 here."""
    total = functools.reduce(np.add, parts)
    return total.astype(np.float64) * (spread**2 * 2.0**-MOMENT_BITS)


@functools.lru_cache(maxsize=1)
def _model(config: ModelConfig, layers: tuple[int, ...], device: str) -> SiteModel:
    return load_site_model(config, layers, device)
