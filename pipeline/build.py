"""Build a feature store from a BUILD.toml.

    corpus → contexts → sample → dictionaries → the pass → decoders and tables → feature store

Sites that share model and text are read together. Every stage leaves its results in the work folder, `DATA/build`, keyed
by what they were made from, and takes up what an interrupted build left. The store is published at the end, whole, and
the work folder removed.
"""

import contextlib
import functools
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout
from rich.console import Console
from safetensors import SafetensorError

from app.errors import Conflict, UserError
from pipeline.config import SiteConfig
from pipeline.devices import cores
from pipeline.engines import Engine
from pipeline.engines.local import SHARED, Local
from pipeline.entries import AnyDictionary
from pipeline.export import Export, export
from pipeline.files import write_json
from pipeline.group import Group, Run, groups
from pipeline.plan import Plan
from pipeline.progress import Stages
from pipeline.publish import PublishedDictionary, PublishedSite, PublishedText, publish
from pipeline.published import weights_folder
from pipeline.text import TokenText
from pipeline.weights import forget_other_weights, keep_weights


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the work: processes of this computer, or a Ray cluster at `address` (`auto`: the one this computer is in)."""

    count: int | None  # None: as many as a cluster has room for; this computer's cores
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    gpus: float = 0.0  # of each worker
    device: str = "cpu"


def build(
    plan: Plan,
    data: Path,
    workers: Workers,
    keep_work: bool,
    console: Console,
    to: Export | None = None,
    weights: bool = True,
) -> Stages:
    """Make or go on with the store of `plan` at DATA/features.sqlite, and write its dictionaries, too, where `to` says so.

    `weights`: leave them beside it, for `serve --live`. Raises UserError, Conflict where a build is at work there.
    """
    with at_work(plan, data, workers, keep_work, console) as run:
        _build(run, to, weights)
    return run.stages


@contextlib.contextmanager
def at_work(plan: Plan, data: Path, workers: Workers, keep_work: bool, console: Console) -> Iterator[Run]:
    """The work folder, DATA/build, locked, and workers; the folder is removed at the end unless it is to be kept.

    Raises UserError where memory or the disk is full or a file in the folder is damaged, Conflict where a build is at work there.
    """
    folder = data / "build"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", timeout=0)
        with lock, Stages(console, folder / "seconds.json", plan.key) as stages, ExitStack() as stack:
            _note_changes(plan, folder, console)
            for left in folder.glob(f"{SHARED}*"):  # by a build that was killed
                shutil.rmtree(left, ignore_errors=True)
            engine, tables = _engines(workers, stack, folder)
            yield Run(plan, data, engine, tables, stages, workers.device)
        if not keep_work:
            shutil.rmtree(folder)
    except Timeout as error:
        raise Conflict(f"Another build is at work in {folder}; wait for it, or stop it.") from error
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise UserError(
            "The build ran out of memory; lower m, `sample`, context_length or --workers: run again, it goes on from here."
        ) from error
    except (
        UnpicklingError,
        JSONDecodeError,
        SafetensorError,
        EOFError,
    ) as error:  # users' own files are read with care
        raise UserError(f"A file in {folder} is damaged ({error}); delete the folder, and run again.") from error
    except OSError as error:
        if error.errno is None:
            raise
        raise UserError(
            f"{error.filename or folder}: {error.strerror}; the build stopped, and goes on from here when run again."
        ) from error


def _engines(workers: Workers, stack: ExitStack, folder: Path) -> tuple[Engine, Local]:
    if workers.engine == "local":
        local = stack.enter_context(Local(workers.count or cores(), folder))
        return local, local
    from pipeline.engines.ray import RayEngine

    cluster = stack.enter_context(RayEngine(workers.address, workers.count, workers.gpus))
    return cluster, stack.enter_context(Local(cores(), folder))


def _out_of_memory(error: Exception) -> bool:
    """PyTorch has no error class of its own for memory that the processor's allocator can't give."""
    own = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return own or "DefaultCPUAllocator" in str(error) or "not enough memory" in str(error)


def _build(run: Run, to: Export | None = None, weights: bool = False) -> None:
    sites = []
    waiting = [Group(run, members) for members in groups(run.plan.config.sites)]
    for group in waiting:
        group.check()
    while waiting:
        group = waiting.pop(0)  # what it holds goes when it is done
        group.make()
        group.stream()
        group.finish()
        if to is not None:
            _export(group, to)
        if weights:
            places = {config.name: group.place(config).finished for _, config in group.dictionaries()}
            keep_weights(weights_folder(run.data, run.plan.key), places)
        sites += [_published(group, site) for site in group.sites]
    order = [site.name for site in run.plan.config.sites]
    sites.sort(key=lambda site: order.index(site.config.name))
    count = sum(len(site.dictionaries) for site in sites)
    with run.stages.stage("feature store", count, "dictionaries") as advance:
        provenance = _provenance(run)
        config = run.plan.config
        publish(run.data / "features.sqlite", sites, config.pages, config.seed, provenance, run.tables, advance)
    forget_other_weights(run.data, run.plan.key if weights else None)


def _export(group: Group, to: Export) -> None:
    """What the format can't express is left out, and told."""
    for site, config in group.dictionaries():
        try:
            export(group, site, config, group.place(config).dictionary(), to)
        except UserError as error:
            group.run.stages.console.print(f"{config.name} is not exported: {error}", highlight=False)


