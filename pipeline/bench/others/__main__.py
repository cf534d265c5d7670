"""Make the environments and the inputs, run each tool on each shape, and print one JSON object a line.

    python -m pipeline.bench.others FOLDER --tool sae-dashboard --tool dartboard --shape g

`seconds` is what was run: one batch of features for sae-dashboard, everything for the others; `extrapolated seconds` is the
whole dictionary. For dartboard both are the whole command, from start to published store, Python's own start included;
`stages` says what each of its stages took.
"""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.errors import DartboardError
from pipeline.bench.others.environments import run_script
from pipeline.bench.others.inputs import SHAPES, build_file, make

FEATURES = 256  # a batch of sae-dashboard's, its default
SCRIPTS = {"sae-dashboard": "sae_dashboard_batch.py", "delphi": "delphi_cache.py"}


class Tool(StrEnum):
    SAE_DASHBOARD = "sae-dashboard"
    DELPHI = "delphi"
    DARTBOARD = "dartboard"


class Precision(StrEnum):
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class ShapeName(StrEnum):
    G = "g"
    S = "s"


def main(
    folder: Annotated[Path, typer.Argument(help="For environments, inputs and results: some 4 GB.")],
    tool: Annotated[list[Tool] | None, typer.Option(help="One of the tools; all, if not given.")] = None,
    shape: Annotated[list[ShapeName] | None, typer.Option(help="One of the shapes; both, if not given.")] = None,
    precision: Annotated[Precision, typer.Option(help="Of model and dictionary.")] = Precision.FLOAT32,
    prompts: Annotated[int | None, typer.Option(min=32, help="Prompts; the shape's, if not given.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads, or dartboard's workers.")] = 2,
    decoder: Annotated[
        str, typer.Option(help="dartboard's: tied, or least-squares, which the others don't do.")
    ] = "tied",
) -> None:
    """Time the tools on the same model, dictionary and text."""
    try:
        for name in shape or list(ShapeName):
            found = dataclasses.replace(SHAPES[name], contexts=prompts or SHAPES[name].contexts)
            inputs = folder / "inputs" / f"{name}-{found.contexts}"
            make(found, inputs)
            for one in tool or list(Tool):
                begun = {"tool": str(one), "shape": str(name), "precision": str(precision), "threads": threads}
                if one is Tool.DARTBOARD:
                    (inputs / "BUILD.toml").write_text(build_file(found, inputs.resolve(), precision, decoder), "utf-8")
                    facts = _dartboard(inputs, folder / "results", threads) | {
                        "decoder": decoder,
                        "features": found.m,
                        "tokens": found.tokens,
                    }
                else:
                    facts = _other(one, folder, inputs, precision, threads)
                typer.echo(json.dumps(begun | facts))
    except DartboardError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


def _other(tool: Tool, folder: Path, inputs: Path, precision: str, threads: int) -> dict[str, Any]:
    out = folder / "results"
    out.mkdir(parents=True, exist_ok=True)
    arguments: list[object] = [inputs, out, precision, threads]
    if tool is Tool.SAE_DASHBOARD:
        arguments.append(FEATURES)
    return run_script(tool, folder / "environments" / tool, SCRIPTS[tool], arguments)


def _dartboard(inputs: Path, out: Path, workers: int) -> dict[str, Any]:
    data = out / "dartboard"
    shutil.rmtree(data, ignore_errors=True)
    command = [Path(sys.executable).with_name("dartboard"), "build", inputs / "BUILD.toml", "--data", data]
    begun = time.perf_counter()
    ended = subprocess.run([*map(str, command), "--workers", str(workers)], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if ended.returncode:
        raise DartboardError(f"dartboard failed:\n{ended.stderr[-2000:]}")
    stages = re.findall(r"(?m)^(.+?): (?:[\d,]+ \S+ in )?([\d.]+) s$", ended.stderr)
    return {
        "seconds": seconds,
        "extrapolated seconds": seconds,
        "stages": {name: float(taken) for name, taken in stages},
        "bytes": (data / "features.sqlite").stat().st_size,
    }


if __name__ == "__main__":
    typer.run(main)
