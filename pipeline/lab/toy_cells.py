"""The dictionaries that `dartboard lab toy` trains, one a cell, each kept in a file: a run that was stopped goes on from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import starting_rows
from pipeline.engines import Engine, Progress, silent, tell
from pipeline.hashing import derive, fingerprint
from pipeline.train.family import Units
from pipeline.train.loop import train
from pipeline.train.options import Training
from pipeline.train.run import Trainee

START_TOKENS = 16_384  # in the sample that directions are drawn from and scales are found on
VERSION = 1  # of training: to be raised when its defaults change


class Source(Protocol):
    """Where activations come from: the toy world, or a layer of a model."""

    @property
    def facts(self) -> dict[str, Any]:
        """What decides the activations."""
        ...

    def units(self, centred: bool) -> Units:
        """For training; with the mean taken out where `centred`."""
        ...

    def sample(self, count: int, seed: int) -> Tensor:
        """`x[token, n]`."""
        ...

    def batches(self, size: int, seed: int, start: int) -> Iterator[Tensor]:
        """Batches `x[size, n]` without end, from the one numbered `start`."""
        ...


@dataclass(frozen=True)
class Cell:
    """A dictionary of m features, to be trained with `options` on activations of `source`."""

    source: Source
    options: Training
    m: int
    seed: int

    @property
    def name(self) -> str:
        """Of its file: whatever is asked for changes it."""
        asked = self.options.model_dump(mode="json", exclude_unset=True)
        return fingerprint(VERSION, self.source.facts, self.options.kind, asked, self.m, self.seed)[:24]


def trained(cells: Sequence[Cell], folder: Path, engine: Engine, progress: Progress = silent) -> list[Dictionary]:
    """The cells' dictionaries, from their files in `folder` where they are; `progress` is told of tokens times features.

    Raises what training raises.
    """
    missing = [cell for cell in dict.fromkeys(cells) if not _path(folder, cell).is_file()]
    progress(sum(map(work, cells)) - sum(map(work, missing)))
    for _ in engine.run(partial(_train, folder), sorted(missing, key=work, reverse=True), progress):
        pass
    return [Dictionary.load(_path(folder, cell)) for cell in cells]


def work(cell: Cell) -> int:
    """How much there is to do: tokens times features."""
    return cell.options.tokens * cell.m


def _path(folder: Path, cell: Cell) -> Path:
    return folder / f"{cell.name}.safetensors"


def _train(folder: Path, cell: Cell) -> None:
    """A piece of work."""
    source, options, seed = cell.source, cell.options, derive(cell.seed, "toy")
    centred = getattr(options, "decoder_bias", True)
    sample, units = source.sample(START_TOKENS, derive(seed, "start")), source.units(centred)
    directions = starting_rows(options.start, cell.m, sample, units.centre, derive(seed, "directions"))
    path = _path(folder, cell)
    trainee = Trainee(cell.name, options, directions, seed, path.with_suffix(".pt"))
    stream = partial(source.batches, options.batch, derive(seed, "batches"))
    # Dead features are what is counted here: denormal numbers in what the optimiser knows of them take a hundred times as long.
    torch.set_flush_denormal(True)
    try:
        (made,) = train([trainee], stream, sample, units, lambda tokens, _: tell(tokens * cell.m))
    finally:
        torch.set_flush_denormal(False)
    made.dictionary.save(path)
    path.with_suffix(".pt").unlink(missing_ok=True)
