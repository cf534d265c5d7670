"""A feature store of any size, made in a minute without a model: what page benchmarks and searches are measured on.

    python -m pipeline.bench.synthetic DIR [--features 100000] [--dictionaries 5] [--contexts 12288] [--seed 0]

The tokenizer is the demo's, the text the long part of WikiText-2. Activations are drawn by seeded hashes: of the features
that fire on a token, some follow from the token alone, so that there are features of one token; the others follow from its
place, some of them a thousand times as often as others. Summaries are gathered and published by the code of every build: the
store differs from a real one in nothing but its figures. It says nothing about any model.
"""

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from pipeline.bench.shapes import DEMO, TEXT
from pipeline.blocks import WIDTH
from pipeline.config import CorpusConfig, ModelConfig, PagesConfig, SiteConfig, load_build
from pipeline.corpus import Contexts, draw_contexts, load_contexts
from pipeline.dictionaries import Codes, Dictionary
from pipeline.dictionaries.decoders import Fidelity
from pipeline.engines.local import Local
from pipeline.entries import RandomSignConfig
from pipeline.hashing import derive, mix
from pipeline.hits import Accumulator, Keep, Summary
from pipeline.model import load_tokenizer
from pipeline.publish import PublishedDictionary, PublishedSite, PublishedText, publish
from pipeline.sample import Statistics
from pipeline.tables import Comparison, Outputs, Related, Tables
from pipeline.text import TokenText

LENGTH, PLACES, BY_TOKEN, D = (
    128,
    8,
    2,
    64,
)  # tokens a context; features that fire on a token, and how many by the token
PAGES = PagesConfig(top=20, per_quantile=5, pool=2000)
SKEW = 2.5  # a feature's share of places is its rank's power: a few fire often, many seldom
NEIGHBOURS, OUTPUTS = 5, 10
AT_A_TIME = 512  # contexts


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A text, and what a dictionary of m features is said to do on it."""

    contexts: Contexts
    keep: Keep

    def codes(self, first: int, last: int, m: int, seed: int) -> Codes:
        """The features that fire on the tokens of contexts first to last, PLACES at most on each."""
        token = np.asarray(self.contexts.tokens[first:last]).reshape(-1, 1).astype(np.int64)
        place = np.arange(first * LENGTH, last * LENGTH)[:, None]
        column = np.arange(PLACES)[None]
        drawn = mix(seed, np.where(column < BY_TOKEN, token, place + 2**40), column)
        rank = (m * (drawn / 2.0**64) ** SKEW).astype(np.uint64)
        feature = (rank * np.uint64(7919) + np.uint64(seed % 1000)) % np.uint64(m)  # no order by frequency
        value = -np.log1p(-(mix(seed + 1, place, feature) / 2.0**64) * 0.999) * (1 + (feature % np.uint64(17)) / 4)
        order = np.argsort(feature, axis=1, kind="stable")
        feature, value = np.take_along_axis(feature, order, 1), np.take_along_axis(value, order, 1)
        value[:, 1:][feature[:, 1:] == feature[:, :-1]] = 0  # once a token
        value[token[:, 0] == self.contexts.tokens[0, 0]] = 0
        return Codes.of_top(torch.from_numpy(feature.astype(np.int32)), torch.from_numpy(value.astype(np.float32)))

    def summary(self, m: int, seed: int) -> list[Summary]:
        """In blocks, as publishing takes it."""
        accumulator = Accumulator(m, self.keep, signed=False)
        for first in range(0, self.contexts.count, AT_A_TIME):
            last = min(first + AT_A_TIME, self.contexts.count)
            context = np.repeat(np.arange(first, last), LENGTH)
            position = np.tile(np.arange(LENGTH), last - first)
            accumulator.absorb(self.codes(first, last, m, seed), context, position, self.contexts.document)
        return accumulator.summary().cut(WIDTH)


@functools.lru_cache(maxsize=1)
def _summary(made: Made, m: int, seed: int) -> list[Summary]:
    return made.summary(m, seed)


def write_store(
    path: Path,
    features: int = 100_000,
    dictionaries: int = 5,
    contexts: int = 12_288,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Write a store of so many features at `path`. Raises UserError where the text is too short for the contexts."""
    demo = load_build(DEMO)
    tokenizer = load_tokenizer(demo.models[0])
    corpus = CorpusConfig(name="wikitext-2", source=TEXT, documents="wikitext")
    site = SiteConfig(
        name="synthetic", model="none", corpus=corpus.name, layer=0, contexts=contexts, context_length=LENGTH
    )
    with tempfile.TemporaryDirectory() as folder:
        draw_contexts(corpus, site, tokenizer, seed, Path(folder), lambda _: None)
        read = load_contexts(Path(folder))
        text = PublishedText(corpus.name, read, np.ones((read.count, LENGTH), bool), {"special": 0, "sink": 0})
        made = Made(read, Keep(top=24, sample=40, seed=seed, unit=2.0**-20))
        bounds = np.linspace(0, features, dictionaries + 1).astype(int)
        names = [f"synthetic-{number}" for number in range(dictionaries)]
        entries = [
            _entry(name, int(m), names, made, len(tokenizer), derive(seed, name))
            for name, m in zip(names, np.diff(bounds), strict=True)
        ]
        published = PublishedSite(
            config=site,
            model=ModelConfig(name="none", source="none"),
            model_hash="none",
            corpus_hash="none",
            text=text,
            statistics=Statistics(np.zeros(D, np.float32), 1.0, 0.0, 1.0),
            keep=made.keep,
            tokens=TokenText(tokenizer),
            dictionaries=entries,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"command": "python -m pipeline.bench.synthetic", "seed": seed, "synthetic": True}
        publish(path, [published], PAGES, seed, facts, Local(1), advance)


