"""The pieces of a build that worker processes do. Each writes its result whole, so a piece is either done or not begun."""

import functools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipeline import hits
from pipeline.activations import ShardFolder, Statistics, load_statistics
from pipeline.config import AnyDictionary, ModelConfig, PagesConfig, SiteConfig
from pipeline.corpus import load_contexts
from pipeline.dictionaries import Codes, Dictionary
from pipeline.dictionaries.decoders import Coded, Fidelity, fidelity, least_squares, tied
from pipeline.files import read_tensors, write_json, write_tensors
from pipeline.hashing import derive
from pipeline.model import SiteModel, load_site_model

MERGE_AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class SiteWork:
    """Where a site's intermediate results are."""

    model: ModelConfig
    site: SiteConfig
    folder: Path
    seed: int
    pages: PagesConfig

    @property
    def contexts_folder(self) -> Path:
        return self.folder / "contexts"

    @property
    def shards(self) -> ShardFolder:
        return _shards(self)

    @property
    def statistics(self) -> Statistics:
        return _statistics(self)

    def keep(self) -> hits.Keep:
        return hits.Keep.of(self.pages.top, self.pages.per_quantile, derive(self.seed, "hits"), self.statistics.spread)


@dataclass(frozen=True, slots=True)
class DictionaryWork:
    """Where a dictionary's intermediate results are."""

    config: AnyDictionary
    folder: Path

    @property
    def directions(self) -> Path:
        return self.folder / "directions.safetensors"

    @property
    def finished(self) -> Path:
        return self.folder / "dictionary.safetensors"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def facts(self) -> Path:
        return self.folder / "facts.json"

    @property
    def merged(self) -> Path:
        return self.folder / "summary.npz"

    def codes(self, shard: int) -> Path:
        return self.folder / f"codes-{shard:06d}.safetensors"

    def summary(self, shard: int) -> Path:
        return self.folder / f"summary-{shard:06d}.npz"

    def fidelity(self) -> Fidelity:
        return Fidelity(**json.loads(self.facts.read_text("utf-8")))


@functools.lru_cache(maxsize=1)
def _shards(work: SiteWork) -> ShardFolder:
    return ShardFolder(work.folder / "activations", load_contexts(work.contexts_folder))


@functools.lru_cache(maxsize=1)
def _statistics(work: SiteWork) -> Statistics:
    return load_statistics(_shards(work))


@functools.lru_cache(maxsize=1)
def _site_model(config: ModelConfig, layer: int) -> SiteModel:
    return load_site_model(config, [layer])


def forward(work: SiteWork, shard: int) -> int:
    """Activations of one shard; gives the number of tokens."""
    return work.shards.make(shard, _site_model(work.model, work.site.layer))


@functools.lru_cache(maxsize=16)
def _directions(work: DictionaryWork) -> Dictionary:
    return Dictionary.load(work.directions)


def encode(site: SiteWork, dictionaries: tuple[DictionaryWork, ...], shard: int) -> int:
    """Codes and summary of one shard for every dictionary that lacks them; gives the number of tokens."""
    rows = site.shards.rows(shard)
    for work in dictionaries:
        if work.summary(shard).is_file():
            continue
        codes = _directions(work).encode(rows.x)
        write_tensors(work.codes(shard), {"start": codes.start, "index": codes.index, "value": codes.value})
        found = hits.find_hits(codes, rows.context, rows.position, site.shards.contexts.document)
        hits.save(hits.summarise(found, _directions(work).m, site.keep()), work.summary(shard))
    return len(rows.x)


def finish(site: SiteWork, work: DictionaryWork) -> str:
    """Fit the decoder, measure fidelity, merge the summaries of all shards; gives the dictionary's name."""
    shards = range(site.shards.count)

    def coded() -> Iterator[Coded]:
        for shard in shards:
            rows = site.shards.rows(shard)
            tensors = read_tensors(work.codes(shard))
            yield Coded(rows.x, Codes(**tensors), torch.from_numpy(rows.held_out))

    dictionary = Dictionary.load(work.directions)
    mean = torch.from_numpy(site.statistics.mean)
    if dictionary.decoder is None:
        if work.config.decoder == "tied":
            fitted = tied(coded, dictionary.encoder, mean)
        else:
            fitted = least_squares(coded, dictionary.m, mean)
        dictionary = replace(dictionary, decoder=fitted, b_dec=mean)
    dictionary.save(work.finished)
    summary: hits.Summary | None = None
    for first in range(0, len(shards), MERGE_AT_A_TIME):
        parts = [hits.load(work.summary(shard)) for shard in shards[first : first + MERGE_AT_A_TIME]]
        summary = hits.merge([summary, *parts] if summary else parts, site.keep())
    if summary is None:
        raise RuntimeError("a site has at least one shard")
    hits.save(summary, work.merged)
    write_json(work.facts, asdict(fidelity(coded, dictionary, mean)))
    return work.config.name


def unfinished(site: SiteWork, dictionaries: tuple[DictionaryWork, ...]) -> list[int]:
    """Shards that some dictionary has not encoded yet."""
    return [
        shard for shard in range(site.shards.count) if not all(work.summary(shard).is_file() for work in dictionaries)
    ]


def training_facts(work: DictionaryWork) -> dict[str, Any]:
    path = work.folder / "training.json"
    facts: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return facts
