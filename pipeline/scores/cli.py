"""`dartboard scores` and `dartboard explain`; they join the `dartboard` command by entry point."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.errors import UserError
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


@app.command()
def explain(
    data: DATA = None,
    features: Annotated[
        int, typer.Option(min=1, help="Of each dictionary, so many live ones, drawn evenly over frequency.")
    ] = 20,
    dictionary: Annotated[
        list[str] | None, typer.Option(help="A dictionary's name; give it again for more. All, if not given.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="OpenAI-compatible endpoint, up to /v1; DARTBOARD_LLM_URL where unset.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="What to ask there; DARTBOARD_LLM_MODEL where unset.")] = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens in all, of questions and answers, that this run may pay for.")
    ] = 1_000_000,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests under way at a time.")] = 4,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that an answer may take.")] = 120,
    null: Annotated[
        bool, typer.Option("--null/--no-null", help="Ask the same of random contexts, too: twice the tokens.")
    ] = True,
    seed: SEED = 0,
) -> None:
    """Have a language model explain features, and score the explanations: detection, fuzzing, intruder; docs/scores.md explains.

    Any server that speaks OpenAI's chat completions will do; its key comes from DARTBOARD_LLM_KEY. Answers are kept in
    DATA/llm-cache.sqlite: stopped, or run again with more features, it pays for nothing twice. The scores join those in
    DATA/scores.sqlite.

    Example: dartboard explain --url http://127.0.0.1:8080/v1 --model smollm2 --features 50 --max-tokens 200000
    """
    from pipeline.progress import Stages
    from pipeline.scores.llm.client import Endpoint
    from pipeline.scores.llm.run import Request, explain_store
    from pipeline.scores.store import Source

    settings = Settings()
    url, model = url or settings.llm_url, model or settings.llm_model
    if not url or not model:
        missing = "--url, or set DARTBOARD_LLM_URL" if not url else "--model, or set DARTBOARD_LLM_MODEL"
        raise UserError(f"No language model to ask: give {missing}.")
    folder, console = data or settings.data, Console(stderr=True)
    key = settings.llm_key.get_secret_value() if settings.llm_key else None
    request = Request(features, tuple(dictionary or ()), seed, null, max_tokens)
    with Stages(console) as stages:
        source = Source(folder / "features.sqlite")
        endpoint = Endpoint(url, model, key, timeout, concurrency)
        report = explain_store(source, request, endpoint, stages, folder / "llm-cache.sqlite")
    spent = report.spent
    console.print(
        f"{report.done} of {report.wanted} features; {spent.prompt_tokens:,} + {spent.completion_tokens:,} tokens in "
        f"{spent.requests:,} requests, {spent.cached:,} answers from the cache.",
        highlight=False,
        soft_wrap=True,
    )
    if report.capped:
        raise UserError(
            f"--max-tokens {max_tokens} left no room for the other {report.wanted - report.done} features; what is done is "
            "kept: run it again with more."
        )
