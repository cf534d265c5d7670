"""STUDY.toml as small models: arms, tasks, sampling, rules, texts. Unknown keys are refused; every message names its key.

Freezing stores `Protocol.canonical()`, all defaults filled in, and its SHA-256: the file may be lost, the design not.
"""

import json
import re
from typing import Literal, Self

from pydantic import Field, model_validator

from app.study.blinding import canonical_json
from app.study.rules import Catch, Estimand, Exclusions, Guess, Practice, Repeats, Sampling
from app.study.section import Section, Slug
from app.study.tasks import IntruderTask, PageLayout, PageTask, PairMix, PairTask, Tasks
from app.study.texts import INSTRUCTIONS, Texts

__all__ = [
    "INSTRUCTIONS",
    "Arm",
    "Control",
    "IntruderTask",
    "PageLayout",
    "PageTask",
    "PairMix",
    "PairTask",
    "Protocol",
    "Slug",
    "Tasks",
    "Texts",
]

VERSION = 2  # of the canonical JSON
Control = Literal["null", "planted"]
READ_AS_MISSING = frozenset({"na", "nan", "null", "none", "n-a"})  # by pandas or R, when they read a CSV
# What exports and guesses use for themselves. An arm of such a name could not be told from it.
RESERVED = frozenset({"catch", "practice", "unknown"})


class Arm(Section):
    """One of the things compared: features of one or more dictionaries, or a control."""

    name: Slug
    dictionaries: list[Slug] = Field(
        default=[], description="Names in the feature store; features are spread evenly over them."
    )
    control: Control | None = Field(
        default=None,
        description='"null": another feature\'s highlights on random contexts; "planted": one single token, repeated.',
    )

    @model_validator(mode="after")
    def is_one_thing(self) -> Self:
        if bool(self.dictionaries) == bool(self.control):
            raise ValueError("an arm has either dictionaries or a control; give one of the two")
        if len(set(self.dictionaries)) < len(self.dictionaries):
            raise ValueError("an arm names a dictionary twice; name each once")
        if self.name in READ_AS_MISSING:
            raise ValueError(f"pandas or R would read the arm name {self.name!r} as a missing value; choose another")
        if self.name in RESERVED:
            raise ValueError(f"exports use the name {self.name!r} for themselves; choose another")
        return self


class Protocol(Section):
    """A whole STUDY.toml."""

    name: Slug = Field(description="Stands in addresses and exports.")
    title: str = Field(min_length=1, max_length=120, description="Raters see it: name no arm in it.")
    seed: int = Field(default=0, ge=0, description="Every drawing and order follows from it.")
    raters_per_item: int = Field(default=3, ge=1, le=1000, description="Ratings accepted for each item.")
    items_per_rater: int | None = Field(
        default=None, ge=1, description="Items one rater is asked at most, checks and repeats aside; unset: no bound."
    )
    lease_minutes: int = Field(
        default=30, ge=1, le=10_080, description="How long an item is kept for a rater who has opened it."
    )
    dwell_seconds: float = Field(
        default=0, ge=0, le=60, description="An answer that comes sooner after its question was shown is refused."
    )
    arms: list[Arm] = Field(alias="arm", min_length=1)
    layout: PageLayout = PageLayout()
    sampling: Sampling = Sampling()
    tasks: Tasks
    repeats: Repeats = Repeats()
    catch: Catch = Catch()
    practice: Practice = Practice()
    guess: Guess = Guess()
    estimand: Estimand | None = None
    exclusions: Exclusions = Exclusions()
    texts: Texts = Texts()

    @model_validator(mode="after")
    def names_fit(self) -> Self:
        for what, names in (
            ("are named", [arm.name for arm in self.arms]),
            ("show the dictionary", [name for arm in self.arms for name in arm.dictionaries]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two [[arm]] entries {what} {twice[0]!r}; give each its own")
        if not self.real_arms:
            raise ValueError("every arm is a control; add an [[arm]] with dictionaries")
        if self.tasks.pair:
            self._check_pairs(self.tasks.pair)
        if self.estimand:
            self._check_estimand(self.estimand)
        if self.practice.intruders and not self.tasks.intruder:
            raise ValueError("practice.intruders needs [tasks.intruder]; add it, or set 0")
        return self

    @model_validator(mode="after")
    def texts_are_blind(self) -> Self:
        secret = {arm.name for arm in self.arms} | {name for arm in self.arms for name in arm.dictionaries}
        texts = {f"texts.{key}": text for key, text in self.texts.model_dump().items()}
        for key, text in {"title": self.title, **texts}.items():
            for word in sorted(secret):
                if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text, re.IGNORECASE):
                    raise ValueError(
                        f"{key}, which raters read, says {word!r}, which names an arm or dictionary; rename one of them"
                    )
        return self

    def _check_pairs(self, task: PairTask) -> None:
        real = [arm.name for arm in self.real_arms]
        for left, right in task.contrasts:
            for name in (left, right):
                if name not in real:
                    raise ValueError(
                        f"tasks.pair.contrasts names {name!r}; it should be an arm with dictionaries: {', '.join(real)}"
                    )
            if left == right:
                raise ValueError(f"tasks.pair.contrasts sets {left!r} against itself; tasks.pair.mix.same does that")
        if task.mix.control and not self.controls:
            raise ValueError(
                "tasks.pair.mix.control asks for pairs with a control, but no [[arm]] is one; add it, or set 0"
            )

    def _check_estimand(self, estimand: Estimand) -> None:
        real = [arm.name for arm in self.real_arms]
        for key, name in (("trained", estimand.trained), ("random", estimand.random)):
            if name not in real:
                raise ValueError(
                    f"estimand.{key} names {name!r}; it should be an arm with dictionaries: {', '.join(real)}"
                )
        null = [arm.name for arm in self.controls if arm.control == "null"]
        if estimand.null not in null if estimand.null else len(null) != 1:
            raise ValueError(
                'estimand.null should name an arm with control = "null"; '
                + (f"there are {', '.join(null)}" if null else "add one: without it no score means anything")
            )

    @property
    def real_arms(self) -> list[Arm]:
        """Arms with dictionaries, as they come in the file."""
        return [arm for arm in self.arms if not arm.control]

    @property
    def controls(self) -> list[Arm]:
        return [arm for arm in self.arms if arm.control]

    @property
    def null_arm(self) -> str | None:
        """The arm that stands for nothing: the estimand's, or else the first null control."""
        if self.estimand and self.estimand.null:
            return self.estimand.null
        return next((arm.name for arm in self.controls if arm.control == "null"), None)

    def canonical(self, feature_digest: str) -> str:
        """The frozen design as canonical JSON: defaults filled in, with the digest of the feature store it drew on."""
        return canonical_json({"version": VERSION, "feature_digest": feature_digest, **self.model_dump(mode="json")})

    @classmethod
    def from_canonical(cls, text: str) -> Self:
        """The design of a frozen study. Raises ValueError where another version of dartboard wrote it."""
        stored = json.loads(text)
        if stored.pop("version", None) != VERSION:
            raise ValueError("the protocol was written by another version of dartboard")
        stored.pop("feature_digest")
        stored["arm"] = stored.pop("arms")
        return cls.model_validate(stored, strict=False)
