"""`dartboard build`, and the pipeline's other commands beside it; they join the `dartboard` command by entry point."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.errors import UserError
from app.settings import Settings
from pipeline.commands import app


class EngineName(StrEnum):
    local = "local"
    ray = "ray"


@app.command()
def build(
    config: Annotated[Path, typer.Argument(help="The build file.", metavar="BUILD.toml", show_default=False)],
    data: Annotated[
        Path | None, typer.Option(help="Folder for the feature store; DARTBOARD_DATA, or ./data, where unset.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes; if not given, the number of cores, at most 8; of a cluster, all that it has room for.",
        ),
    ] = None,
    keep_work: Annotated[bool, typer.Option("--keep-work", help="Keep intermediate results in DATA/build.")] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; cuda where there is one, if not given.", show_default=False)
    ] = None,
    engine: Annotated[EngineName, typer.Option(help="Who does the pass over the text.")] = EngineName.local,
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster; `auto` finds the one that this computer is in.")
    ] = None,
    gpus_per_worker: Annotated[float, typer.Option(min=0, help="Share of a GPU that each Ray worker takes.")] = 0.0,
    export: Annotated[
        Path | None,
        typer.Option(help="Folder for the dictionaries, as sae-lens reads them; a finished store is built anew."),
    ] = None,
    weights: Annotated[
        bool | None,
        typer.Option(
            "--weights/--no-weights",
            help="Leave the dictionaries in DATA/weights, which `dartboard serve --live` reads; done if not given. "
            "--weights builds a finished store that lacks them anew.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Build a feature store: model, corpus and dictionaries → contexts and figures for every feature.

    Stop it at any moment and run it again: it goes on from there. Where the finished store stands already, it says so and
    does nothing. Nothing stands at DATA/features.sqlite but a whole store.

    Example: dartboard build demo/BUILD.toml --data data/demo

    Example: dartboard build BUILD.toml --engine ray --address auto --workers 16 --gpus-per-worker 0.25
    """
    if engine is EngineName.local and (address is not None or gpus_per_worker > 0):
        raise UserError("--address and --gpus-per-worker are for a Ray cluster; add --engine ray, or leave them out.")
    from pipeline.plan import make_plan
    from pipeline.published import finished, weights_folder

    data = data or Settings().data
    console = Console(stderr=True)
    command = shlex.join(["dartboard", "build", config.name])
    plan = make_plan(config, command)
    store = data / "features.sqlite"
    if finished(store, plan.key) and export is None:
        lacking = weights is not False and not weights_folder(data, plan.key).is_dir()
        if not (lacking and weights):
            more = " Its dictionaries are not beside it: --weights makes them, for serve --live." if lacking else ""
            console.print(f"{store} is up to date.{more}", highlight=False)
            return
    with console.status("Loading PyTorch"):
        from pipeline.build import Workers
        from pipeline.build import build as run
        from pipeline.devices import choose_device, cores
        from pipeline.export import Export
    on_gpus = engine is EngineName.ray and gpus_per_worker > 0 and device is None
    chosen = "cuda" if on_gpus else choose_device(device)
    if engine is EngineName.local:
        workers = workers or (cores() if chosen == "cpu" else 1)
    who = Workers(workers, engine.value, address, gpus_per_worker, chosen)
    to = None if export is None else Export(export)
    stages = run(plan, data, who, keep_work, console, to, weights is not False)
    console.print(f"{store} is ready, after {sum(stages.seconds.values()):.0f} s.", highlight=False)
