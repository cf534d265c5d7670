"""Print how far all is from this machine's limit, or ahead of others: `make bench`, or `python -m pipeline.bench [--only g]`.

The limit of a build is the stopped forward pass plus one encoder product a dictionary, alone, in the same precision and on
as many processes of one thread. Build and limit are timed one after the other, in one run, and compared: absolute figures
vary with the machine. What starting and warming up the workers takes is not counted, nor is what does not depend on the
number of tokens: making directions, fitting decoders, judging, tables.
"""

import dataclasses
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.errors import DartboardError
from pipeline.bench.builds import Distance, measure_build, peak_memory
from pipeline.bench.pages import page_rows
from pipeline.bench.report import Row, table
from pipeline.bench.shapes import G, S, Shape, make_ground
from pipeline.bench.tables import measure_tables
from pipeline.bench.training_rows import training_rows
from pipeline.devices import cores

BARS = {("g", "float32"): 1.15, ("g", "bfloat16"): 1.35, ("s", "float32"): 1.25, ("s", "bfloat16"): 1.35}
FURTHER_BARS = {"g": 1.25, "s": 1.8}
TABLE_BAR, MEMORY_BAR, BYTES_BAR = 1.5, 0.1, 2048
FURTHER = 2  # dictionaries
MEMORY = (784, 7_840)  # contexts: 0.1M and 1M tokens
QUICK_MEMORY = (256, 1_024)


class Part(StrEnum):
    g = "g"
    s = "s"
    tables = "tables"
    memory = "memory"
    training = "training"
    pages = "pages"


def main(
    only: Annotated[list[Part] | None, typer.Option(help="Rows to measure; all of them, if not given.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A fraction of the text: rows come fast, and a little high.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; the number of cores, if not given.")] = None,
    others: Annotated[
        Path, typer.Option(help="Folder of the environments of the tools compared with, made where missing.")
    ] = Path("build/others"),
) -> None:
    """Measure, and print each figure beside its bar."""
    console = Console()
    count = workers or cores()
    rows: list[Row] = []
    try:
        with tempfile.TemporaryDirectory() as folder, console.status("Measuring, in some minutes"):
            for part in only or list(Part):
                home = Path(folder) / part
                for row in _rows(part, home, count, quick, others):
                    rows.append(row)
                    console.print(f"{row.shape:>2} {row.what}: {row.shown} {row.mark}", highlight=False)
    except DartboardError as error:
        console.print(str(error), style="red", highlight=False)
        raise typer.Exit(error.exit_code) from error
    console.print(table(rows, f"Reached on this machine, by {count} processes of one thread each"))
    if any(row.mark == "miss" for row in rows):
        raise typer.Exit(1)


def _rows(part: Part, folder: Path, workers: int, quick: bool, others: Path) -> Iterator[Row]:
    match part:
        case Part.g | Part.s:
            shape = G if part == Part.g else S
            yield from _builds(_shortened(shape, 2 if shape is G else 4) if quick else shape, folder, workers)
        case Part.tables:
            yield from _tables(G, workers, fit=False)
            yield from _tables(S, workers, fit=True)
        case Part.memory:
            yield _memory(folder, workers, quick)
        case Part.training:
            yield from training_rows(folder, others, workers, quick)
        case Part.pages:
            yield from page_rows(folder, others, quick)


def _builds(shape: Shape, folder: Path, workers: int) -> Iterator[Row]:
    ground = make_ground(shape, folder / "ground")
    exact = measure_build(ground, folder, workers, "float32", FURTHER)
    yield _distance(shape, exact, "float32")
    share = exact.further / exact.product
    says = f"{exact.further:.2f} s ÷ its product, {exact.product:.2f} s"
    yield Row(shape.name, "each further dictionary, fp32", share, FURTHER_BARS[shape.name], says)
    fast = measure_build(ground, folder, workers, "bfloat16", 0)
    yield _distance(shape, fast, "bfloat16")
    found = exact.bytes
    says = (
        f"hits and contexts, of the {found.full_features:,} features with {shape.top} top and {5 * shape.per_quantile} "
        f"quantile contexts; {found.each:,.0f} B over all {found.features:,}"
    )
    yield Row(shape.name, "store, a feature", found.each_full, BYTES_BAR, says, "B")


def _distance(shape: Shape, found: Distance, precision: str) -> Row:
    parts = ", ".join(f"{name.partition(': ')[2] or name} {seconds:.1f}" for name, seconds in found.counted.items())
    says = f"{found.build:.1f} s ({parts}) ÷ forward {found.forward:.1f} + product {found.product:.1f}"
    short = {"float32": "fp32", "bfloat16": "bf16"}[precision]
    what = f"build of {shape.tokens:,} tokens, {short}"
    return Row(shape.name, what, found.ratio, BARS[shape.name, precision], says)


def _tables(shape: Shape, workers: int, fit: bool) -> Iterator[Row]:
    for found in measure_tables(shape, workers, fit):
        says = f"{found.table:.1f} s ÷ its product or solution alone, {found.alone:.1f} s"
        yield Row(shape.name, found.name, found.table / found.alone, TABLE_BAR, says)


def _memory(folder: Path, workers: int, quick: bool) -> Row:
    few, many = QUICK_MEMORY if quick else MEMORY
    ground = make_ground(S, folder / "ground", many)
    small = peak_memory(ground, folder / "few", workers, few)
    large = peak_memory(ground, folder / "many", workers, many)
    says = f"{small / 2**20:,.0f} MB at {few * S.length:,} tokens, {large / 2**20:,.0f} MB at {many * S.length:,}"
    return Row("s", "peak memory of all processes, growth", large / small - 1, MEMORY_BAR, says, "%")


def _shortened(shape: Shape, times: int) -> Shape:
    return dataclasses.replace(shape, contexts=shape.contexts // times)


if __name__ == "__main__":
    typer.run(main)
