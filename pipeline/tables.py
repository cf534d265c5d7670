"""What is known of a dictionary beyond its hits: neighbours, partners, output tokens, floors, scores; as publishing takes it.

Each part comes from a module of its own: `geometry`, `cofiring`, `logits`, `floors`, `splice`. All are optional, and none
depends on the number of tokens that a build reads.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Related:
    """For every feature, those of one dictionary that are nearest to it, nearest first.

    `feature[m, n]` (int32, −1 once there are no more), `value[m, n]` (float32). `other` is that dictionary's name, which
    may be the feature's own.
    """

    other: str
    kind: Literal["neighbour", "cofiring"]
    feature: NDArray[np.int32]
    value: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a dictionary finds in the one named `other`: MMCS, and cosines by neighbour ("1", "10", "100") at `quantiles`."""

    other: str
    mmcs: float
    curves: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Tokens that each feature raises and lowers most: ids `[m, n]` (int32) and values `[m, n]`, most extreme first."""

    top_token: NDArray[np.int32]
    top_value: NDArray[np.float32]
    bottom_token: NDArray[np.int32]
    bottom_value: NDArray[np.float32]

    def cut(self, features: slice) -> "Outputs":
        """Those of some features."""
        return Outputs(
            self.top_token[features],
            self.top_value[features],
            self.bottom_token[features],
            self.bottom_value[features],
        )


@dataclass(frozen=True, slots=True)
class Tables:
    """All of it, of one dictionary; None and empty where it was not made."""

    floor_isotropic: float | None = None
    floor_covariance: float | None = None
    ce_recovered: float | None = None
    kl_score: float | None = None
    outputs: Outputs | None = None
    related: tuple[Related, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


def no_tables() -> Tables:
    """Where none were made."""
    return Tables()