def _note_changes(plan: Plan, folder: Path, console: Console) -> None:
    """Tell of a text or model that is not the one that an interrupted build read: its results are of no use, and go."""
    path = folder / "plan.json"
    hashes = {"model": plan.model_hashes, "corpus": plan.corpus_hashes, "dictionary": plan.weights_hashes}
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
        for what, names in hashes.items():
            for name in sorted(set(names) & set(before[what])):
                if names[name] != before[what][name]:
                    console.print(
                        f"The files of {what} {name!r} have changed since the build that was interrupted; "
                        "what was made from them is made anew.",
                        highlight=False,
                    )
    write_json(path, hashes)


def _published(group: Group, site: SiteConfig) -> PublishedSite:
    plan = group.run.plan
    group.tabulate(site)
    return PublishedSite(
        config=site,
        model=plan.config.model(site.model),
        model_hash=plan.model_hashes[site.model],
        corpus_hash=plan.corpus_hashes[site.corpus],
        text=PublishedText(site.corpus, group.contexts, *group.masks(site)),
        statistics=group.statistics(site),
        keep=group.keep(site),
        tokens=TokenText(group.tokenizer),
        dictionaries=[_dictionary(group, site, config) for config in plan.config.of(site)],
        second=_second(group, site),
        drift=group.drift(site),
    )


def _second(group: Group, site: SiteConfig) -> PublishedText | None:
    contexts, parts = group.second, group.second_parts
    if contexts is None or parts is None or site.second_corpus is None:
        return None
    masks = parts.masks(group.sites.index(site), (contexts.count, contexts.length))
    return PublishedText(site.second_corpus, contexts, *masks)


def _dictionary(group: Group, site: SiteConfig, config: AnyDictionary) -> PublishedDictionary:
    place, keep = group.place(config), group.keep(site)
    return PublishedDictionary.of(
        config,
        place.dictionary(),
        place.training(),
        fidelity=place.fidelity(),
        load=place.dictionary,
        summary=functools.partial(group.parts.summary, config.name, keep),
        second=group.second_parts and functools.partial(group.second_parts.summary, config.name, keep),
        tables=group.tables(site, config.name),
    )


def _provenance(run: Run) -> dict[str, Any]:
    plan = run.plan
    return {
        "build_key": plan.key,
        "command": plan.command,
        "config": plan.config.model_dump(mode="json"),
        "versions": plan.versions,
        "precision": {
            "encoding": plan.config.precision,
            "training": "float32 parameters; matrix products in bfloat16 where the processor has it",
        },
        "device": run.device,
        "seconds": dict(run.stages.seconds),
    }
