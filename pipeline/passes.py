"""Run the pass over a text's shards, keep its parts as checkpoints, and merge them.

A chunk of shards is a worker's piece; its part is on disk before the next is taken up, so that a build that is stopped
loses the chunks at work alone. At most CHUNKS parts are on disk, whatever the text's size.
"""

import functools
import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import hits
from pipeline.corpus import Contexts
from pipeline.dictionaries import Codes
from pipeline.engines import Engine
from pipeline.files import read_tensors, whole, write_json, write_tensors
from pipeline.hits import Keep, Summary
from pipeline.sample import Layout
from pipeline.streaming import DictionaryPart, Pass, Shard, SitePart, stream

CHUNKS = 64
MERGED_AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class Parts:
    """What the pass has left on disk: for each chunk and dictionary a part, and the codes of some shards."""

    folder: Path
    layout: Layout

    def chunks(self) -> list[range]:
        """The shards of each chunk; settled when the pass begins, so that it can go on with other workers."""
        path = self.folder / "chunks.json"
        if not path.is_file():
            write_json(path, {"shards": -(-self.layout.count // CHUNKS)})
        step = json.loads(path.read_text("utf-8"))["shards"]
        return [range(first, min(first + step, self.layout.count)) for first in range(0, self.layout.count, step)]

    def left(self) -> list[range]:
        return [chunk for chunk in self.chunks() if not self._path(chunk, "done").is_file()]

    def write(self, chunk: range, sites: Sequence[tuple[Sequence[str], SitePart]]) -> None:
        """Keep a chunk's part; `sites` gives for each site the names of its dictionaries, and its part."""
        done = []
        for names, part in sites:
            for name, found in zip(names, part.dictionaries, strict=True):
                for group, codes in (("fitting", found.fitting), ("codes", found.codes)):
                    for shard, some in codes.items():
                        tensors = {"start": some.start, "index": some.index, "value": some.value}
                        write_tensors(self._codes(name, group, shard), tensors)
                _dump(self._path(chunk, name), DictionaryPart(found.summary, found.moment, found.scale))
            done.append((part.allowed, part.masked))
        _dump(self._path(chunk, "done"), done)

    def masks(self, site: int, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], dict[str, int]]:
        """`allowed[context, position]` of a site, the first being 0, and how many positions are masked, by reason."""
        allowed = np.zeros(shape, bool)
        masked: dict[str, int] = {}
        for chunk in self.chunks():
            some, counts = _read(self._path(chunk, "done"))[site]
            for shard, mask in some.items():
                allowed[self.layout.span(shard)] = mask
            for reason, count in counts.items():
                masked[reason] = masked.get(reason, 0) + count
        return allowed, masked

    def of(self, name: str) -> Iterator[DictionaryPart]:
        """A dictionary's parts, without their codes."""
        for chunk in self.chunks():
            part: DictionaryPart = _read(self._path(chunk, name))
            yield part

    def summary(self, name: str, keep: Keep) -> Summary:
        """A dictionary's summary over the whole text."""
        merged: list[Summary] = []
        for part in self.of(name):
            merged.append(part.summary)
            if len(merged) > MERGED_AT_A_TIME:
                merged = [hits.merge(merged, keep)]
        return hits.merge(merged, keep)

    def codes(self, name: str, group: str, shards: Iterable[int]) -> Iterator[Codes]:
        """The codes of those of `shards` that have any, in order; `group` is fitting or codes."""
        for shard in sorted(shards):
            path = self._codes(name, group, shard)
            if path.is_file():
                yield Codes(**read_tensors(path))

    def _path(self, chunk: range, name: str) -> Path:
        return self.folder / f"{chunk.start:07d}.{name}.pickle"

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
    left = parts.left()
    shared = engine.share(job)
    chunks = {chunk.start: chunk for chunk in left}
    pieces = [tuple(piece(contexts, shard, sampled.get(shard)) for shard in chunk) for chunk in left]
    for chunk, found in engine.run(functools.partial(stream, shared), pieces, advance):
        parts.write(chunks[chunk[0].number], list(zip(names, found, strict=True)))


def piece(contexts: Contexts, shard: int, activations: dict[int, Any] | None = None) -> Shard:
    span = Layout(contexts.count).span(shard)
    return Shard(shard, span.start, np.array(contexts.tokens[span]), activations)


def _dump(path: Path, value: Any) -> None:
    with whole(path) as temporary, temporary.open("wb") as file:
        pickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)  # written by a build, in its own work folder
