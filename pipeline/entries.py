"""The `[[dictionary]]` entries of a build file: one model a kind, and what an entry inherits or stands for."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.sections import Section, Slug
from pipeline.train import options

Encoding = Literal["centred", "raw", "whitened", "own"]
Decoder = Literal["least-squares", "tied", "none"]
Rule = Literal["topk", "absolute-topk", "batch-topk", "relu"]
# Kinds with one direction a dimension: m is the model's width unless `m` says less.
NATURAL_SIZE = ("pca", "ica", "neurons")


class DictionaryConfig(Section):
    """Options that all kinds share, once the defaults are filled in."""

    name: Slug
    title: str = Field(description="Shown in the browser; the name, if not given.")
    site: Slug = Field(description="The build's only site, if not given.")
    m: int | None = Field(None, ge=1, description="Number of features; instead of expansion.")
    expansion: float | None = Field(None, gt=0)
    k: int | None = Field(None, ge=1, description="Features that fire on a token; the mean of them, for batch-topk.")
    encoding: Encoding
    seed: int = Field(ge=0, description="The build's, if not given.")
    family: str = Field("", description="Dictionaries that differ in nothing but their seed; the kind, if not given.")

    @model_validator(mode="after")
    def has_a_size(self) -> Self:
        kind = getattr(self, "kind", None)
        if self.m is not None and self.expansion is not None:
            raise ValueError(f"dictionary {self.name!r} has both m and expansion; give one")
        if kind == "file" and (self.m, self.expansion) != (None, None):
            raise ValueError(f"dictionary {self.name!r} is read from a file, which says its size; drop m and expansion")
        if kind not in (*NATURAL_SIZE, "file") and (self.m, self.expansion) == (None, None):
            raise ValueError(f"dictionary {self.name!r} needs one of m and expansion")
        return self

    def size(self, d: int) -> int:
        """Number of features m for activations of width d."""
        if self.m is not None:
            return self.m
        return d if self.expansion is None else max(1, round(self.expansion * d))


class MadeConfig(DictionaryConfig):
    """Directions made here, without training."""

    kind: str
    rule: Rule = "topk"
    encoding: Literal["centred", "raw", "whitened"]
    decoder: Decoder = "least-squares"


class RandomSignConfig(MadeConfig):
    """Directions drawn from {±1/√n}ⁿ ("Throwing darts in latent space")."""

    kind: Literal["random-sign"]


class GaussianConfig(MadeConfig):
    """Isotropic Gaussian directions, scaled to unit length."""

    kind: Literal["gaussian"]


class CovarianceGaussianConfig(MadeConfig):
    """Gaussian directions with the covariance of the activations, scaled to unit length."""

    kind: Literal["covariance-gaussian"]


class DataPointsConfig(MadeConfig):
    """Activations of random tokens, centred and scaled to unit length."""

    kind: Literal["data-points"]


class KMeansConfig(MadeConfig):
    """Centroids of k-means over the sample, centred and scaled to unit length."""

    kind: Literal["k-means"]


class EmbeddingConfig(MadeConfig):
    """Rows of the token embedding, drawn by seed, centred and scaled to unit length."""

    kind: Literal["embedding"]


class UnembeddingConfig(MadeConfig):
    """Rows of the unembedding, drawn by seed, centred and scaled to unit length."""

    kind: Literal["unembedding"]


class PCAConfig(MadeConfig):
    """Principal components; at most as many as the model is wide."""

    kind: Literal["pca"]


class ICAConfig(MadeConfig):
    """Independent components (FastICA); at most as many as the model is wide."""

    kind: Literal["ica"]


class NeuronsConfig(MadeConfig):
    """The standard basis of the residual stream: as many features as the model is wide."""

    kind: Literal["neurons"]


class FileConfig(DictionaryConfig):
    """A trained dictionary from disk; docs/formats.md lists the formats."""

    kind: Literal["file"]
    source: str = Field(min_length=1, description="Folder or file.")
    format: Literal["auto", "saelens", "sparsify", "dictionary-learning", "openai", "gemma-scope"] = "auto"
    scale: float | None = Field(
        None, gt=0, description="SAELens `expected_average_only_in`: the factor that activations are multiplied by."
    )
    decoder: Literal["own"] = "own"
    encoding: Literal["own"] = "own"


class TrainedConfig(DictionaryConfig, options.Training):
    """A dictionary that is trained in the build, on its own activations."""

    decoder: Literal["trained"] = "trained"
    encoding: Literal["centred"] = "centred"

    @property
    def training(self) -> options.Training:
        """The options of the training alone."""
        kind = options.KINDS[self.kind]
        return kind.model_validate({name: getattr(self, name) for name in kind.model_fields})


class TopKSAEConfig(options.TopKOptions, TrainedConfig):
    """A TopK sparse autoencoder (Gao et al. 2024, arXiv:2406.04093)."""


class BatchTopKSAEConfig(options.BatchTopKOptions, TrainedConfig):
    """A BatchTopK sparse autoencoder (Bussmann et al. 2024, arXiv:2412.06410)."""


class MatryoshkaSAEConfig(options.MatryoshkaOptions, TrainedConfig):
    """A Matryoshka BatchTopK sparse autoencoder (Bussmann et al. 2025, arXiv:2503.17547)."""


class ReLUSAEConfig(options.ReLUOptions, TrainedConfig):
    """A sparse autoencoder with ReLU and an L1 penalty (Sharkey, Braun and beren 2022)."""


class GatedSAEConfig(options.GatedOptions, TrainedConfig):
    """A Gated sparse autoencoder (Rajamanoharan et al. 2024, arXiv:2404.16014)."""


class JumpReLUSAEConfig(options.JumpReLUOptions, TrainedConfig):
    """A JumpReLU sparse autoencoder (Rajamanoharan et al. 2024, arXiv:2407.14435)."""


AnyDictionary = Annotated[
    RandomSignConfig
    | GaussianConfig
    | CovarianceGaussianConfig
    | DataPointsConfig
    | KMeansConfig
    | EmbeddingConfig
    | UnembeddingConfig
    | PCAConfig
    | ICAConfig
    | NeuronsConfig
    | FileConfig
    | TopKSAEConfig
    | BatchTopKSAEConfig
    | MatryoshkaSAEConfig
    | ReLUSAEConfig
    | GatedSAEConfig
    | JumpReLUSAEConfig,
    Field(discriminator="kind"),
]


def seeded(entry: Any) -> list[Any]:
    """An entry with `seeds = [0, 1, 2]` stands for three dictionaries of one family, `name-0` to `name-2`."""
    match entry:
        case {"seeds": list(seeds), "name": str(name)} if seeds and all(isinstance(seed, int) for seed in seeds):
            rest = {key: value for key, value in entry.items() if key != "seeds"}
            title = rest.get("title", name)
            shared = {"family": name, **rest}
            return [{**shared, "name": f"{name}-{s}", "title": f"{title}, seed {s}", "seed": s} for s in seeds]
    return [entry]


def filled(entry: Any, inherited: dict[str, Any]) -> Any:
    """An entry with what it inherits, where its kind has a use for it."""
    if not isinstance(entry, dict):
        return entry
    kind = entry.get("kind")
    left_out = set()
    if "m" in entry or kind in (*NATURAL_SIZE, "file"):
        left_out.add("expansion")
    if kind == "file":
        left_out |= {"k", "encoding"}
    own = {key: value for key, value in inherited.items() if key not in left_out}
    if kind == "file":
        own["encoding"] = "own"
    return {"title": entry.get("name"), "family": kind, **own, **entry}
