"""Activations on disk, in shards: for what reads them more than once, and for later builds that use them in place of the model.

Kept activations are a folder: `contexts/` (what text they are of), `shard-*.safetensors` (`layer-L[context · position, d]`
in the model's precision) and `kept.json` (model, layers, corpus, hashes, versions).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor

from app.errors import UserError
from pipeline.corpus import Contexts, load_contexts
from pipeline.files import read_shapes, read_tensors, write_json, write_tensors
from pipeline.hashing import fingerprint
from pipeline.sample import Layout, Mask, Rows

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What kept activations are of."""

    model: str  # hash of its files and control options
    layers: tuple[int, ...]
    corpus: str  # hash of its files and how they are read
    contexts: int
    context_length: int
    versions: dict[str, str]

    def save(self, folder: Path) -> None:
        write_json(folder / "kept.json", asdict(self))

    def check(self, wanted: "Manifest", folder: Path) -> None:
        """Raises UserError where these activations are not what `wanted` asks for."""
        missing = sorted(set(wanted.layers) - set(self.layers))
        if missing:
            raise UserError(
                f"{folder} keeps layers {', '.join(map(str, self.layers))}, but the build asks for layer {missing[0]} too."
            )
        if (self.contexts, self.context_length) != (wanted.contexts, wanted.context_length):
            raise UserError(
                f"{folder} keeps {self.contexts} contexts of {self.context_length} tokens; write contexts = {self.contexts} "
                f"and context_length = {self.context_length} for this site."
            )
        for what, mine, theirs in (
            ("another model (or another precision or control of it)", self.model, wanted.model),
            ("another corpus (or another reading of it)", self.corpus, wanted.corpus),
        ):
            if mine != theirs:
                raise UserError(f"{folder} keeps activations of {what}; name the one that they were made with.")

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Raises UserError where the folder holds no kept activations."""
        try:
            facts = json.loads((folder / "kept.json").read_text("utf-8"))
            return cls(**{**facts, "layers": tuple(facts["layers"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{folder} holds no kept activations (kept.json: {error}); "
                "make them with keep_activations = true in a build, or drop `activations`."
            ) from error


@dataclass(frozen=True, slots=True)
class Kept:
    """One layer of kept activations."""

    folder: Path
    layer: int
    contexts: Contexts
    mask: Mask

    @property
    def count(self) -> int:
        return Layout(self.contexts.count).count

    def fit_sizes(self) -> list[int]:
        """Fitting tokens of each shard; found once, then read from a file beside the shards."""
        masked = fingerprint(sorted(self.mask.special), self.mask.limit, self.mask.skip)[:16]
        path = self.folder / f"fitting-{self.layer}-{masked}.json"
        if not path.is_file():
            write_json(path, [len(self.fit_rows(shard)) for shard in range(self.count)])
        sizes: list[int] = json.loads(path.read_text("utf-8"))
        return sizes

    def fit_rows(self, shard: int) -> Tensor:
        """`x[token, d]`, float32, of the unmasked tokens of a shard whose documents may fit dictionaries."""
        span = Layout(self.contexts.count).span(shard)
        if self.contexts.held_out[span].all():
            return torch.zeros(0, 0)
        activations = read_shard(self.folder, shard)[self.layer]
        rows = Rows.of(activations, self.mask.allowed(self.contexts.tokens[span], activations), span.start)
        return rows.x[torch.from_numpy(~self.contexts.held_out[rows.context])]


def kept_contexts(folder: Path, wanted: Manifest, d: int) -> Contexts:
    """The text of activations that an earlier build kept; their shards are looked through, by their headers.

    Raises UserError where they are not what is wanted, of width d, or not whole.
    """
    Manifest.load(folder).check(wanted, folder)
    contexts = load_contexts(folder / "contexts")
    layout = Layout(contexts.count)
    for shard in range(layout.count):
        span = layout.span(shard)
        shape = (int(span.stop - span.start) * contexts.length, d)
        found = _whole(shard_path(folder, shard), read_shapes)
        for name in map(_name, wanted.layers):
            if found.get(name) != shape:
                raise UserError(
                    f"{shard_path(folder, shard)}: {name} {_described(found.get(name))}, but {list(shape)} is what this site "
                    "needs; keep these activations again."
                )
    return contexts


def shard_path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:06d}.safetensors"


def write_shard(folder: Path, shard: int, activations: dict[int, Tensor]) -> None:
    write_tensors(shard_path(folder, shard), {_name(layer): x for layer, x in activations.items()})


def read_shard(folder: Path, shard: int) -> dict[int, Tensor]:
    """`activations[context · position, d]` by layer. Raises UserError where the file is damaged or not there."""
    found = _whole(shard_path(folder, shard), read_tensors)
    return {int(name.removeprefix("layer-")): tensor for name, tensor in found.items()}


def _name(layer: int) -> str:
    return f"layer-{layer}"


def _whole(path: Path, read: Callable[[Path], dict[str, T]]) -> dict[str, T]:
    if not path.is_file():
        raise UserError(
            f"{path} is not there; keep these activations again, and on a cluster in a folder that all its nodes share."
        )
    try:
        return read(path)
    except SafetensorError as error:
        raise UserError(f"{path} is not whole ({error}); delete it, and keep these activations again.") from error


def _described(shape: tuple[int, ...] | None) -> str:
    return "is absent" if shape is None else f"has shape {list(shape)}"
