"""One simulated study's raters, who answer what they are asked as `Truth` says.

people = People(truth, items, raters=3, seed=0)
given = people.answer(0, item, flip=False)  # given.answer, given.milliseconds

They know the key, as no rater does: what they see in a page is drawn by its arm. Every explanation says that it is simulated.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from app.study.answers import (
    HIGHEST,
    LOWEST,
    PIECES,
    SKIPS,
    Answer,
    Choice,
    GuessAnswer,
    IntruderAnswer,
    PageAnswer,
    PairAnswer,
    Skip,
    Task,
)
from app.study.blinding import keyed
from app.study.frozen import FrozenItem, KeyRow
from app.study.simulated.arrays import guess
from app.study.simulated.truth import DECILES, Truth

EXPLANATION = "Simulated: no person wrote this."
SECONDS: dict[Task, float] = {"page": 25, "pair": 45, "intruder": 15, "guess": 6}  # median, of a careful rater
SPREAD = 0.5  # SD of the logarithm of the time an answer takes


@dataclass(frozen=True, slots=True)
class Given:
    answer: Answer
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Person:
    """What one rater brings along: leniency, what each arm adds to it, a factor of noise, and whether any care is taken."""

    leniency: float
    by_arm: dict[str, float]
    noise: float
    careless: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What is drawn for one feature: its latent place, its β, and the chance that its intruders are found."""

    latent: float
    strength: float
    chance: float


