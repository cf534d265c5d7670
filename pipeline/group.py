"""Sites that are read from one text through one model in the same pass, from the text to finished dictionaries.

Every stage leaves its result in the group's work folder; a build that was stopped takes up what is there.
"""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config import SiteConfig
from pipeline.corpus import Contexts, draw_contexts, load_contexts
from pipeline.dictionaries import Dictionary
from pipeline.drift import Drifting, drift
from pipeline.engines import Engine, Shared
from pipeline.engines.local import Local
from pipeline.entries import AnyDictionary, DictionaryConfig, FileConfig, MadeConfig, TrainedConfig
from pipeline.files import write_json
from pipeline.finish import FITS, DictionaryFolder, Finishing, Judged, finish
from pipeline.gguf import plain_model
from pipeline.hashing import derive, fingerprint
from pipeline.hits import Keep
from pipeline.kept import Kept, Manifest, kept_contexts, shard_path, write_shard
from pipeline.make import Ground, check_size, make, make_trained, read_file, trained_together
from pipeline.model import check_layer, check_length, load_tokenizer, model_width, special_tokens
from pipeline.passes import Parts, piece, run_pass
from pipeline.plan import OF_ONE_SITE, Plan, needs_kept
from pipeline.progress import Stages
from pipeline.sample import FORWARD_CONTEXTS, SHARD_CONTEXTS, Layout, Mask, Sample, Statistics, sample_shards
from pipeline.streaming import FromDisk, FromModel, Pass, Source, Streamed, StreamedSite, sampled
from pipeline.tables import Tables
from pipeline.tabulate import Tabled, tables, tabulate, tasks

JUDGED_TOKENS = 32_768  # held-out tokens on which every dictionary is judged, at most
FIT_TOKENS = 4_194_304  # fitting tokens from which decoders are fitted, at most


@dataclass(frozen=True, slots=True)
class Run:
    """What all groups of a build share. `engine` does the pass, `tables` what is done on this computer."""

    plan: Plan
    data: Path
    engine: Engine
    tables: Local
    stages: Stages
    device: str


