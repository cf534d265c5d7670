"""What the checks have in common: random activations and weights, the tolerance, and the table that they print."""

import sys
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary

D, M, K, TOKENS = 64, 512, 16, 1000
TOLERANCE = 1e-5


def random(*shape: int, seed: int, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


X = random(TOKENS, D, seed=100) + 0.3


def dense(dictionary: Dictionary) -> Tensor:
    """The activations of X, `[token, m]`."""
    return torch.from_numpy(dictionary.encode(X).csr(dictionary.m).toarray())


def reconstruction(dictionary: Dictionary) -> Tensor:
    return dictionary.decode(dictionary.encode(X), X)


@dataclass
class Table:
    """Prints a line for each comparison; `close` raises SystemExit where one is beyond the tolerance."""

    title: str
    worst: float = 0.0
    lines: int = field(default=0)

    def __post_init__(self) -> None:
        write(f"{self.title}\n")
        write(
            f"  {'largest difference ÷ largest value':63} {'active':>6} {'activations':>12} {'reconstructions':>16}\n"
        )

    def compare(self, what: str, ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
        """Activations `[token, m]` and reconstructions `[token, d]`."""
        gaps = [float((one - other).abs().max() / other.abs().max()) for one, other in zip(ours, theirs, strict=True)]
        active = float((theirs[0] != 0).float().sum(1).mean())
        write(f"  {what:63} {active:6.1f} {gaps[0]:12.1e} {gaps[1]:16.1e}\n")
        if active == 0:
            raise SystemExit(f"{what}: nothing fired, so nothing was compared")
        self.worst = max(self.worst, *gaps)
        self.lines += 1

    def close(self) -> None:
        verdict = "all within" if self.worst <= TOLERANCE else "NOT within"
        write(f"  {self.lines} comparisons, {verdict} {TOLERANCE:g}; the largest difference is {self.worst:.1e}\n\n")
        if self.worst > TOLERANCE:
            raise SystemExit(1)


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
