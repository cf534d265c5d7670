"""BUILD.toml as small models, one for each stage. Reading one does no I/O beyond the file itself.

Unknown keys are refused and every message names the key's path. What `[defaults]` and the build say is filled into
every dictionary before its fields are checked.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from app.toml import load_toml
from pipeline.entries import AnyDictionary, filled, seeded
from pipeline.sections import Section, Slug


class ModelConfig(Section):
    """A causal language model: a Hugging Face name, a folder, or `package:NAME` for the folder of a Python package."""

    name: Slug
    source: str = Field(min_length=1)
    gguf: str | None = Field(None, description="GGUF file inside the folder; the model is de-quantised on loading.")
    revision: str | None = Field(None, description="Commit or tag, for a Hugging Face name.")
    dtype: Literal["float32", "bfloat16"] = "float32"
    weights: Literal["trained", "re-randomised", "re-randomised-blocks", "step-0"] = Field(
        "trained",
        description="Controls that know nothing: every matrix redrawn with its own mean and variance; all but the "
        "embeddings redrawn; or the model's own initialisation.",
    )
    embeddings: Literal["trained", "gaussian"] = Field(
        "trained", description="`gaussian`: every token of the text is read as a fresh Gaussian vector."
    )
    seed: int = Field(0, ge=0, description="Of the controls; the build's, if not given.")


class CorpusConfig(Section):
    """Text: a file, a folder, `package:NAME/path`, or `dataset:NAME` (needs the `datasets` extra)."""

    name: Slug
    source: str = Field(min_length=1)
    documents: Literal["file", "paragraph", "line", "wikitext"] = Field(
        "file",
        description="What one document is in a text file; `wikitext` means an article's section, with its spaced-out "
        "punctuation put right. JSONL, Parquet and data sets have one document a row, MediaWiki exports one an article.",
    )
    text_field: str = "text"
    subset: str | None = Field(None, description="Configuration of a Hugging Face data set.")
    split: str = Field("train", description="Split of a Hugging Face data set.")


class SiteConfig(Section):
    """Where activations are read: the residual stream after block `layer` (0 is the first), over a sample of a corpus."""

    name: Slug
    model: Slug
    corpus: Slug
    layer: int = Field(ge=0)
    contexts: int = Field(ge=1, description="Windows drawn by seed across the whole corpus.")
    context_length: int = Field(128, ge=8, le=4096, description="Tokens a window.")
    held_out: float = Field(0.1, gt=0, lt=1, description="Share of documents that fit no dictionary and measure FVE.")
    sink_norm: float = Field(10.0, gt=1, description="Mask positions whose norm exceeds this many medians.")
    skip_positions: int = Field(0, ge=0, description="Mask so many positions at the beginning of every window, too.")
    sample: int = Field(
        65_536, ge=256, description="Tokens kept in memory to measure the site and to make and to judge dictionaries."
    )
    second_corpus: Slug | None = Field(None, description="A second text, on which every feature is looked at again.")
    second_contexts: int | None = Field(None, ge=1, description="Windows of it; as many as `contexts`, if not given.")
    keep_activations: bool = Field(False, description="Write activations to DATA/activations, for later builds.")
    activations: str | None = Field(
        None, description="Folder of activations that an earlier build kept; then the model is not run."
    )

    @model_validator(mode="after")
    def leaves_something(self) -> Self:
        if self.skip_positions >= self.context_length:
            raise ValueError(
                f"site {self.name!r} has skip_positions = {self.skip_positions}, which leaves nothing of windows of "
                f"{self.context_length} tokens; lower it"
            )
        return self


class Defaults(Section):
    """What every dictionary inherits unless it says otherwise."""

    expansion: float | None = Field(8, gt=0, description="m as a multiple of the model's width n.")
    k: int = Field(32, ge=1)
    encoding: Literal["centred", "raw", "whitened"] = "centred"


class PagesConfig(Section):
    """How many contexts a feature keeps."""

    top: int = Field(20, ge=1, le=200, description="Top contexts, at most one a document.")
    per_quantile: int = Field(5, ge=1, le=100, description="Contexts in each of the five rank quantiles.")
    pool: int = Field(2000, ge=1, description="Contexts in the arm-neutral pool that null pages draw on.")


class TablesConfig(Section):
    """Figures beyond the hits."""

    neighbours: int = Field(5, ge=0, le=100, description="Nearest decoder rows kept, of each dictionary of the site.")
    output_tokens: int = Field(10, ge=0, le=100, description="Tokens that a feature raises most, and lowers most.")
    cofiring_tokens: int = Field(16_384, ge=0, description="Tokens on which features that fire together are counted.")
    splice_contexts: int = Field(
        16, ge=0, description="Contexts in which the reconstruction takes the activation's place, to measure the loss."
    )


class Build(Section):
    """A whole BUILD.toml."""

    seed: int = Field(0, ge=0)
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Of the encoder products. bfloat16 is faster; its drift is measured and stored."
    )
    models: list[ModelConfig] = Field(alias="model", min_length=1)
    corpora: list[CorpusConfig] = Field(alias="corpus", min_length=1)
    sites: list[SiteConfig] = Field(alias="site", min_length=1)
    defaults: Defaults = Defaults()
    dictionaries: list[AnyDictionary] = Field(alias="dictionary", min_length=1)
    pages: PagesConfig = PagesConfig()
    tables: TablesConfig = TablesConfig()

    @model_validator(mode="before")
    @classmethod
    def inherit(cls, data: Any) -> Any:
        """Fill in what entries leave to the build. What is malformed stays as it is, for the fields to refuse."""
        if not isinstance(data, dict):
            return data
        seed, given = data.get("seed", 0), data.get("defaults", {})
        inherited = {name: field.default for name, field in Defaults.model_fields.items()} | {"seed": seed}
        if isinstance(given, dict):
            inherited |= {name: value for name, value in given.items() if name in Defaults.model_fields}
        match data.get("site"):
            case [{"name": str(only)}]:
                inherited["site"] = only
        found = dict(data)
        if isinstance(models := data.get("model"), list):
            found["model"] = [{"seed": seed, **entry} if isinstance(entry, dict) else entry for entry in models]
        if isinstance(entries := data.get("dictionary"), list):
            found["dictionary"] = [filled(one, inherited) for entry in entries for one in seeded(entry)]
        return found

    @model_validator(mode="after")
    def names_fit(self) -> Self:
        for what, entries in (
            ("model", self.models),
            ("corpus", self.corpora),
            ("site", self.sites),
            ("dictionary", self.dictionaries),
        ):
            names = [entry.name for entry in entries]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two [[{what}]] entries are named {twice[0]!r}; give each its own name")
        for site in self.sites:
            for key, value, known in (("model", site.model, self.models), ("corpus", site.corpus, self.corpora)):
                if value not in {entry.name for entry in known}:
                    raise ValueError(f"site {site.name!r} has {key} = {value!r}, but no [[{key}]] has that name")
            if site.second_corpus is not None and site.second_corpus not in {entry.name for entry in self.corpora}:
                raise ValueError(
                    f"site {site.name!r} has second_corpus = {site.second_corpus!r}, but no [[corpus]] has that name"
                )
        for dictionary in self.dictionaries:
            if dictionary.site not in {site.name for site in self.sites}:
                raise ValueError(
                    f"dictionary {dictionary.name!r} has site = {dictionary.site!r}, which is not a [[site]]"
                )
        return self

    def model(self, name: str) -> ModelConfig:
        return next(model for model in self.models if model.name == name)

    def corpus(self, name: str) -> CorpusConfig:
        return next(corpus for corpus in self.corpora if corpus.name == name)

    def of(self, site: SiteConfig) -> list[AnyDictionary]:
        """The dictionaries of a site."""
        return [dictionary for dictionary in self.dictionaries if dictionary.site == site.name]


def load_build(path: Path) -> Build:
    """Read a BUILD.toml. Raises UserError that names the file and the key."""
    return load_toml(path, Build)
