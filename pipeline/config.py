"""BUILD.toml as small models, one for each stage. Reading one does no I/O beyond the file itself.

Unknown keys are refused and every message names the key's path. What `[defaults]` and the build say is filled into
every dictionary before its fields are checked.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.toml import load_toml

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Encoding = Literal["centred", "raw"]
Decoder = Literal["least-squares", "tied"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(Section):
    """A causal language model: a Hugging Face name, a folder, or `package:NAME` for the folder of a Python package."""

    name: Slug
    source: str = Field(min_length=1)
    gguf: str | None = Field(None, description="GGUF file inside the folder; the model is de-quantised on loading.")
    revision: str | None = Field(None, description="Commit or tag, for a Hugging Face name.")
    dtype: Literal["float32", "bfloat16"] = "float32"


class CorpusConfig(Section):
    """Text: a file, a folder, `package:NAME/path`, or `dataset:NAME` (needs the `datasets` extra)."""

    name: Slug
    source: str = Field(min_length=1)
    documents: Literal["file", "paragraph", "line", "wikitext"] = Field(
        "file",
        description="What one document is in a text file; `wikitext` means an article's section, with its spaced-out "
        "punctuation put right. JSONL, Parquet and data sets have one document a row.",
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


class Defaults(Section):
    """What every dictionary inherits unless it says otherwise."""

    expansion: float | None = Field(8, gt=0, description="m as a multiple of the model's width n.")
    k: int = Field(32, ge=1)
    encoding: Encoding = "centred"


class DictionaryConfig(Section):
    """Options that all kinds share, once the defaults are filled in."""

    name: Slug
    title: str = Field(description="Shown in the browser; the name, if not given.")
    site: Slug = Field(description="The build's only site, if not given.")
    m: int | None = Field(None, ge=1, description="Number of features; instead of expansion.")
    expansion: float | None = Field(None, gt=0)
    k: int = Field(ge=1)
    encoding: Encoding
    seed: int = Field(ge=0, description="The build's, if not given.")

    @model_validator(mode="after")
    def has_a_size(self) -> Self:
        if (self.m is None) == (self.expansion is None):
            raise ValueError(f"dictionary {self.name!r} needs one of m and expansion")
        return self

    def size(self, d: int) -> int:
        """Number of features m for activations of width d."""
        return self.m if self.m is not None else max(1, round((self.expansion or 0) * d))


class RandomSignConfig(DictionaryConfig):
    """Directions drawn from {±1/√n}ⁿ ("Throwing darts in latent space")."""

    kind: Literal["random-sign"]
    decoder: Decoder = "least-squares"


class DataPointsConfig(DictionaryConfig):
    """Activations of random tokens, centred and scaled to unit length."""

    kind: Literal["data-points"]
    decoder: Decoder = "least-squares"


class TopKSAEConfig(DictionaryConfig):
    """A TopK sparse autoencoder (Gao et al. 2024, arXiv:2406.04093), trained on the build's own activations."""

    kind: Literal["topk-sae"]
    decoder: Literal["trained"] = "trained"
    encoding: Literal["centred"] = "centred"
    tokens: int = Field(
        3_000_000, ge=1, description="Token visits; the fitting documents are reread as often as needed."
    )
    batch: int = Field(2048, ge=1, description="Tokens a step.")
    learning_rate: float = Field(2e-3, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps with a rising learning rate.")
    decay: float = Field(0.5, ge=0, lt=1, description="Share of the steps, at the end, with a falling one.")
    threads: int = Field(2, ge=1, le=64, description="Part of the configuration: float sums depend on it.")


AnyDictionary = Annotated[RandomSignConfig | DataPointsConfig | TopKSAEConfig, Field(discriminator="kind")]


class PagesConfig(Section):
    """How many contexts a feature keeps."""

    top: int = Field(20, ge=1, le=200, description="Top contexts, at most one a document.")
    per_quantile: int = Field(5, ge=1, le=100, description="Contexts in each of the five rank quantiles.")
    pool: int = Field(2000, ge=1, description="Contexts in the arm-neutral pool that null pages draw on.")


class Build(Section):
    """A whole BUILD.toml."""

    seed: int = Field(0, ge=0)
    models: list[ModelConfig] = Field(alias="model", min_length=1)
    corpora: list[CorpusConfig] = Field(alias="corpus", min_length=1)
    sites: list[SiteConfig] = Field(alias="site", min_length=1)
    defaults: Defaults = Defaults()
    dictionaries: list[AnyDictionary] = Field(alias="dictionary", min_length=1)
    pages: PagesConfig = PagesConfig()

    @model_validator(mode="before")
    @classmethod
    def inherit(cls, data: Any) -> Any:
        """Fill in what a dictionary leaves to the build. What is malformed stays as it is, for the fields to refuse."""
        match data:
            case {"dictionary": list(entries), **rest}:
                given = rest.get("defaults", {})
                inherited = {name: field.default for name, field in Defaults.model_fields.items()} | {
                    "seed": rest.get("seed", 0)
                }
                if isinstance(given, dict):
                    inherited |= {name: value for name, value in given.items() if name in Defaults.model_fields}
                match rest.get("site"):
                    case [{"name": str(only)}]:
                        inherited["site"] = only
                return {**data, "dictionary": [_filled(entry, inherited) for entry in entries]}
        return data

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


def _filled(entry: Any, inherited: dict[str, Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    own = {key: value for key, value in inherited.items() if key != "expansion" or "m" not in entry}
    return {"title": entry.get("name"), **own, **entry}


def load_build(path: Path) -> Build:
    """Read a BUILD.toml. Raises UserError that names the file and the key."""
    return load_toml(path, Build)
