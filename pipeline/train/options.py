"""How dictionaries are trained: the options of BUILD.toml for each family. docs/training.md says where each default comes from."""

import math
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.sections import Section

StartKind = Literal["data-points", "random-sign", "gaussian", "covariance-gaussian"]
Frozen = Literal["none", "encoder", "decoder", "soft-decoder"]
REFERENCE_SIZE = 2**14  # features at which REFERENCE_RATE is the default learning rate
REFERENCE_RATE = 1e-3


class Training(Section):
    """Options that all families share."""

    kind: str
    tokens: int = Field(
        3_000_000, ge=1, description="Token visits; the fitting documents are reread as often as needed."
    )
    batch: int = Field(2048, ge=1, description="Tokens a step.")
    learning_rate: float | None = Field(
        None, gt=0, description="Adam's, at its highest; 0.001 × √(16384 / m), if not given."
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps with a rising learning rate.")
    decay: float = Field(0.5, ge=0, lt=1, description="Share of the steps, at the end, with a falling one.")
    clip: float = Field(1.0, gt=0, description="Gradients longer than this, all tensors together, are shortened to it.")
    start: StartKind = Field("data-points", description="Directions that the encoder and the decoder start from.")
    frozen: Frozen = Field(
        "none",
        description="What stays as it started: a control. `soft-decoder`: rows stay near their start (`cosine`).",
    )
    cosine: float = Field(0.8, gt=0, le=1, description="Least cosine of a soft-frozen decoder row to its start.")
    orthogonality: float = Field(
        0.0, ge=0, description="Coefficient of a penalty on each decoder row's largest squared cosine to another."
    )
    dead_after: float = Field(
        0.1, gt=0, le=1, description="A feature that has not fired for this share of the run is dead."
    )
    resample: int = Field(
        0, ge=0, le=20, description="How many times dead features are started anew from tokens badly explained."
    )
    threads: int = Field(2, ge=1, le=64, description="Part of the configuration: float sums depend on it.")

    @model_validator(mode="after")
    def resamples_what_moves(self) -> Self:
        if self.resample and self.frozen != "none":
            raise ValueError(f"what is frozen can't be started anew: drop resample, or frozen = {self.frozen!r}")
        return self

    def rate(self, m: int) -> float:
        """The highest learning rate of a dictionary of m features."""
        return self.learning_rate or REFERENCE_RATE * math.sqrt(REFERENCE_SIZE / m)


class TopKOptions(Training):
    """A TopK sparse autoencoder with AuxK (Gao et al. 2024, arXiv:2406.04093)."""

    kind: Literal["topk-sae"] = "topk-sae"
    k: int = Field(32, ge=1, description="Features that fire on a token.")
    aux: float = Field(1 / 32, ge=0, description="Coefficient of AuxK, by which dead features learn what is left over.")


class BatchTopKOptions(Training):
    """A BatchTopK sparse autoencoder (Bussmann et al. 2024, arXiv:2412.06410)."""

    kind: Literal["batch-topk-sae"] = "batch-topk-sae"
    k: int = Field(32, ge=1, description="Features that fire on a token, on average.")
    aux: float = Field(1 / 32, ge=0, description="Coefficient of AuxK, by which dead features learn what is left over.")


class MatryoshkaOptions(BatchTopKOptions):
    """A Matryoshka BatchTopK sparse autoencoder (Bussmann et al. 2025, arXiv:2503.17547)."""

    kind: Literal["matryoshka-sae"] = "matryoshka-sae"  # type: ignore[assignment]
    groups: tuple[float, ...] = Field(
        (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0),
        description="Each share of the features, from the first on, has to explain the activations by itself.",
    )

    @field_validator("groups")
    @classmethod
    def nested(cls, groups: tuple[float, ...]) -> tuple[float, ...]:
        if not groups or groups[-1] != 1 or any(low >= high for low, high in pairwise((0.0, *groups))):
            raise ValueError("groups are shares that rise from above 0 to 1, such as [0.25, 0.5, 1.0]")
        return groups


class ReLUOptions(Training):
    """ReLU with an L1 penalty (Sharkey, Braun and beren 2022; Bricken et al. 2023)."""

    kind: Literal["relu-sae"] = "relu-sae"
    alpha: float = Field(0.1, ge=0, description="Coefficient of the L1 penalty.")
    decoder_bias: bool = Field(True, description="False: x̂ = D·ReLU(W x + b), with nothing added.")
    sparsity_warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the penalty rises.")


class GatedOptions(Training):
    """A Gated sparse autoencoder (Rajamanoharan et al. 2024, arXiv:2404.16014)."""

    kind: Literal["gated-sae"] = "gated-sae"
    alpha: float = Field(0.1, ge=0, description="Coefficient of the L1 penalty on the gate's path.")
    step: bool = Field(True, description="False: no step function; codes are the gate's, times a factor per feature.")
    sparsity_warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the penalty rises.")


class JumpReLUOptions(Training):
    """A JumpReLU sparse autoencoder (Rajamanoharan et al. 2024, arXiv:2407.14435)."""

    kind: Literal["jumprelu-sae"] = "jumprelu-sae"
    alpha: float = Field(0.01, ge=0, description="Coefficient of the L0 penalty.")
    bandwidth: float = Field(0.001, gt=0, description="Width of the kernel in the straight-through estimators.")
    threshold: float = Field(0.001, gt=0, description="Where every threshold starts.")
    sparsity_warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the penalty rises.")


KINDS: dict[str, type[Training]] = {
    "topk-sae": TopKOptions,
    "batch-topk-sae": BatchTopKOptions,
    "matryoshka-sae": MatryoshkaOptions,
    "relu-sae": ReLUOptions,
    "gated-sae": GatedOptions,
    "jumprelu-sae": JumpReLUOptions,
}
