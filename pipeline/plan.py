"""What a build will make, and the key by which a finished one is known. Needs no torch, so that a second start is quick."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app import __version__
from app.errors import UserError
from pipeline.config import Build, SiteConfig, load_build
from pipeline.entries import DictionaryConfig, FileConfig, TrainedConfig
from pipeline.hashing import fingerprint
from pipeline.sources import corpus_hash, model_hash, weights_hash

OF_ONE_SITE = {"name", "layer", "sample", "sink_norm", "skip_positions"}  # in what sites read in one pass may differ


@dataclass(frozen=True, slots=True)
class Plan:
    """A build with the hashes of everything it reads: equal keys mean equal stores."""

    config: Build
    model_hashes: dict[str, str]
    corpus_hashes: dict[str, str]
    weights_hashes: dict[str, str]  # of dictionaries that are read from disk
    versions: dict[str, str]
    command: str

    @property
    def key(self) -> str:
        hashes = self.model_hashes, self.corpus_hashes, self.weights_hashes
        return fingerprint(self.config.model_dump(mode="json"), hashes, self.versions)

    def model_key(self, name: str) -> str:
        """What a model's activations depend on."""
        model = self.config.model(name).model_dump(mode="json", exclude={"name", "source", "revision"})
        return fingerprint(model, self.model_hashes[name])

    def corpus_key(self, name: str) -> str:
        """What a corpus's documents depend on."""
        corpus = self.config.corpus(name).model_dump(mode="json", exclude={"name", "source"})
        return fingerprint(corpus, self.corpus_hashes[name])

    def group_key(self, sites: Sequence[SiteConfig]) -> str:
        """What the contexts and activations of sites that are read together depend on."""
        first = sites[0]
        text = first.model_dump(mode="json", exclude={*OF_ONE_SITE, "keep_activations"})
        corpora = [name for name in (first.corpus, first.second_corpus) if name is not None]
        parts = [(self.config.corpus(name).model_dump(mode="json"), self.corpus_hashes[name]) for name in corpora]
        layers = sorted({site.layer for site in sites})
        return fingerprint(text, layers, parts, self.model_key(first.model), self.versions, self.config.seed)[:16]

    def dictionary_key(self, dictionary: DictionaryConfig) -> str:
        """What a dictionary of a group, and its summary, depend on."""
        site = next(site for site in self.config.sites if site.name == dictionary.site)
        parts = [part.model_dump(mode="json") for part in (dictionary, site, self.config.pages)]
        return fingerprint(parts, self.weights_hashes.get(dictionary.name), self.config.precision, self.config.seed)[
            :16
        ]

    def pass_key(self, sites: Sequence[SiteConfig]) -> str:
        """What the parts of a pass depend on."""
        keys = [self.dictionary_key(dictionary) for site in sites for dictionary in self.config.of(site)]
        return fingerprint(keys, self.config.tables.cofiring_tokens)[:16]


def needs_kept(config: Build, sites: Sequence[SiteConfig]) -> bool:
    """Whether some dictionary of the sites reads the activations more often than once."""
    return any(isinstance(entry, TrainedConfig) for site in sites for entry in config.of(site))


def make_plan(path: Path, command: str) -> Plan:
    """Read a BUILD.toml and hash what it names. Raises UserError, NotFound."""
    config = load_build(path)
    return Plan(
        config=config,
        model_hashes={model.name: model_hash(model) for model in config.models},
        corpus_hashes={corpus.name: corpus_hash(corpus) for corpus in config.corpora},
        weights_hashes={
            entry.name: weights_hash(entry) for entry in config.dictionaries if isinstance(entry, FileConfig)
        },
        versions=library_versions(),
        command=command,
    )


def library_versions() -> dict[str, str]:
    """Versions that a store's digest may depend on. Raises UserError where one is not installed."""
    libraries = ("torch", "transformers", "tokenizers", "numpy", "scipy", "numba")
    try:
        return {"dartboard": __version__, **{name: importlib.metadata.version(name) for name in libraries}}
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"A build needs {error.name}, which is not installed: pip install 'dartboard[pipeline]'."
        ) from error