class Group:
    """One pass: a model, a text (and a second one), and the sites whose activations are read from it."""

    def __init__(self, run: Run, sites: Sequence[SiteConfig]) -> None:
        self.run = run
        self.sites = sites
        self.first = sites[0]
        self.name = self.first.name if len(sites) == 1 else f"{self.first.model} on {self.first.corpus}"
        self._samples: dict[str, Sample] = {}
        self._fitting: dict[str, Tensor] = {}
        self._statistics: dict[str, Statistics] = {}
        self._shared: dict[str, Shared[Judged]] = {}
        self._masks: dict[str, tuple[NDArray[np.bool_], dict[str, int]]] = {}
        self.folder = run.data / "build" / f"{self.first.model}-{run.plan.group_key(sites)}"
        config = run.plan.config.model(self.first.model)
        with run.stages.stage(f"{config.name}: model"):
            unpacked = fingerprint(run.plan.model_hashes[config.name], config.dtype, run.plan.versions)[:16]
            self.model = plain_model(config, run.data / "build" / f"model-{unpacked}")
            for site in sites:
                check_layer(self.model, site.layer)
            check_length(self.model, self.first.context_length)
            self.tokenizer: Any = load_tokenizer(self.model)

    # The text.

    @cached_property
    def contexts(self) -> Contexts:
        """The primary text's contexts, drawn now unless they were before, or came with kept activations."""
        if self.first.activations is not None:
            return kept_contexts(Path(self.first.activations), self.manifest, model_width(self.model))
        return self._drawn(self.first, self.folder / "contexts", hold_out=True)

    @cached_property
    def second(self) -> Contexts | None:
        if self.first.second_corpus is None:
            return None
        count = self.first.second_contexts or self.first.contexts
        site = self.first.model_copy(update={"corpus": self.first.second_corpus, "contexts": count})
        return self._drawn(site, self.folder / "second", hold_out=False)

    def _drawn(self, site: SiteConfig, folder: Path, hold_out: bool) -> Contexts:
        if not (folder / "contexts.json").is_file():
            corpus = self.run.plan.config.corpus(site.corpus)
            with self.run.stages.stage(f"{site.corpus}: contexts", None, "documents") as advance:
                draw_contexts(corpus, site, self.tokenizer, self.run.plan.config.seed, folder, advance, hold_out)
        return load_contexts(folder)

    # Activations: from the model, unless they are kept.

    @cached_property
    def kept_folder(self) -> Path | None:
        """Where this group's activations are, or are to be, on disk."""
        if self.first.activations is not None:
            return Path(self.first.activations).resolve()
        if self.first.keep_activations:
            folder = self.run.data / "activations" / f"{self.first.model}-{self.run.plan.group_key(self.sites)}"
            return folder.resolve()  # the workers of a cluster may be at work in other folders
        return (self.folder / "activations").resolve() if needs_kept(self.run.plan.config, self.sites) else None

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(sorted({site.layer for site in self.sites}))

    @property
    def manifest(self) -> Manifest:
        plan, first = self.run.plan, self.first
        return Manifest(
            model=plan.model_key(first.model),
            layers=self.layers,
            corpus=plan.corpus_key(first.corpus),
            contexts=first.contexts,
            context_length=first.context_length,
            versions=plan.versions,
        )

    @cached_property
    def source(self) -> Source:
        """Where the pass reads activations of the primary text; keeps them first where they are wanted on disk."""
        if self.kept_folder is None:
            return FromModel(self.model, self.layers, self.run.device)
        if self.first.activations is None:
            self._keep(self.kept_folder)
        return FromDisk(self.kept_folder, self.run.device)

    def _keep(self, folder: Path) -> None:
        missing = [shard for shard in range(self.layout.count) if not shard_path(folder, shard).is_file()]
        if missing:
            total = self.contexts.count * self.contexts.length
            done = total - self._tokens(missing)
            with self.run.stages.stage(f"{self.name}: activations", total, "tokens", done) as advance:
                work = functools.partial(sampled, FromModel(self.model, self.layers, self.run.device))
                pieces = [piece(self.contexts, shard) for shard in missing]
                for shard, activations in self.run.engine.run(work, pieces, advance):
                    write_shard(folder, shard.number, activations)
        if not (folder / "kept.json").is_file():
            self.contexts.save(folder / "contexts")
            self.manifest.save(folder)

    @cached_property
    def sampled(self) -> dict[int, dict[int, Tensor]]:
        """The sample's activations: `[shard][layer]`."""
        tokens = max(site.sample for site in self.sites)
        wanted, source = sample_shards(self.contexts, tokens, JUDGED_TOKENS), self.source
        with self.run.stages.stage(f"{self.name}: sample", self._tokens(wanted), "tokens") as advance:
            pieces = [piece(self.contexts, shard) for shard in wanted]
            work = functools.partial(sampled, source)
            return {shard.number: found for shard, found in self.run.engine.run(work, pieces, advance)}

    def sample(self, site: SiteConfig) -> Sample:
        if site.name not in self._samples:
            activations = {shard: layers[site.layer] for shard, layers in self.sampled.items()}
            special = special_tokens(self.tokenizer)
            self._samples[site.name] = Sample.of(
                self.contexts, activations, special, site.sink_norm, site.skip_positions
            )
        return self._samples[site.name]

    def fitting(self, site: SiteConfig) -> Tensor:
        """`x[token, d]` of the sample's fitting tokens; those of the site last asked for are kept at hand."""
        if site.name not in self._fitting:
            self._fitting = {site.name: self.sample(site).part(held_out=False)}
        return self._fitting[site.name]

    def statistics(self, site: SiteConfig) -> Statistics:
        if site.name not in self._statistics:
            path = self.folder / f"statistics-{fingerprint(site.model_dump(mode='json'))[:16]}.json"
            if not path.is_file():
                found = self.sample(site).statistics(site.sink_norm)
                write_json(path, {**asdict(found), "mean": found.mean.tolist()})
            facts = json.loads(path.read_text("utf-8"))
            self._statistics[site.name] = Statistics(**{**facts, "mean": np.array(facts["mean"], np.float32)})
        return self._statistics[site.name]

    def mask(self, site: SiteConfig) -> Mask:
        limit = site.sink_norm * self.statistics(site).median_norm
        return Mask(special_tokens(self.tokenizer), limit, site.skip_positions)

    # Dictionaries.

    def place(self, config: DictionaryConfig) -> DictionaryFolder:
        return DictionaryFolder(self.folder / f"{config.name}-{self.run.plan.dictionary_key(config)}")

    def dictionaries(self) -> list[tuple[SiteConfig, AnyDictionary]]:
        return [(site, config) for site in self.sites for config in self.run.plan.config.of(site)]

    def check(self) -> None:
        """Read the dictionaries that come from files, and refuse what can be refused before the text is read."""
        d = model_width(self.model)
        for site, config in self.dictionaries():
            check_size(config, d)
            if isinstance(config, FileConfig) and not self.place(config).directions.is_file():
                with self.run.stages.stage(f"{config.name}: read"):
                    source = self.run.plan.config.model(site.model).source
                    read_file(config, site, source, d).save(self.place(config).directions)

    def make(self) -> None:
        """Make every dictionary that is not made yet."""
        for site in self.sites:
            left = [entry for entry in self.run.plan.config.of(site) if not self.place(entry).directions.is_file()]
            for config in left:
                if isinstance(config, MadeConfig):
                    make(config, self._ground(site)).save(self.place(config).directions)
            for configs in trained_together([config for config in left if isinstance(config, TrainedConfig)]):
                places = [self.place(config) for config in configs]
                made = make_trained(configs, self._ground(site), [place.folder for place in places])
                for place, dictionary in zip(places, made, strict=True):
                    dictionary.save(place.directions)
                    (place.folder / "checkpoint.pt").unlink(missing_ok=True)

    def _ground(self, site: SiteConfig) -> Ground:
        def kept() -> Kept:
            if self.kept_folder is None:
                raise RuntimeError("a dictionary that trains has its site's activations kept")
            self.source  # noqa: B018 (keeps them)
            return Kept(self.kept_folder, site.layer, self.contexts, self.mask(site))

        statistics = self.statistics(site)
        fitting, seed = functools.partial(self.fitting, site), self.run.plan.config.seed
        return Ground(site, self.model, statistics, fitting, kept, self.run.stages, seed)

    def keep(self, site: SiteConfig) -> Keep:
        config = self.run.plan.config
        seed = derive(config.seed, "hits")
        return Keep.of(config.pages.top, config.pages.per_quantile, seed, self.statistics(site).spread)

    # The pass.

    @property
    def layout(self) -> Layout:
        return Layout(self.contexts.count)

    @property
    def parts(self) -> Parts:
        return Parts(self.folder / f"pass-{self.run.plan.pass_key(self.sites)}", self.layout)

    @property
    def second_parts(self) -> Parts | None:
        if self.second is None:
            return None
        return Parts(self.folder / f"second-{self.run.plan.pass_key(self.sites)}", Layout(self.second.count))

    @property
    def fit_shards(self) -> tuple[int, ...]:
        first = int(self.contexts.held_out.sum()) // SHARD_CONTEXTS
        count = -(-FIT_TOKENS // (SHARD_CONTEXTS * self.contexts.length))
        return tuple(range(first, min(first + 1 + count, self.layout.count)))

    @property
    def coded_shards(self) -> tuple[int, ...]:
        """The shards on which features that fire together are counted."""
        tokens = self.run.plan.config.tables.cofiring_tokens
        return tuple(range(min(self.layout.count, -(-tokens // (SHARD_CONTEXTS * self.contexts.length)))))

    def stream(self) -> None:
        """The pass over the primary text, and the one over the second."""
        if self.parts.left():
            self._stream(f"{self.name}: hits", self.contexts, self.parts, self.source, self.sampled, first=True)
        if self.second is not None and self.second_parts is not None and self.second_parts.left():
            source = FromModel(self.model, self.layers, self.run.device)
            self._stream(f"{self.name}: second text", self.second, self.second_parts, source, {}, first=False)

    def _stream(
        self, title: str, contexts: Contexts, parts: Parts, source: Source, given: dict[int, Any], first: bool
    ) -> None:
        job = Pass(
            source=source,
            sites=tuple(self._streamed(site, first) for site in self.sites),
            precision=self.run.plan.config.precision,
            document=contexts.document,
            held_out=contexts.held_out,
            fit_shards=frozenset(self.fit_shards if first else ()),
            coded_shards=frozenset(self.coded_shards if first else ()),
        )
        names = [[config.name for config in self.run.plan.config.of(site)] for site in self.sites]
        total = contexts.count * contexts.length
        left = [shard for chunk in parts.left() for shard in chunk]
        done = total - sum(contexts.length * _size(Layout(contexts.count).span(shard)) for shard in left)
        with self.run.stages.stage(title, total, "tokens", done) as advance:
            run_pass(job, contexts, names, given, parts, self.run.engine, advance)

    def _streamed(self, site: SiteConfig, first: bool) -> StreamedSite:
        statistics = self.statistics(site)
        entries = []
        for config in self.run.plan.config.of(site):
            dictionary = Dictionary.load(self.place(config).directions)
            fit = FITS.get(config.decoder) if first else None
            if fit != "scale":
                dictionary = replace(dictionary, decoder=None)  # of no use in the pass
            entries.append(Streamed(dictionary, self.keep(site), fit, config.name))
        mean = torch.from_numpy(statistics.mean)
        return StreamedSite(site.name, site.layer, self.mask(site), mean, statistics.spread, tuple(entries))

    # After the pass.

    def finish(self) -> None:
        """Fit decoders and judge."""
        for site in self.sites:
            jobs = [self._finishing(site, config) for config in self.run.plan.config.of(site)]
            left = [job for job in jobs if not job.place.facts.is_file()]
            if left:
                with self.run.stages.stage(f"{site.name}: decoders", len(left), "dictionaries") as advance:
                    for _ in self.run.tables.run(functools.partial(finish, self._judged(site)), left):
                        advance(1)

    def tabulate(self, site: SiteConfig) -> None:
        """Make what is known of a site's dictionaries beyond their hits."""
        tabled = self._tabled(site)
        todo = [task for task in tasks(tabled) if not task.path.is_file()]
        if todo:
            with self.run.stages.stage(f"{site.name}: tables", len(todo), "tables") as advance:
                tabulate(tabled, self._judged(site), self.run.tables, advance)

    def tables(self, site: SiteConfig, name: str) -> Callable[[], Tables]:
        """How to read what `tabulate` has made of one dictionary."""
        return functools.partial(tables, self._tabled(site), name)

    def drift(self, site: SiteConfig) -> dict[str, float] | None:
        """By dictionary, how far bfloat16 drifts from float32; None where nothing is in bfloat16."""
        config = self.run.plan.config
        if (self.model.dtype, config.precision) == ("float32", "float32") or self.run.device != "cpu":
            return None
        path = self.folder / f"drift-{site.name}-{self.run.plan.pass_key(self.sites)}.json"
        if not path.is_file():
            entries = [(entry.name, self.place(entry).dictionary()) for entry in config.of(site)]
            tokens = np.array(self.contexts.tokens[:FORWARD_CONTEXTS])
            job = Drifting(self.model, site.layer, self.mask(site), config.precision, tokens, entries)
            with self.run.stages.stage(f"{site.name}: drift"):
                for _, found in self.run.tables.run(drift, [job]):
                    write_json(path, found)
        shares: dict[str, float] = json.loads(path.read_text("utf-8"))
        return shares

    def _tabled(self, site: SiteConfig) -> Tabled:
        config, contexts = self.run.plan.config, self.contexts
        allowed, _ = self.masks(site)
        some = slice(0, min(config.tables.splice_contexts, int(contexts.held_out.sum())))
        made_of = config.tables.model_dump(), self.run.plan.pass_key(self.sites), site.name
        return Tabled(
            folder=self.folder / f"tables-{fingerprint(*made_of)[:16]}",
            places={entry.name: self.place(entry) for entry in config.of(site)},
            parts=self.parts,
            coded_shards=self.coded_shards,
            model=self.model,
            layer=site.layer,
            vocabulary=len(self.tokenizer),
            tokens=np.array(contexts.tokens[some]),
            allowed=allowed[some],
            config=config.tables,
            seed=config.seed,
        )

    def _finishing(self, site: SiteConfig, config: AnyDictionary) -> Finishing:
        return Finishing(config.name, self.place(config), config.decoder, self.parts, self.fit_shards)

    def _judged(self, site: SiteConfig) -> Shared[Judged]:
        """Given to the workers once, for decoders and tables."""
        if site.name not in self._shared:
            mean, spread = torch.from_numpy(self.statistics(site).mean), self.statistics(site).spread
            held_out = self.sample(site).part(held_out=True)[:JUDGED_TOKENS]
            self._shared[site.name] = self.run.tables.share(Judged(held_out, self.fitting(site), mean, spread))
        return self._shared[site.name]

    def masks(self, site: SiteConfig) -> tuple[NDArray[np.bool_], dict[str, int]]:
        """`allowed[context, position]` of the primary text, and how many positions are masked, by reason."""
        if site.name not in self._masks:
            shape = (self.contexts.count, self.contexts.length)
            self._masks[site.name] = self.parts.masks(self.sites.index(site), shape)
        return self._masks[site.name]

    def _tokens(self, shards: Sequence[int]) -> int:
        return sum(_size(self.layout.span(shard)) * self.contexts.length for shard in shards)


def groups(sites: Sequence[SiteConfig]) -> list[list[SiteConfig]]:
    """Sites that can be read in one pass, in the order in which they come."""
    found: dict[tuple[Any, ...], list[SiteConfig]] = {}
    for site in sites:
        same = site.model_dump(exclude=OF_ONE_SITE)
        found.setdefault(tuple(same.items()), []).append(site)
    return list(found.values())


def _size(span: slice) -> int:
    return int(span.stop - span.start)
