"""The rows of training in the bench's table."""

from collections.abc import Iterator
from pathlib import Path

from app.errors import DartboardError
from pipeline.bench.report import Row
from pipeline.bench.shapes import G, S, Shape
from pipeline.bench.training import SCRIPTS, Steps, compare, our_speed, their_speed, write_inputs

BARS = {"sae-lens": 8.0, "sparsify": 2.5}  # our tokens a second ÷ theirs, at least
GAP_BAR = 0.01
STEPS = {"s": Steps(4, 16, 60), "g": Steps(2, 6, 24)}
QUICK = {"s": Steps(2, 4, 12), "g": Steps(1, 2, 6)}


def training_rows(folder: Path, others: Path, threads: int, quick: bool) -> Iterator[Row]:
    """A tool that can't be installed or run has no figure, and its row is a miss."""
    for shape in (S, G):
        yield from _shape(shape, (QUICK if quick else STEPS)[shape.name], folder / shape.name, others, threads)


def _shape(shape: Shape, steps: Steps, folder: Path, others: Path, threads: int) -> Iterator[Row]:
    x = write_inputs(shape, steps, folder)
    sizes = f"{shape.d} → {shape.m}"
    ours = our_speed(shape, x, steps, threads)
    for tool in SCRIPTS:
        what = f"training steps {sizes}, ours ÷ {tool}"
        try:
            theirs = their_speed(tool, folder, others, threads)
        except DartboardError as error:
            said = str(error).strip().splitlines()
            yield Row(shape.name, what, float("nan"), BARS[tool], f"not measured: {said[0]} {said[-1]}", least=True)
            continue
        yield Row(shape.name, what, ours / theirs, BARS[tool], f"{ours:,.0f} ÷ {theirs:,.0f} tokens/s", least=True)
    found = compare(shape, x, steps, threads)
    says = f"{found.ours:.4f} of the variance left, {found.dense:.4f} by the dense rule, after {found.tokens:,} tokens"
    yield Row(shape.name, f"training loss {sizes}, off the dense rule", found.gap, GAP_BAR, says, "%")
