"""What is true in a simulated study: how its raters see pages, pairs, intruders, and what their guesses follow.

The model of scores is the one that `app.study.power` supposes, latent and normal, crossed:

    latent = mean(arm) + feature + rater + rater × arm + residual

cut at `thresholds` into 1 to 5. `mean(arm)` is set so that the share of interpretable answers (4 or 5) over all features and
all raters is the arm's. Pairs follow Davidson's model (1970), intruders are found by features' own, Beta-distributed chances.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from app.study.answers import PIECES

INTERPRETABLE = 4  # scores from here on
DECILES = 10
NODES = 15  # of the quadrature over raters' noise
STEPS = 60  # of the halving that finds an arm's mean
NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Guessing:
    """What a guess about a page's arm follows: the score that its rater gave it, and now and then the truth."""

    clear: float = 0.7  # chance that a page with a score of 4 or 5 is taken for a trained one; below, of another arm
    unsure: float = 0.2  # chance of "don't know"
    leak: float = 0.0  # chance that the rater simply knows


@dataclass(frozen=True, slots=True)
class Truth:
    """Arms are named by the keys of `shares`. Standard deviations are on the latent scale of scores."""

    shares: Mapping[str, float]  # of interpretable answers, among those that are not skips
    thresholds: tuple[float, float, float, float] = (-1.6, -0.8, 0.0, 1.0)  # where 1 turns into 2 … 4 into 5
    feature_sd: float = 0.8
    rater_sd: float = 0.5  # leniency
    rater_by_arm: float = 0.0  # how much raters differ in what they make of an arm
    residual_sd: float = 0.8
    noise_sd: float = 0.0  # of the logarithm of a rater's own residual SD
    single_token: Mapping[str, float] = field(
        default_factory=dict
    )  # share of an arm's features that are of one single token
    single_token_effect: float = 0.0
    rarity_effect: float = 0.0  # a feature of the rarest tenth is this much above one of the commonest
    skips: Mapping[str, float] = field(default_factory=dict)  # chance that a page of the arm is skipped
    careless: float = 0.0  # share of raters who answer at random
    careless_seconds: float = 1.0  # that they take for a question, in the middle
    slip: float = 0.02  # chance that a careful rater fails a page with a known answer
    strengths: Mapping[str, float] = field(default_factory=dict)  # β of Davidson's model
    strength_sd: float = 0.0  # of a feature's own β around its arm's
    side: float = 0.0  # γ, in favour of the left
    ties: float = 0.8  # ν
    neither: float = 0.3  # share of the ties that are called "neither"
    found: Mapping[str, float] = field(
        default_factory=dict
    )  # chance that an arm's intruders are found; 1 in 5 where unset
    found_sd: float = 0.3  # among features of an arm whose chance is not that of a lottery
    guessing: Guessing = field(default_factory=Guessing)

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.shares)

    def rate(self, arm: str) -> float:
        """π of an arm: the share of interpretable answers where a skip is none."""
        return self.shares[arm] * (1 - self.skips.get(arm, 0.0))

    def mean(self, arm: str) -> float:
        """The arm's latent mean, by halving."""
        return _mean(self._shape(arm), self.shares[arm])

    def rate_given(self, arm: str, shift: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """π of an arm for given raters, over its features: `shift` is leniency and rater × arm, `noise` a factor."""
        effects, weights = self.effects(arm)
        spread = np.hypot(self.feature_sd, self.residual_sd * noise)[..., None]
        reached = normal_cdf((self.mean(arm) + shift[..., None] + effects) / spread) @ weights
        return np.asarray(reached * (1 - self.skips.get(arm, 0.0)))

    def effects(self, arm: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The latent effects of decile and single-token flag in an arm, and how often each occurs: `[kind]`."""
        single = self.single_token.get(arm, 0.0)
        decile = self.rarity_effect * (0.5 - np.arange(DECILES) / (DECILES - 1))
        effects = np.r_[decile, decile + self.single_token_effect]
        return effects, np.repeat([1 - single, single], DECILES) / DECILES

    def score(self, latent: NDArray[np.float64]) -> NDArray[np.int8]:
        """Scores 1 to 5 of latent values."""
        return (1 + np.searchsorted(np.array(self.thresholds), latent)).astype(np.int8)

    def preference(self, eta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The chances that the left page is preferred and that there is a tie, by Davidson; η = β_left − β_right + γ."""
        left, right = np.exp(eta / 2), np.exp(-eta / 2)
        whole = left + right + self.ties
        return left / whole, self.ties / whole

    def chances(self, arm: str, number: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Of each of so many features, the chance that its intruders are found: `[feature]`."""
        mean = self.found.get(arm, 1 / PIECES)
        if not self.found_sd or math.isclose(mean, 1 / PIECES):
            return np.full(number, mean)
        size = mean * (1 - mean) / self.found_sd**2 - 1
        if size <= 0:
            raise ValueError(f"chances around {mean:g} cannot have an SD of {self.found_sd:g}")
        return rng.beta(mean * size, (1 - mean) * size, number)

    def _shape(self, arm: str) -> tuple[tuple[float, float, float], ...]:
        """The mixture of normals that an arm's latent values are, but for its mean: (place, SD, weight)."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES if self.noise_sd else 1)
        return tuple(
            (
                float(effect),
                math.hypot(
                    self.feature_sd, self.rater_sd, self.rater_by_arm, self.residual_sd * math.exp(self.noise_sd * node)
                ),
                float(share * weight / weights.sum()),
            )
            for effect, share in zip(*self.effects(arm), strict=True)
            if share
            for node, weight in zip(nodes.tolist(), weights, strict=True)
        )


@lru_cache(maxsize=256)
def _mean(shape: tuple[tuple[float, float, float], ...], share: float) -> float:
    low, high = -20.0, 20.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        reached = sum(weight * NORMAL.cdf((middle + place) / sd) for place, sd, weight in shape)
        low, high = (middle, high) if reached < share else (low, middle)
    return (low + high) / 2


def normal_cdf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Φ of each entry."""
    flat = np.array([math.erf(value) for value in (x.ravel() / math.sqrt(2)).tolist()])
    return np.asarray((1 + flat.reshape(x.shape)) / 2)
