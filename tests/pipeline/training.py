"""What the tests of training share: a small world with known features, and short runs on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.train.family import Units
from pipeline.train.geometry import geometric_median
from pipeline.train.loop import train
from pipeline.train.options import KINDS, Training
from pipeline.train.run import Trained, Trainee

D, TRUE, ACTIVE = 24, 32, 3
M = 48


class World:
    """Tokens that are sums of a few of 32 directions in 24 dimensions, about a mean that is not 0."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.features = torch.nn.functional.normalize(torch.randn(TRUE, D, generator=generator), dim=1)
        self.mean = torch.randn(D, generator=generator)

    def tokens(self, count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        on = torch.rand(count, TRUE, generator=generator) < ACTIVE / TRUE
        return self.mean + 5 * (on * (0.5 + torch.rand(count, TRUE, generator=generator))) @ self.features

    def batches(self, batch: int) -> Any:
        def stream(start: int) -> Iterator[Tensor]:
            number = start
            while True:
                yield self.tokens(batch, 1000 + number)
                number += 1

        return stream

    def units(self) -> Units:
        x = self.tokens(4096, 1)
        return Units(geometric_median(x), float((x - x.mean(0)).square().sum(1).mean().sqrt()))


def options(kind: str, **given: Any) -> Training:
    return KINDS[kind].model_validate(
        {"tokens": 300 * 256, "batch": 256, "learning_rate": 1e-2, "threads": 1, "start": "gaussian", **given}
    )


def trainee(name: str, chosen: Training, checkpoint: Path | None = None, m: int = M, seed: int = 0) -> Trainee:
    generator = torch.Generator().manual_seed(100 + seed)  # not the world's own directions
    directions = torch.nn.functional.normalize(torch.randn(m, D, generator=generator), dim=1)
    return Trainee(name, chosen, directions, seed, checkpoint)


def run(*trainees: Trainee, world: World | None = None, advance: Any = lambda *_: None) -> list[Trained]:
    world = world or World()
    return train(trainees, world.batches(trainees[0].options.batch), world.tokens(4096, 1), world.units(), advance)


class Stopped(Exception):
    """As if the process had been killed."""


def stop_after(tokens: int) -> Any:
    """An `advance` that stops the run once so many tokens were used."""
    seen = 0

    def advance(count: int, _words: str) -> None:
        nonlocal seen
        seen += count
        if seen >= tokens:
            raise Stopped

    return advance


def fve(trained: Trained, world: World | None = None) -> float:
    """On tokens that no run has seen."""
    x = (world or World()).tokens(4096, 2)
    made = trained.dictionary.decode(trained.dictionary.encode(x))
    return 1 - float((x - made).square().sum() / (x - x.mean(0)).square().sum())
