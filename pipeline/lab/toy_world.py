"""A world in which the truth is known: Sharkey, Braun and beren's (2022) toy of superposition.

h unit features in n dimensions; a sample is a sum of the few that are active, each with a coefficient uniform in 0…1. How
often a feature is active: all equally; or decaying, each λ = .99 times as often as the one before, as theirs; or as Zipf's law
has it, the i-th in proportion to 1/i. Features 2i and 2i + 1 may be active together more often than by chance: whether a feature is
active is a Gaussian below a threshold, and the two Gaussians of a pair are correlated.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from pipeline.hashing import derive
from pipeline.lab.superposition import ACTIVE, true_features
from pipeline.train.family import Units

Frequencies = Literal["uniform", "decay", "zipf"]
DECAY = 0.99


@dataclass(frozen=True, slots=True)
class Samples:
    """`x[sample, n]`, and which features were `active[sample, h]`."""

    x: Tensor
    active: Tensor


@dataclass(frozen=True, slots=True)
class World:
    """n dimensions, h features of which `active` are active on average; `correlation` of the Gaussians of a pair, 0 to 1."""

    n: int
    h: int
    frequencies: Frequencies = "uniform"
    correlation: float = 0.0
    active: float = ACTIVE
    seed: int = 0

    @property
    def features(self) -> Tensor:
        """`features[h, n]`, unit rows."""
        return true_features(self.n, self.h, derive(self.seed, "features"))

    @property
    def chances(self) -> NDArray[np.float64]:
        """`chances[h]`: how often each feature is active; their sum is `active`. Raises ValueError where one would exceed 1."""
        rank = np.arange(self.h)
        weight = {"uniform": np.ones(self.h), "decay": DECAY**rank, "zipf": 1 / (rank + 1)}[self.frequencies]
        chance: NDArray[np.float64] = weight * (self.active / weight.sum())
        if chance.max() > 1:
            raise ValueError(f"{self.h} features, {self.frequencies}, cannot be {self.active:g} at a time")
        return chance

    @property
    def facts(self) -> dict[str, Any]:
        """See Source."""
        return asdict(self)

    def units(self, centred: bool) -> Units:
        """The world's own: nothing is scaled. The variance is exact but for the correlation of pairs."""
        chance = self.chances
        mean = torch.from_numpy(chance / 2).float() @ self.features
        each = chance / 3 - chance**2 / 4  # of a coefficient that is 0 or uniform
        return Units(mean if centred else torch.zeros(self.n), 1.0, float(each.sum()))

    def sample(self, count: int, seed: int) -> Tensor:
        """See Source."""
        return self.samples(count, seed).x

    def samples(self, count: int, seed: int) -> Samples:
        """`count` samples, by seed."""
        return self._drawn(count, seed, self.features)

    def batches(self, size: int, seed: int, start: int) -> Iterator[Tensor]:
        """Batches `x[size, n]` without end, from the one numbered `start`; the same ones whatever `start` was."""
        features = self.features
        while True:
            yield self._drawn(size, derive(seed, "batch", str(start)), features).x
            start += 1

    def _drawn(self, count: int, seed: int, features: Tensor) -> Samples:
        random = np.random.Generator(np.random.SFC64(seed))
        if self.correlation:
            normal = random.standard_normal((count, self.h), np.float32)
            others = normal[:, 1::2]
            rest = np.float32((1 - self.correlation**2) ** 0.5)
            others[:] = np.float32(self.correlation) * normal[:, : 2 * others.shape[1] : 2] + rest * others
            active = normal < special.ndtri(self.chances).astype(np.float32)
        else:
            active = random.random((count, self.h), np.float32) < self.chances.astype(np.float32)
        sample, feature = np.nonzero(active)
        coefficient = np.zeros((count, self.h), np.float32)
        coefficient[sample, feature] = random.random(len(sample), np.float32)
        return Samples(torch.from_numpy(coefficient) @ features, torch.from_numpy(active))