class People:
    """The raters of one study. The same truth, key and seed give the same answers to the same questions in the same order."""

    def __init__(self, truth: Truth, items: Iterable[FrozenItem], raters: int, seed: int) -> None:
        self.truth = truth
        self.rng = np.random.default_rng([seed, 1])
        drawn = np.random.default_rng([seed, 0])
        # Careless are as many as the share says, rounded, and not as chance has it: one study shows what was asked for.
        careless = set(drawn.permutation(raters)[: round(truth.careless * raters)].tolist())
        self.persons = [
            Person(
                drawn.normal(0, truth.rater_sd),
                {arm: drawn.normal(0, truth.rater_by_arm) for arm in truth.arms},
                float(np.exp(drawn.normal(0, truth.noise_sd))),
                number in careless,
            )
            for number in range(raters)
        ]
        self._seen: dict[str, Seen] = {}
        self._scores: dict[tuple[int, str], int] = {}  # by rater and item: what a guess follows
        self._seed = seed
        self._means = {arm: truth.mean(arm) for arm in truth.arms}
        for item in sorted(items, key=lambda item: item.public_id):
            for row in item.key:
                if row.arm in truth.shares:
                    self._seen.setdefault(_name(item, row), self._draw(item, row))

    def answer(self, rater: int, item: FrozenItem, *, flip: bool = False, guessing: bool = False) -> Given:
        """One rater's answer to an item; `flip` says that page "b" stood left. Call it once an answer: chance moves on."""
        person, task = self.persons[rater], item.task
        median = self.truth.careless_seconds if person.careless else SECONDS["guess" if guessing else task]
        milliseconds = round(1000 * median * float(np.exp(self.rng.normal(0, SPREAD))))
        if guessing:
            return Given(self._guess(rater, item), milliseconds)
        known = item.purpose in ("catch", "practice")
        if not known and self._chance(self._skips(item)):
            return Given(Skip(SKIPS[self.rng.integers(len(SKIPS))]), milliseconds)
        if task == "pair":
            return Given(self._pair(person, item, flip), milliseconds)
        if task == "intruder":
            return Given(IntruderAnswer(self._pick(person, item)), milliseconds)
        score = self._known(person, item) if known else self._score(person, item, item.key[0])
        self._scores[rater, item.public_id] = score
        sure = int(np.clip(1 + abs(score - 3) + self.rng.integers(0, 3), LOWEST, HIGHEST))
        return Given(PageAnswer(score, sure, EXPLANATION), milliseconds)

    def right(self, item: FrozenItem) -> Answer:
        """The answer that an item with a known one wants: what passes practice."""
        wanted = item.expected or {}
        if item.task == "intruder":
            return IntruderAnswer(wanted["pick"])
        return PageAnswer(wanted["lowest"], HIGHEST, EXPLANATION)

    def _chance(self, of: float) -> bool:
        return bool(self.rng.random() < of)

    def _skips(self, item: FrozenItem) -> float:
        return max(self.truth.skips.get(row.arm, 0.0) for row in item.key)

    def _any(self) -> int:
        return int(self.rng.integers(LOWEST, HIGHEST + 1))

    def _score(self, person: Person, item: FrozenItem, row: KeyRow) -> int:
        truth = self.truth
        if person.careless:
            return self._any()
        if row.arm not in truth.shares:  # planted, and other arms that the truth says nothing of: as clear as can be
            return HIGHEST
        latent = self._means[row.arm] + self._seen[_name(item, row)].latent + person.leniency + person.by_arm[row.arm]
        latent += person.noise * self.rng.normal(0, truth.residual_sd)
        return int(truth.score(np.array(latent)))

    def _known(self, person: Person, item: FrozenItem) -> int:
        wanted = item.expected or {"lowest": LOWEST, "highest": HIGHEST}
        if person.careless:
            return self._any()
        right = range(wanted["lowest"], wanted["highest"] + 1)
        rest = [score for score in range(LOWEST, HIGHEST + 1) if score not in right]
        return int(self.rng.choice(rest if rest and self._chance(self.truth.slip) else list(right)))

    def _pair(self, person: Person, item: FrozenItem, flip: bool) -> PairAnswer:
        left, right = item.key[::-1] if flip else item.key
        one, other = (self._score(person, item, row) for row in (left, right))
        if person.careless:
            return PairAnswer(one, other, ("left", "tie", "right", "neither")[self.rng.integers(4)])
        eta = self.truth.side + self._strength(item, left) - self._strength(item, right)
        wins, ties = (float(one) for one in self.truth.preference(np.array(eta)))
        lot = self.rng.random()
        choice: Choice = "left" if lot < wins else "right"
        if wins <= lot < wins + ties:
            choice = "neither" if self._chance(self.truth.neither) else "tie"
        return PairAnswer(one, other, choice)

    def _strength(self, item: FrozenItem, row: KeyRow) -> float:
        return self._seen[_name(item, row)].strength if row.arm in self.truth.shares else 0.0

    def _pick(self, person: Person, item: FrozenItem) -> int:
        [row] = item.key
        place = int((item.expected or {}).get("pick", row.stratum.get("intruder", 1)))
        chance = self._seen[_name(item, row)].chance if row.arm in self.truth.shares else 1 - self.truth.slip
        if person.careless:
            chance = 1 / PIECES
        others = [piece for piece in range(1, PIECES + 1) if piece != place]
        return place if self._chance(chance) else int(self.rng.choice(others))

    def _guess(self, rater: int, item: FrozenItem) -> GuessAnswer:
        arms = self.truth.arms
        sure = self._any()
        if item.key[0].arm not in arms:
            return GuessAnswer(None, sure)
        place = np.array([arms.index(item.key[0].arm)], np.int8)
        score = np.array([self._scores.get((rater, item.public_id), 0)], np.int8)
        guessed = int(guess(self.truth, place, score, self.rng)[0])
        return GuessAnswer(None if guessed < 0 else arms[guessed], sure)

    def _draw(self, item: FrozenItem, row: KeyRow) -> Seen:
        """A feature's own draw: the same whatever else is in the study."""
        truth = self.truth
        rng = np.random.default_rng(list(keyed(self._seed, "simulated feature", _name(item, row))))
        latent = rng.normal(0, truth.feature_sd)
        if "decile" in row.stratum:
            single = DECILES * bool(row.stratum.get("single_token"))
            latent += truth.effects(row.arm)[0][min(row.stratum["decile"], DECILES - 1) + single]
        strength = truth.strengths.get(row.arm, 0.0) + rng.normal(0, truth.strength_sd)
        return Seen(float(latent), float(strength), float(truth.chances(row.arm, 1, rng)[0]))


def _name(item: FrozenItem, row: KeyRow) -> str:
    """What tells features apart: their index in a dictionary. A control's page is one of its own."""
    return f"{row.dictionary} {row.feature}" if row.dictionary else f"{item.public_id} {row.page}"
