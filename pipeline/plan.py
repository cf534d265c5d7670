"""What a build will make, and the key by which a finished one is known. Needs no torch, so that a second start is quick."""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from app import __version__
from app.errors import UserError
from pipeline.config import AnyDictionary, Build, SiteConfig, load_build
from pipeline.hashing import fingerprint
from pipeline.sources import corpus_hash, model_hash


@dataclass(frozen=True, slots=True)
class Plan:
    """A build with the hashes of everything it reads: equal keys mean equal stores."""

    config: Build
    model_hashes: dict[str, str]
    corpus_hashes: dict[str, str]
    versions: dict[str, str]
    command: str

    @property
    def key(self) -> str:
        return fingerprint(self.config.model_dump(mode="json"), self.model_hashes, self.corpus_hashes, self.versions)

    def site_key(self, site: SiteConfig) -> str:
        """What a site's contexts and activations depend on."""
        model, corpus = self.config.model(site.model), self.config.corpus(site.corpus)
        hashes = self.model_hashes[site.model], self.corpus_hashes[site.corpus]
        parts = [part.model_dump(mode="json") for part in (site, model, corpus)]
        return fingerprint(parts, hashes, self.versions, self.config.seed)[:16]

    def dictionary_key(self, dictionary: AnyDictionary) -> str:
        return fingerprint(dictionary.model_dump(mode="json"), self.config.pages.model_dump(), self.config.seed)[:16]


def make_plan(path: Path, command: str) -> Plan:
    """Read a BUILD.toml and hash what it names. Raises UserError, NotFound."""
    config = load_build(path)
    return Plan(
        config=config,
        model_hashes={model.name: model_hash(model) for model in config.models},
        corpus_hashes={corpus.name: corpus_hash(corpus) for corpus in config.corpora},
        versions=library_versions(),
        command=command,
    )


def library_versions() -> dict[str, str]:
    """Versions that a store's digest may depend on. Raises UserError where one is not installed."""
    libraries = ("torch", "transformers", "tokenizers", "numpy", "scipy")
    try:
        return {"dartboard": __version__, **{name: importlib.metadata.version(name) for name in libraries}}
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"A build needs {error.name}, which is not installed: pip install 'dartboard[pipeline]'."
        ) from error
