"""STUDY.toml as small models: arms, tasks, sampling, texts. Unknown keys are refused; every message names its key.

Freezing stores `Protocol.canonical()`, all defaults filled in, and its SHA-256: the file may be lost, the design not.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from app.study.blinding import canonical_json

VERSION = 1  # of the canonical JSON
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Share = Annotated[float, Field(ge=0, le=1)]
READ_AS_MISSING = frozenset({"na", "nan", "null", "none", "n-a"})  # by pandas or R, when they read a CSV

INSTRUCTIONS = """\
You will see **pages**. Each page belongs to one detector, a part of a computer's model of English, and shows pieces of
text in which it responded. The more strongly a word is coloured, the stronger the response; the strongest word of each
piece is outlined. A page has three groups: where the detector responded most strongly, in the middle of its range,
and weakly.

**On a single page**, ask: what do the marked words, or the places where they stand, have in common? Then rate it from 1
(no pattern that I could name) to 5 (one clear pattern, and every piece fits it). Give most weight to patterns that
hold in all three groups.

**On two pages side by side**, rate each of them in the same way, then say which one is the more coherent: left, right,
a tie, or neither where no page has a pattern.

There are no right answers to find out, and some pages have no pattern at all. Your first impression after reading is
what counts: about a minute a page is plenty. You can take your last answer back, and you can stop at any time and go on
later by the same link.
"""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Arm(Section):
    """One of the things compared: features of one or more dictionaries, or a control."""

    name: Slug
    dictionaries: list[Slug] = Field(
        default=[], description="Names in the feature store; features are spread evenly over them."
    )
    control: Literal["null"] | None = Field(
        default=None, description='"null": pages with another feature\'s highlights on random contexts.'
    )

    @model_validator(mode="after")
    def is_one_thing(self) -> Self:
        if bool(self.dictionaries) == bool(self.control):
            raise ValueError("an arm has either dictionaries or a control; give one of the two")
        if len(set(self.dictionaries)) < len(self.dictionaries):
            raise ValueError("an arm names a dictionary twice; name each once")
        if self.name in READ_AS_MISSING:
            raise ValueError(f"pandas or R would read the arm name {self.name!r} as a missing value; choose another")
        return self


class PageLayout(Section):
    """What a page shows, the same for every arm."""

    contexts: int = Field(default=4, ge=1, le=20, description="Contexts in each block: strongest, middle, weakest.")
    width: int = Field(default=32, ge=5, le=512, description="Tokens of each context that are shown.")


class PageTask(Section):
    features: int = Field(ge=1, le=10_000, description="Solo pages an arm.")


class PairMix(Section):
    """Shares of the pairs, by what stands against what."""

    between: Share = Field(default=0.6, description="The two arms of a contrast.")
    same: Share = Field(
        default=0.2, description="One arm against itself, or raters infer that each pair holds one of each."
    )
    control: Share = Field(default=0.2, description="An arm against a control.")

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        if abs(self.between + self.same + self.control - 1) > 1e-9:
            raise ValueError(f"the shares add up to {self.between + self.same + self.control:g}; make them add up to 1")
        return self


class PairTask(Section):
    pairs: int = Field(ge=1, le=10_000, description="Pairs in all.")
    contrasts: list[Annotated[tuple[Slug, Slug], Strict(False)]] = Field(
        min_length=1, description="Pairs of arms that are compared."
    )
    mix: PairMix = PairMix()


class Tasks(Section):
    page: PageTask | None = None
    pair: PairTask | None = None

    @model_validator(mode="after")
    def has_one(self) -> Self:
        if self.page is None and self.pair is None:
            raise ValueError("a study needs a task; add [tasks.page], [tasks.pair] or both")
        return self


class Texts(Section):
    instructions: str = Field(
        default=INSTRUCTIONS, min_length=1, description="Markdown, shown before the first question."
    )


class Protocol(Section):
    """A whole STUDY.toml."""

    name: Slug = Field(description="Stands in addresses and exports.")
    title: str = Field(min_length=1, max_length=120, description="Raters see it: name no arm in it.")
    seed: int = Field(default=0, ge=0, description="Every drawing and order follows from it.")
    raters_per_item: int = Field(default=3, ge=1, le=1000, description="Ratings accepted for each item.")
    lease_minutes: int = Field(
        default=30, ge=1, le=10_080, description="How long an item is kept for a rater who has opened it."
    )
    arms: list[Arm] = Field(alias="arm", min_length=1)
    layout: PageLayout = PageLayout()
    tasks: Tasks
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
        return self

    @model_validator(mode="after")
    def texts_are_blind(self) -> Self:
        secret = {arm.name for arm in self.arms} | {name for arm in self.arms for name in arm.dictionaries}
        for key, text in (("title", self.title), ("texts.instructions", self.texts.instructions)):
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

    @property
    def real_arms(self) -> list[Arm]:
        """Arms with dictionaries, as they come in the file."""
        return [arm for arm in self.arms if not arm.control]

    @property
    def controls(self) -> list[Arm]:
        return [arm for arm in self.arms if arm.control]

    def canonical(self, feature_digest: str) -> str:
        """The frozen design as canonical JSON: defaults filled in, with the digest of the feature store it drew on."""
        return canonical_json({"version": VERSION, "feature_digest": feature_digest, **self.model_dump(mode="json")})
