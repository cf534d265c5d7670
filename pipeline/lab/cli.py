"""`dartboard lab`: the experiments of the source texts; joins the `dartboard` command by entry point."""

import shlex
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.errors import DartboardError, UserError
from app.settings import Settings

if TYPE_CHECKING:
    from pipeline.lab.checks import Check

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
    _fail_outside(found)


class FrequencyName(StrEnum):
    uniform = "uniform"
    decay = "decay"
    zipf = "zipf"


@lab.command()
def toy(
    quick: Annotated[
        bool, typer.Option("--quick", help="A small world: under a minute, but nothing published to compare.")
    ] = False,
    frequencies: Annotated[
        FrequencyName, typer.Option(help="How often features of the grid's world are active.")
    ] = FrequencyName.uniform,
    correlation: Annotated[
        float, typer.Option(help="Of the grid's features in pairs: 0 to below 1.", show_default="0")
    ] = 0.0,
    activations: Annotated[
        Path | None,
        typer.Option(help="Folder of kept activations, DATA/activations/…: estimate the number of its features too."),
    ] = None,
    layer: Annotated[int | None, typer.Option(help="Which layer of them.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; if not given, the number of cores, at most 8.")
    ] = None,
    seed: Annotated[int, typer.Option(help="What all seeds are derived from.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Trained dictionaries are kept in DATA/toy, for later runs; DARTBOARD_DATA, or ./data, where unset."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for toy.json, the CSV files and the charts.")] = None,
) -> None:
    """The toy world of superposition (Sharkey, Braun and beren), where the truth is known.

    Sparse autoencoders are trained over a grid of α and dictionary size J, compared with the true features, and three estimates of
    the number of features are made. Then the blog post's claim is tested: what have the samples in common that a direction likes
    best, for true features, trained dictionaries, data points, random directions and a null? Stop it at any moment and run it
    again: it goes on from there. Exit code 1 where a figure is outside its tolerance.

    Example: dartboard lab toy --quick
    """
    if not 0 <= correlation < 1:
        raise UserError(f"--correlation is {correlation:g}, but must be from 0 to below 1.")
    if (activations is None) != (layer is None):
        raise UserError("--activations and --layer belong together; give both, or neither.")
    if out is not None:
        _can_draw(out)
    data = data or Settings().data
    progress = Console(stderr=True)
    with progress.status("Loading PyTorch"):
        from pipeline.devices import cores
        from pipeline.engines.local import Local
        from pipeline.lab import toy_plan, toy_report, toy_run
        from pipeline.lab.report import versions
        from pipeline.lab.toy_checks import checks
        from pipeline.lab.toy_layer import Layer
        from pipeline.progress import Stages
    begun = time.monotonic()
    sizes = toy_plan.QUICK if quick else toy_plan.FULL
    world = toy_plan.world_of(sizes, frequencies.value, correlation, seed)
    real = None if activations is None or layer is None else Layer(activations, layer, sizes.layer_tokens)
    with Local(workers or cores()) as engine, Stages(progress) as stages:
        run = toy_run.measure(sizes, world, real, seed, data / "toy", engine, stages)
    found = checks(run)
    screen = Console()
    toy_report.show(run, found, screen if screen.is_terminal else Console(width=WIDTH))
    if out is not None:
        options = ["--quick"] if quick else []
        options += ["--frequencies", frequencies.value] if frequencies is not FrequencyName.uniform else []
        options += ["--correlation", f"{correlation:g}"] if correlation else []
        options += ["--activations", activations.name, "--layer", str(layer)] if activations is not None else []
        command = shlex.join(["dartboard", "lab", "toy", *options, "--seed", str(seed)])
        made = {"command": command, "date": datetime.now(UTC).date().isoformat(), "seed": seed}
        made |= {"seconds": round(time.monotonic() - begun, 1), "versions": versions()}
        paths = toy_report.save(out, run, found, made)
        from pipeline.lab.toy_charts import draw

        paths += draw(run, out, f"Source: {command}.")
        names = ", ".join(path.name for path in paths)
        progress.print(f"Wrote {names} in {out}.", highlight=False, soft_wrap=True)
    _fail_outside(found)


@lab.command()
def findings(
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the text and few seeds: shows that it works, and says nothing.")
    ] = False,
    files: Annotated[Path, typer.Option(help="Folder of trained.toml and rerandomised.toml.")] = Path("demo/findings"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; if not given, the number of cores, at most 8.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; cuda where there is one, if not given.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Stores are kept in DATA/findings; DARTBOARD_DATA, or ./data, where unset.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of findings.md, whose figures are replaced, and of the charts.")
    ] = Path("docs"),
) -> None:
    """What machine scores say of the post's claim: random directions beside trained ones, controls, more and more of them.

    Two stores are built, of a trained model and of a re-randomised one, and scored; then OUT/findings.md gets its tables,
    sentences and charts. No person's rating is part of it. Stop it at any moment and run it again: it goes on from there.

    Example: dartboard lab findings --quick --out build/findings
    """
    _can_draw(out)
    progress = Console(stderr=True)
    with progress.status("Loading PyTorch"):
        from pipeline.build import Workers
        from pipeline.devices import choose_device, cores
        from pipeline.lab.findings_run import findings as run
        from pipeline.lab.findings_write import save, summarise
    chosen = choose_device(device)
    who = Workers(workers or (cores() if chosen == "cpu" else 1), device=chosen)
    folder = (data or Settings().data) / ("findings-quick" if quick else "findings")
    begun = time.monotonic()
    scored = run(files, folder, quick, who, progress)
    command = shlex.join(["dartboard", "lab", "findings", *(["--quick"] if quick else [])])
    made = save(summarise(scored, 0, command, f"{time.monotonic() - begun:,.0f}"), out)
    progress.print(f"Wrote {', '.join(path.name for path in made)} in {out}.", highlight=False, soft_wrap=True)


def _fail_outside(found: "Sequence[Check]") -> None:
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
