"""`dartboard lab`: the experiments of the source texts; joins the `dartboard` command by entry point."""

import shlex
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.errors import DartboardError, UserError

QUICK_N, FULL_N = 256, 1024
STEP, LEAST_N, MOST_N = 64, 128, 2048
MOST_SEEDS = 100
WIDTH = 200  # of tables that go to a file: nothing wraps

app = typer.Typer()
lab = typer.Typer(no_args_is_help=True)
app.add_typer(lab, name="lab", help="Recompute the experiments of the source texts.")


@lab.callback()
def root() -> None:
    """Recompute the experiments of the source texts."""


@lab.command()
def darts(
    n: Annotated[
        int | None,
        typer.Option(
            "--n", help=f"Dimension, a multiple of {STEP}; {FULL_N}, or {QUICK_N} with --quick, if not given."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds; each figure is shown with its range over them.")] = 5,
    seed: Annotated[int, typer.Option(help="What the seeds are derived from.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Smaller sizes: seconds, but nothing published to compare.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for darts.json and the charts.")] = None,
) -> None:
    """Random directions ("Throwing darts in latent space"), measured beside theory and what was published.

    Inner products of random sign vectors, what they explain of structureless Gaussian tokens, what leaving out the centring
    costs, and how close they come to known features. Published figures are for n = 1024 and are compared at that n alone.
    Exit code 1 where a figure is outside its tolerance.

    Example: dartboard lab darts --quick
    """
    n = n if n is not None else QUICK_N if quick else FULL_N
    if n % STEP or not LEAST_N <= n <= MOST_N:
        raise UserError(f"--n is {n}, but must be a multiple of {STEP} from {LEAST_N} to {MOST_N}.")
    if not 1 <= seeds <= MOST_SEEDS:
        raise UserError(f"--seeds is {seeds}, but must be from 1 to {MOST_SEEDS}.")
    if out is not None:
        _can_draw(out)
    progress = Console(stderr=True)
    with progress.status("Loading PyTorch"):
        from pipeline.lab import report
        from pipeline.lab.checks import checks
        from pipeline.lab.darts import measure
        from pipeline.progress import Stages
    begun = time.monotonic()
    with Stages(progress) as stages:
        run = measure(n, seeds, seed, stages)
    found = checks(run)
    screen = Console()
    report.show(run, found, screen if screen.is_terminal else Console(width=WIDTH))
    if out is not None:
        command = shlex.join(["dartboard", "lab", "darts", "--n", str(n), "--seeds", str(seeds), "--seed", str(seed)])
        made = {"command": command, "date": datetime.now(UTC).date().isoformat(), "n": n, "seeds": seeds, "seed": seed}
        made |= {"seconds": round(time.monotonic() - begun, 1), "versions": report.versions()}
        path = report.save(out, run, found, made)
        from pipeline.lab.charts import draw

        drawn = draw(run, out, f"Source: {command}.")
        progress.print(f"Wrote {path} and {', '.join(chart.name for chart in drawn)}.", highlight=False, soft_wrap=True)
    outside = [check.name for check in found if check.within is False]
    if outside:
        raise DartboardError(f"Outside its tolerance: {'; '.join(outside)}.")


def _can_draw(out: Path) -> None:
    """Raise UserError now rather than after minutes."""
    try:
        for name in ("altair", "vl_convert"):
            import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--out draws charts, which needs {error.name}, which is not installed: pip install 'dartboard[pipeline]'."
        ) from error
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is not a folder; choose another with --out.")


if __name__ == "__main__":
    app()
