"""Score the features of a store: block after block, each left on disk as it is done, then all written at once.

    contexts as arrays → a block's hits, and random contexts in their place → windows of text, embedded once each →
    scores of the block → DATA/scores.sqlite

Stopped at any moment and run again, it goes on from the last block, to the same bytes.
"""

import importlib.metadata
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from app import __version__
from app.errors import Conflict, UserError
from pipeline.arithmetic import fast_dtype
from pipeline.embedder import Embedder, load_embedder
from pipeline.files import write_array, write_arrays
from pipeline.hashing import fingerprint
from pipeline.progress import Stages
from pipeline.scores.block import Block, Sides, block_scores, blocks, rows
from pipeline.scores.meaning import Embedded
from pipeline.scores.measures import CONTEXTS
from pipeline.scores.store import ScoreRow, SiteEntry, Source, publish_scores, published
from pipeline.scores.text import SiteText

ORIGIN = "contexts"  # where provenance stands
WINDOWS = 1024  # embedded and kept at a time
LIBRARIES = ("numpy", "numba", "torch", "transformers", "tokenizers")


@dataclass(frozen=True, slots=True)
class Options:
    """What the scores depend on, beside the store. `features`: of each dictionary at most, by seed; None: all of them."""

    seed: int = 0
    features: int | None = None
    embedder: bool = True
    device: str = "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """Of the embedder: vectors in bfloat16 have a cosine of .9999 with those in float32."""
        return torch.bfloat16 if self.device != "cpu" else fast_dtype()

    def record(self, embedder: Embedder | None) -> dict[str, Any]:
        versions = {"dartboard": __version__, **{name: importlib.metadata.version(name) for name in LIBRARIES}}
        return {
            "seed": self.seed,
            "features": self.features,
            "embedder": embedder and {"name": embedder.name, "hash": embedder.hash, "dtype": str(self.dtype)},
            "versions": versions,
            "device": self.device,
        }


def score_store(source: Source, options: Options, stages: Stages, command: str) -> bool:
    """Make or go on with the scores of a store; False where they are there already.

    Raises UserError, Conflict where the same is at work there.
    """
    folder = source.store.path.with_name("scores-work")
    embedder = load_embedder(options.device, options.dtype) if options.embedder else None
    record = options.record(embedder)
    key = fingerprint(source.build_key, record)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", timeout=0):
            fresh = published(source, ORIGIN).get("key") != key
            if fresh:
                _score(source, options, folder / key[:16], stages, embedder, {**record, "key": key, "command": command})
        shutil.rmtree(folder)
    except Timeout as error:
        raise Conflict(f"{source.store.path} is being scored already; wait for it, or stop it.") from error
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: {error.strerror}; the scores stopped, and go on from here when run again."
        ) from error
    return fresh


def _score(
    source: Source,
    options: Options,
    folder: Path,
    stages: Stages,
    embedder: Embedder | None,
    provenance: dict[str, Any],
) -> None:
    folder.mkdir(exist_ok=True)
    parts: list[tuple[Block, Path]] = []
    for site in source.sites:
        mine = [one for one in source.dictionaries if one.site_id == site.id]
        pieces = [block for one in mine for block in blocks(one, source.facts(one), options.features, options.seed)]
        found = [(block, folder / f"{block.name}.npz") for block in pieces]
        parts += found
        if not all(path.is_file() for _, path in found):
            _SiteWork(source, site, options, folder, stages, embedder).score(found)
    with stages.stage("scores", len(parts), "blocks") as advance:
        names = [one.name for one in CONTEXTS]
        publish_scores(source, ORIGIN, names, _rows(sorted(parts, key=_order), advance), provenance)


def _order(part: tuple[Block, Path]) -> tuple[int, int]:
    return part[0].dictionary.id, part[0].number


def _rows(parts: list[tuple[Block, Path]], advance: Any) -> Iterator[ScoreRow]:
    for block, path in parts:
        with np.load(path) as arrays:
            scores = {name: (arrays[name][0], arrays[name][1]) for name in arrays.files}
        yield from rows(block, scores)
        advance(1)


@dataclass(frozen=True, slots=True)
class _SiteWork:
    source: Source
    site: SiteEntry
    options: Options
    folder: Path
    stages: Stages
    embedder: Embedder | None

    def score(self, parts: list[tuple[Block, Path]]) -> None:
        """Leave each block's scores in its file, `[side, feature]` by measure."""
        with self.stages.stage(f"{self.site.name}: contexts"):
            text = self.source.text(self.site, self.options.seed)
        left = [(block, path) for block, path in parts if not path.is_file()]
        embedded = self._embedded([block for block, _ in parts], text)
        total = sum(len(block.facts.index) for block, _ in parts)
        done = total - sum(len(block.facts.index) for block, _ in left)
        with self.stages.stage(f"{self.site.name}: scores", total, "features", done) as advance:
            for block, path in left:
                scores = block_scores(block, self._sides(block, text), text, embedded, self.source.sampled)
                write_arrays(path, {name: np.stack(both) for name, both in scores.items()})
                advance(len(block.facts.index))

    def _sides(self, block: Block, text: SiteText) -> Sides:
        return Sides.of(block, self.source, text, self.options.seed, self.embedder is not None)

    def _embedded(self, pieces: list[Block], text: SiteText) -> Embedded | None:
        """Vectors of all windows that some block asks for, in float16; what an earlier run embedded is read."""
        if self.embedder is None:
            return None
        asked = np.zeros(len(text.id) * len(text.starts), bool)
        with self.stages.stage(f"{self.site.name}: draws", len(pieces), "blocks") as advance:
            for block in pieces:
                for one in self._sides(block, text).asked or ():
                    asked[one.windows] = True
                advance(1)
        windows = np.flatnonzero(asked)
        chunks = [windows[first : first + WINDOWS] for first in range(0, len(windows), WINDOWS)]
        paths = [self.folder / f"windows-{self.site.id}-{number}.npy" for number in range(len(chunks))]
        there = sum(len(chunk) for chunk, path in zip(chunks, paths, strict=True) if path.is_file())
        with self.stages.stage(f"{self.site.name}: embeddings", len(windows), "windows", there) as advance:
            for chunk, path in zip(chunks, paths, strict=True):
                if not path.is_file():
                    write_array(path, self.embedder.embed(text.read(chunk.tolist())).astype(np.float16))
                    advance(len(chunk))
        vectors = np.concatenate([np.zeros((0, self.embedder.width), np.float16), *(np.load(path) for path in paths)])
        return _Vectors(vectors, np.cumsum(asked) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Vectors:
    """`vector[row, width]` of windows, and `row[window]`."""

    vector: NDArray[np.float16]
    row: NDArray[np.int64]

    def __call__(self, windows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.vector[np.clip(self.row[windows], 0, None)].astype(np.float32)