def _entry(name: str, m: int, names: list[str], made: Made, vocabulary: int, seed: int) -> PublishedDictionary:
    config = RandomSignConfig(
        name=name,
        title=name.replace("-", " ").capitalize(),
        site="synthetic",
        m=m,
        k=PLACES,
        encoding="centred",
        seed=seed % 2**31,
        kind="random-sign",
        family="synthetic",
    )
    dead = np.zeros(m, bool)
    dead[::997] = True
    generator = torch.Generator().manual_seed(seed)
    encoder = torch.randint(0, 2, (m, D), generator=generator).float() * 2 - 1
    dictionary = Dictionary("random-sign", "topk", encoder, torch.zeros(m), None, torch.zeros(D), k=PLACES)
    return PublishedDictionary(
        config=config,
        k=PLACES,
        rule="topk",
        signed=False,
        dead=dead,
        fidelity=Fidelity(fve=0.5, fve_fit=0.5, mse=0.5, l0=float(PLACES)),
        extra={},
        load=lambda: dictionary,
        summary=lambda block: _summary(made, m, seed)[block],
        tables=functools.partial(_tables, names, m, vocabulary, seed),
    )


def _tables(names: list[str], m: int, vocabulary: int, seed: int) -> Tables:
    random = np.random.default_rng(seed)

    def outputs() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        value = -np.sort(-random.random((m, OUTPUTS), np.float32), axis=1)
        return random.integers(20, vocabulary, (m, OUTPUTS), np.int32), value

    def related(other: str, kind: str) -> Related:
        value = -np.sort(-random.random((m, NEIGHBOURS), np.float32), axis=1)
        return Related(other, kind, random.integers(0, m - 1, (m, NEIGHBOURS), np.int32), value)  # type: ignore[arg-type]

    near = [related(other, "neighbour") for other in names] + [related(name, "cofiring") for name in names[:1]]
    quantiles = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]
    curves = {"quantiles": quantiles, **{rank: [q * 0.9 for q in quantiles] for rank in ("1", "10", "100")}}
    compared = tuple(Comparison(other, 0.5, curves) for other in names)
    return Tables(outputs=Outputs(*outputs(), *outputs()), related=tuple(near), comparisons=compared)


def main(
    folder: Annotated[Path, typer.Argument(help="Data folder; features.sqlite is written there.")],
    features: Annotated[int, typer.Option(min=1)] = 100_000,
    dictionaries: Annotated[int, typer.Option(min=1)] = 5,
    contexts: Annotated[int, typer.Option(min=64)] = 12_288,
    seed: int = 0,
) -> None:
    """Write a synthetic feature store."""
    path = folder / "features.sqlite"
    write_store(path, features, dictionaries, contexts, seed)
    typer.echo(f"Wrote {path}")


if __name__ == "__main__":
    typer.run(main)
