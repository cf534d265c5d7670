"""How far the pipeline is from this machine's limit: `make bench`, or `python -m pipeline.bench [BUILD.toml]`.

The limit of a build is the stopped forward pass plus one encoder product for each dictionary, at the same precision and
on one thread. Everything is timed in one run, in turn, and compared as ratios: absolute figures vary with the machine.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from app.errors import UserError
from pipeline import hits
from pipeline.activations import ShardFolder, load_statistics, measure
from pipeline.config import Build, TopKSAEConfig, load_build
from pipeline.corpus import draw_contexts, load_contexts
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import random_sign
from pipeline.gguf import plain_model
from pipeline.hits import Keep
from pipeline.model import load_site_model, load_tokenizer, special_tokens
from pipeline.train.loop import train

SHARDS = 2
REPEATS = 3
TRAIN_STEPS = 30


def main(
    build: Annotated[Path, typer.Argument(help="The build file whose first site and shape are measured.")] = Path(
        "demo/BUILD.toml"
    ),
) -> None:
    """Time forward pass, encoding, summaries and training against the bare products that they can't do without."""
    console = Console()
    try:
        config = load_build(build)
        with tempfile.TemporaryDirectory() as folder, console.status("Measuring, in a minute or two"):
            rows = _measure(config, Path(folder))
    except UserError as error:
        console.print(str(error), style="red", highlight=False)
        raise typer.Exit(error.exit_code) from error
    table = Table(title=f"{build}: one thread, {torch.get_float32_matmul_precision()} precision", title_justify="left")
    for heading in ("what", "tokens/s", "÷ limit"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for what, rate, ratio in rows:
        table.add_row(what, f"{rate:,.0f}", "" if ratio is None else f"{ratio:.2f}")
    console.print(table)


def _measure(config: Build, folder: Path) -> list[tuple[str, float, float | None]]:
    site = config.sites[0].model_copy(update={"contexts": SHARDS * 64})
    model = plain_model(config.model(site.model), folder / "model")
    tokenizer = load_tokenizer(model)
    draw_contexts(config.corpus(site.corpus), site, tokenizer, config.seed, folder / "contexts", lambda _: None)
    shards = ShardFolder(folder / "activations", load_contexts(folder / "contexts"))
    site_model = load_site_model(model, [site.layer])
    torch.set_num_threads(1)

    tokens = torch.from_numpy(shards.contexts.tokens[:64].copy()).long()
    count = tokens.numel()
    forward_alone = _seconds(lambda: [site_model.activations(part) for part in torch.split(tokens, 16)]) / count
    forward = _seconds(lambda: shards.make(0, site_model)) / count
    for shard in range(shards.count):
        shards.make(shard, site_model)
    measure(shards, special_tokens(tokenizer), site.sink_norm, lambda _: None)

    facts = load_statistics(shards)
    x = shards.rows(0).x
    m, k = config.of(site)[0].size(x.shape[1]), config.of(site)[0].k
    dictionary = Dictionary(
        "random-sign", "topk", random_sign(m, x.shape[1], 0), torch.zeros(m), None, torch.from_numpy(facts.mean), k=k
    )
    block = torch.empty(256, m)
    weights = dictionary.encoder.T

    def product() -> None:
        for part in torch.split(x, 256):
            torch.mm(part, weights, out=block[: len(part)])

    product_alone = _seconds(product) / len(x)
    encode = _seconds(lambda: dictionary.encode(x)) / len(x)
    rows = shards.rows(0)
    codes = dictionary.encode(x)
    keep = Keep.of(config.pages.top, config.pages.per_quantile, 0, facts.spread)

    def summarise() -> None:
        hits.summarise(hits.find_hits(codes, rows.context, rows.position, shards.contexts.document), m, keep)

    summary = _seconds(summarise) / len(x)
    limit = forward_alone + product_alone
    rates: list[tuple[str, float, float | None]] = [
        ("limit: forward pass stopped at the layer, alone", 1 / forward_alone, None),
        ("limit: one encoder product, alone", 1 / product_alone, None),
        ("activations: forward pass, norms, written to disk", 1 / forward, forward / forward_alone),
        (f"encoding: product and top-{k}", 1 / encode, encode / product_alone),
        ("summary: hits, sorted and counted", 1 / summary, summary / product_alone),
        ("all of it, one dictionary", 1 / (forward + encode + summary), (forward + encode + summary) / limit),
        ("each further dictionary", 1 / (encode + summary), (encode + summary) / product_alone),
    ]
    for sae in (entry for entry in config.of(site) if isinstance(entry, TopKSAEConfig)):
        some = sae.model_copy(update={"threads": 1, "tokens": TRAIN_STEPS * sae.batch})
        begun = time.perf_counter()
        train(some, shards, facts, 0, folder / "checkpoint.pt", lambda *_: None)
        taken = (time.perf_counter() - begun) / some.tokens
        rates.append((f"{sae.name}: training ({TRAIN_STEPS} steps, start included)", 1 / taken, taken / product_alone))
    return rates


def _seconds(work: Callable[[], object]) -> float:
    """Median of REPEATS runs, after one to warm up."""
    work()
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


if __name__ == "__main__":
    typer.run(main)
