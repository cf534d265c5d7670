"""Thousands of simulated studies at once, as arrays: what the simulation checks of the analysis are made on.

found = scores(truth, features=80, raters=3, studies=2000, rng)
found.answers["trained"]  # [study, feature, rater]: 1 to 5, 0 for a skip
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.study.simulated.truth import DECILES, INTERPRETABLE, Truth

SKIPPED = 0
LEFT, TIE, RIGHT = 1, 0, -1


@dataclass(frozen=True, slots=True)
class Scores:
    """By arm, `answers[study, feature, rater]`, and what is true of these very raters over all features: `rates[study]`."""

    answers: dict[str, NDArray[np.int8]]
    rates: dict[str, NDArray[np.float64]]


def scores(
    truth: Truth, features: int | Mapping[str, int], raters: int, studies: int, rng: np.random.Generator
) -> Scores:
    """Solo pages that every rater scores; so many features an arm."""
    leniency = rng.normal(0, truth.rater_sd, (studies, raters))
    noise = np.exp(rng.normal(0, truth.noise_sd, (studies, raters)))
    careless = rng.random((studies, raters)) < truth.careless
    answers, rates = {}, {}
    for arm in truth.arms:
        number = features if isinstance(features, int) else features[arm]
        shift = leniency + rng.normal(0, truth.rater_by_arm, (studies, raters))
        size = (studies, number, raters)
        latent = truth.mean(arm) + _features(truth, arm, studies, number, rng)[..., None] + shift[:, None]
        latent = latent + rng.normal(0, truth.residual_sd, size) * noise[:, None]
        given = truth.score(latent)
        if truth.careless:
            given = np.where(careless[:, None], rng.integers(1, 6, size, np.int8), given)
        if skips := truth.skips.get(arm):
            given = np.where(rng.random(size) < skips, np.int8(SKIPPED), given)
        answers[arm] = given
        rates[arm] = truth.rate_given(arm, shift, noise).mean(1)
    return Scores(answers, rates)


def _features(truth: Truth, arm: str, studies: int, number: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The latent effects of features: `[study, feature]`."""
    own = rng.normal(0, truth.feature_sd, (studies, number))
    if truth.rarity_effect or truth.single_token_effect:
        effects, weights = truth.effects(arm)
        own = own + effects[rng.choice(2 * DECILES, (studies, number), p=weights)]
    return own


@dataclass(frozen=True, slots=True)
class Choices:
    """Pairs of one arm with another, `[study, pair, rater]`: whether the first arm stood left, and which side was preferred."""

    first_left: NDArray[np.bool_]
    choice: NDArray[np.int8]  # LEFT, TIE or RIGHT


def pairs(
    truth: Truth, first: str, second: str, number: int, raters: int, studies: int, rng: np.random.Generator
) -> Choices:
    """So many pairs that every rater answers; sides are balanced to within one for each rater."""
    size = (studies, number, raters)
    first_left = np.argsort(np.argsort(rng.random(size), axis=1), axis=1) % 2 == 0
    gap = truth.strengths.get(first, 0.0) - truth.strengths.get(second, 0.0)
    beta = gap + rng.normal(0, truth.strength_sd * 2**0.5, (studies, number, 1))
    wins, ties = truth.preference(np.where(first_left, beta, -beta) + truth.side)
    lot = rng.random(size)
    return Choices(first_left, np.where(lot < wins, LEFT, np.where(lot < wins + ties, TIE, RIGHT)).astype(np.int8))


def intruders(
    truth: Truth, features: int, trials: int, studies: int, rng: np.random.Generator, thirds: int = 1
) -> dict[str, NDArray[np.int8]]:
    """By arm, how many of a feature's so many trials of each third are right: `[study, feature, third]`."""
    chances = {arm: truth.chances(arm, studies * features, rng) for arm in truth.arms}
    size = (studies, features, thirds)
    return {
        arm: rng.binomial(trials, chance.reshape(studies, features, 1), size).astype(np.int8)
        for arm, chance in chances.items()
    }


@dataclass(frozen=True, slots=True)
class Guesses:
    """`[study, rater, page]`: the page's arm, its score, and the arm guessed (−1: don't know), as places in `truth.arms`."""

    arms: NDArray[np.int8]
    scores: NDArray[np.int8]
    guessed: NDArray[np.int8]


def guesses(truth: Truth, pages: int, raters: int, studies: int, rng: np.random.Generator) -> Guesses:
    """The guessing round: fresh pages that everybody scores, so many an arm, and then guesses. The first arm is the trained."""
    made = scores(truth, pages, raters, studies, rng).answers
    given = np.concatenate([made[arm] for arm in truth.arms], axis=1).transpose(0, 2, 1)
    arms = np.broadcast_to(np.repeat(np.arange(len(made), dtype=np.int8), pages), given.shape)
    guessed = guess(truth, arms, given, rng)
    return Guesses(arms, given, guessed)


def guess(truth: Truth, arms: NDArray[np.int8], given: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int8]:
    """Guesses about pages of these arms that were given these scores, as `Guessing` says."""
    rule, size = truth.guessing, given.shape
    others = rng.integers(1, len(truth.arms), size, np.int8)
    first = rng.random(size) < np.where(given >= INTERPRETABLE, rule.clear, 1 - rule.clear)
    guessed = np.where(first, np.int8(0), others)
    guessed = np.where(rng.random(size) < rule.unsure, np.int8(-1), guessed)
    return np.where(rng.random(size) < rule.leak, arms, guessed).astype(np.int8)
