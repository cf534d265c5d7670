"""Build a feature store from a BUILD.toml.

    corpus → contexts → activations → statistics → dictionaries → hits → decoders → feature store

Every stage leaves its results in the work folder, `DATA/build`, keyed by what they were made from, and takes up what an
interrupted build left. The store is published at the end, whole, and the work folder removed.
"""

import functools
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from rich.console import Console

from app.errors import Conflict, UserError
from pipeline import work
from pipeline.activations import measure
from pipeline.config import SiteConfig, TopKSAEConfig
from pipeline.corpus import draw_contexts
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import data_points, random_sign
from pipeline.engines.local import Local
from pipeline.files import write_json
from pipeline.gguf import plain_model
from pipeline.hashing import derive, fingerprint
from pipeline.hits import load
from pipeline.model import check_layer, load_tokenizer, special_tokens
from pipeline.plan import Plan
from pipeline.progress import Stages
from pipeline.publish import PublishedDictionary, PublishedSite, publish
from pipeline.text import TokenText
from pipeline.train.loop import train


def build(plan: Plan, data: Path, workers: int, keep_work: bool, console: Console) -> Stages:
    """Make or go on with the store of `plan` at DATA/features.sqlite. Raises UserError, Conflict where a build is at work there."""
    folder = data / "build"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", timeout=0), Stages(console) as stages, Local(workers) as engine:
            sites = [_site(plan, site, folder, engine, stages) for site in plan.config.sites]
            count = sum(len(site.dictionaries) for site in sites)
            with stages.stage("feature store", count, "dictionaries") as advance:
                publish(
                    data / "features.sqlite",
                    sites,
                    plan.config.pages,
                    plan.config.seed,
                    _provenance(plan, stages),
                    advance,
                )
        if not keep_work:
            shutil.rmtree(folder)
    except Timeout as error:
        raise Conflict(f"Another build is at work in {folder}; wait for it, or stop it.") from error
    except OSError as error:
        if error.errno is None:
            raise
        raise UserError(
            f"{error.filename or folder}: {error.strerror}; the build stopped, and goes on from here when run again."
        ) from error
    return stages


def _provenance(plan: Plan, stages: Stages) -> dict[str, Any]:
    return {
        "build_key": plan.key,
        "command": plan.command,
        "config": plan.config.model_dump(mode="json"),
        "versions": plan.versions,
        "precision": {
            "encoding": "float32",
            "training": "float32 parameters; matrix products in bfloat16 where the processor has it",
        },
        "seconds": dict(stages.seconds),
    }


def _site(plan: Plan, site: SiteConfig, folder: Path, engine: Local, stages: Stages) -> PublishedSite:
    model, corpus = plan.config.model(site.model), plan.config.corpus(site.corpus)
    home = folder / f"{site.name}-{plan.site_key(site)}"
    with stages.stage(f"{model.name}: model"):
        unpacked = fingerprint(plan.model_hashes[model.name], model.dtype, plan.versions)[:16]
        model = plain_model(model, folder / f"model-{unpacked}")
        check_layer(model, site.layer)
        tokenizer = load_tokenizer(model)
    place = work.SiteWork(model, site, home, plan.config.seed, plan.config.pages)
    if not (place.contexts_folder / "contexts.json").is_file():
        with stages.stage(f"{site.name}: contexts", None, "documents") as advance:
            draw_contexts(corpus, site, tokenizer, plan.config.seed, place.contexts_folder, advance)
    _activations(place, engine, stages, tokenizer)
    dictionaries = tuple(
        work.DictionaryWork(config, home / f"{config.name}-{plan.dictionary_key(config)}")
        for config in plan.config.of(site)
    )
    for dictionary in dictionaries:
        _directions(place, dictionary, stages)
    _hits(place, dictionaries, engine, stages)
    return PublishedSite(
        config=site,
        model_hash=plan.model_hashes[site.model],
        corpus_hash=plan.corpus_hashes[site.corpus],
        shards=place.shards,
        statistics=place.statistics,
        keep=place.keep(),
        text=TokenText(tokenizer),
        dictionaries=[
            PublishedDictionary(
                config=entry.config,
                load=functools.partial(Dictionary.load, entry.finished),
                summary=functools.partial(load, entry.merged),
                fidelity=entry.fidelity(),
                extra=work.training_facts(entry),
            )
            for entry in dictionaries
        ],
    )


def _activations(place: work.SiteWork, engine: Local, stages: Stages, tokenizer: Any) -> None:
    shards = place.shards
    todo = [shard for shard in range(shards.count) if not shards.path(shard).is_file()]
    tokens = shards.contexts.count * shards.contexts.length
    if todo:
        left = sum((shards.span(shard).stop - shards.span(shard).start) * shards.contexts.length for shard in todo)
        with stages.stage(f"{place.site.name}: activations", tokens, "tokens", tokens - left) as advance:
            for _, done in engine.run(functools.partial(work.forward, place), todo):
                advance(done)
    if not (shards.folder / "statistics.json").is_file():
        with stages.stage(f"{place.site.name}: statistics", shards.count, "shards") as advance:
            measure(shards, special_tokens(tokenizer), place.site.sink_norm, advance)


def _directions(place: work.SiteWork, entry: work.DictionaryWork, stages: Stages) -> None:
    """Draw, choose or train a dictionary's directions."""
    if entry.directions.is_file():
        return
    config = entry.config
    mean = torch.from_numpy(place.statistics.mean)
    d = len(mean)
    m, k = config.size(d), config.k or 0
    seed = derive(config.seed, "dictionary", config.name)
    if k > m:
        raise UserError(f"dictionary {config.name!r}: k = {k} is more than its m = {m} features; lower k or raise m.")
    if isinstance(config, TopKSAEConfig):
        begun = time.monotonic()
        with stages.stage(f"{config.name}: training", config.tokens, "tokens") as advance:
            trained = train(config, place.shards, place.statistics, seed, entry.checkpoint, advance)
        write_json(
            entry.folder / "training.json", {"curve": trained.curve, "seconds": round(time.monotonic() - begun, 1)}
        )
        dictionary = trained.dictionary
        entry.checkpoint.unlink(missing_ok=True)
    else:
        with stages.stage(f"{config.name}: directions"):
            directions = (
                data_points(place.shards, mean, m, seed) if config.kind == "data-points" else random_sign(m, d, seed)
            )
        centred = config.encoding == "centred"
        dictionary = Dictionary(config.kind, "topk", directions, torch.zeros(m), None, mean, k=k, centred=centred)
    dictionary.save(entry.directions)


def _hits(place: work.SiteWork, entries: tuple[work.DictionaryWork, ...], engine: Local, stages: Stages) -> None:
    todo = work.unfinished(place, entries)
    total = place.statistics.unmasked
    if todo:
        left = sum(int(place.shards.allowed()[place.shards.span(shard)].sum()) for shard in todo)
        with stages.stage(f"{place.site.name}: hits", total, "tokens", total - left) as advance:
            for _, done in engine.run(functools.partial(work.encode, place, entries), todo):
                advance(done)
    open_entries = [entry for entry in entries if not entry.facts.is_file()]
    if open_entries:
        with stages.stage(f"{place.site.name}: decoders", len(open_entries), "dictionaries") as advance:
            for _ in engine.run(functools.partial(work.finish, place), open_entries):
                advance(1)
