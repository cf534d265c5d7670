"""`dartboard scores` and `dartboard explain`; they join the `dartboard` command by entry point."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.settings import Settings

app = typer.Typer()
DATA = Annotated[Path | None, typer.Option(help="Folder of the feature store; DARTBOARD_DATA, or ./data, where unset.")]
SEED = Annotated[int, typer.Option(min=0, help="By which random contexts are drawn, and features where not all are.")]


@app.command()
def scores(
    data: DATA = None,
    features: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of each dictionary, so many live ones, drawn evenly over frequency; all, if not given."
        ),
    ] = None,
    seed: SEED = 0,
    embedder: Annotated[
        bool, typer.Option("--embedder/--no-embedder", help="What reads for meaning takes most of the time.")
    ] = True,
    device: Annotated[
        str | None,
        typer.Option(
            help="Of the embedder: cpu, cuda or cuda:N; cuda where there is one, if not given.", show_default=False
        ),
    ] = None,
) -> None:
    """Score every feature of a store without a person: by its peak tokens, its words, its meaning; docs/scores.md explains.

    Each score stands beside the same score of random contexts. Written to DATA/scores.sqlite, whole. Stop it at any moment and
    run it again: it goes on from there.

    Example: dartboard scores --data data/demo
    """
    console = Console(stderr=True)
    with console.status("Loading PyTorch"):
        from pipeline.devices import choose_device
        from pipeline.progress import Stages
        from pipeline.scores.run import Options, score_store
        from pipeline.scores.store import Source
    source = Source((data or Settings().data) / "features.sqlite")
    given = [] if features is None else ["--features", str(features)]
    given += ([] if seed == 0 else ["--seed", str(seed)]) + ([] if embedder else ["--no-embedder"])
    options = Options(seed, features, embedder, choose_device(device))
    with Stages(console) as stages:
        fresh = score_store(source, options, stages, shlex.join(["dartboard", "scores", *given]))
    path = source.store.path.with_name("scores.sqlite")
    taken = f"ready, after {sum(stages.seconds.values()):.0f} s" if fresh else "up to date"
    console.print(f"{path} is {taken}.", highlight=False)
