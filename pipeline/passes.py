"""Run the pass over a text's shards, keep its parts as checkpoints, and merge them.

A chunk of shards is a worker's piece, and a part what was learnt from one chunk, or from several where the engine merges
on its workers. Parts are on disk as soon as they come, so that a build that is stopped loses no more than is at work.
Their number does not grow with the text. They are merged at the end, a block of features at a time.
"""

import functools
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import hits
from pipeline.blocks import WIDTH, read_block, write_blocks
from pipeline.corpus import Contexts
from pipeline.dictionaries import Codes
from pipeline.engines import Engine
from pipeline.engines.tree import Gathers, gathered
from pipeline.files import read_tensors, whole, write_tensors
from pipeline.hits import Keep, Summary
from pipeline.sample import Layout
from pipeline.streaming import DictionaryPart, Pass, Shard, SitePart, stream

CHUNKS = 64  # pieces of a pass, about, on one computer; for each worker, where parts are gathered
HELD = 2**19  # hits of a block that may gather before those to keep are sorted out


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pass has left on disk: parts, each of some shards and named by the first of them, and codes by shard."""

    folder: Path
    layout: Layout

    def left(self, pieces: int = CHUNKS) -> list[range]:
        """The shards that no part covers, cut into chunks, of which a whole pass has `pieces` at most."""
        covered = {shard for part in self._parts() for shard in _read(self._path(part, "done"))[0]}
        missing = [shard for shard in range(self.layout.count) if shard not in covered]
        step = -(-self.layout.count // pieces)
        chunks = []
        for _, run in groupby(enumerate(missing), lambda entry: entry[1] - entry[0]):
            shards = [shard for _, shard in run]
            chunks += [range(first, min(first + step, shards[-1] + 1)) for first in shards[::step]]
        return chunks

    def write(self, shards: Sequence[int], sites: Sequence[tuple[Sequence[str], SitePart]]) -> None:
        """Keep the part of some shards; `sites` gives for each site the names of its dictionaries, and its part."""
        part = min(shards)
        done = []
        for names, site in sites:
            for name, found in zip(names, site.dictionaries, strict=True):
                for group, codes in (("fitting", found.fitting), ("codes", found.codes)):
                    for shard, some in codes.items():
                        tensors = {"start": some.start, "index": some.index, "value": some.value}
                        write_tensors(self._codes(name, group, shard), tensors)
                write_blocks(self._path(part, f"{name}.hits"), found.summary)
                if found.moment is not None or found.scale is not None:
                    _dump(self._path(part, f"{name}.sums"), (found.moment, found.scale))
            done.append((site.allowed, site.masked))
        _dump(self._path(part, "done"), (sorted(shards), done))

    def masks(self, site: int, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], dict[str, int]]:
        """`allowed[context, position]` of a site, the first being 0, and how many positions are masked, by reason."""
        allowed = np.zeros(shape, bool)
        masked: dict[str, int] = {}
        for part in self._parts():
            some, counts = _read(self._path(part, "done"))[1][site]
            for shard, mask in some.items():
                allowed[self.layout.span(shard)] = mask
            for reason, count in counts.items():
                masked[reason] = masked.get(reason, 0) + count
        return allowed, masked

    def sums(self, name: str) -> Iterator[tuple[NDArray[np.int64] | None, tuple[int, int] | None]]:
        """A dictionary's sums for its decoder, of parts that have any: of its codes and rows, and for its scale."""
        for part in self._parts():
            path = self._path(part, f"{name}.sums")
            if path.is_file():
                yield _read(path)

    def summary(self, name: str, keep: Keep, block: int) -> Summary:
        """A dictionary's summary over the whole text, of one block of its features."""
        mine = keep.at(block * WIDTH)
        merged: list[Summary] = []
        for part in self._parts():
            merged.append(read_block(self._path(part, f"{name}.hits"), block))
            if sum(len(one.hits) + len(one.bottom) for one in merged) > HELD:
                merged = [hits.merge(merged, mine)]
        return hits.merge(merged, mine)

    def codes(self, name: str, group: str, shards: Iterable[int]) -> Iterator[Codes]:
        """The codes of those of `shards` that have any, in order; `group` is fitting or codes."""
        for shard in sorted(shards):
            path = self._codes(name, group, shard)
            if path.is_file():
                yield Codes(**read_tensors(path))

    def _parts(self) -> list[int]:
        """Those that are whole: what an interrupted write has left counts for nothing."""
        return sorted(int(path.name.partition(".")[0]) for path in self.folder.glob("[0-9]*.done"))

    def _path(self, part: int, name: str) -> Path:
        return self.folder / f"{part:07d}.{name}"

    def _codes(self, name: str, group: str, shard: int) -> Path:
        return self.folder / f"{name}.{group}" / f"{shard:07d}.safetensors"


def run_pass(
    job: Pass,
    contexts: Contexts,
    names: Sequence[Sequence[str]],
    sampled: dict[int, dict[int, Any]],
    parts: Parts,
    engine: Engine,
    advance: Callable[[int], None],
) -> None:
    """Do what is left of a pass. `names[site]`: its dictionaries; `sampled`: activations in memory already, by shard."""
    shared = engine.share(job)
    merge = functools.partial(merge_parts, [[entry.keep for entry in site.dictionaries] for site in job.sites])
    left = parts.left(CHUNKS * engine.workers if isinstance(engine, Gathers) else CHUNKS)
    # those that take longest first, so that no worker ends long after the others
    left.sort(key=lambda chunk: sum(shard in sampled for shard in chunk))
    pieces = [tuple(piece(contexts, shard, sampled.get(shard)) for shard in chunk) for chunk in left]
    for chunks, found in gathered(engine, functools.partial(stream, shared), merge, pieces, advance):
        shards = [shard.number for chunk in chunks for shard in chunk]
        parts.write(shards, list(zip(names, found, strict=True)))


def merge_parts(keeps: Sequence[Sequence[Keep]], parts: Sequence[tuple[SitePart, ...]]) -> tuple[SitePart, ...]:
    """What a pass learns from all the shards of some parts; `keeps[site][dictionary]`. In any order and grouping."""
    return tuple(_merged(keep, some) for keep, some in zip(keeps, zip(*parts, strict=True), strict=True))


def _merged(keeps: Sequence[Keep], parts: Sequence[SitePart]) -> SitePart:
    masked: dict[str, int] = {}
    for part in parts:
        for reason, count in part.masked.items():
            masked[reason] = masked.get(reason, 0) + count
    allowed = {shard: mask for part in parts for shard, mask in part.allowed.items()}
    dictionaries = zip(*(part.dictionaries for part in parts), strict=True)
    return SitePart(allowed, masked, tuple(_of_one(*pair) for pair in zip(keeps, dictionaries, strict=True)))


def _of_one(keep: Keep, parts: Sequence[DictionaryPart]) -> DictionaryPart:
    moments = [part.moment for part in parts if part.moment is not None]
    scales = [part.scale for part in parts if part.scale is not None]
    return DictionaryPart(
        hits.merge([part.summary for part in parts], keep),
        functools.reduce(np.add, moments) if moments else None,
        (sum(above for above, _ in scales), sum(below for _, below in scales)) if scales else None,
        {shard: codes for part in parts for shard, codes in part.fitting.items()},
        {shard: codes for part in parts for shard, codes in part.codes.items()},
    )


def piece(contexts: Contexts, shard: int, activations: dict[int, Any] | None = None) -> Shard:
    span = Layout(contexts.count).span(shard)
    return Shard(shard, span.start, np.array(contexts.tokens[span]), activations)


def _dump(path: Path, value: Any) -> None:
    with whole(path) as temporary, temporary.open("wb") as file:
        pickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)  # written by a build, in its own work folder
