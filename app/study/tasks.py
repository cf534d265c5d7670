"""The tables of a STUDY.toml that say what raters are asked: page, pair, intruder, and how a page looks."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from app.study.section import Section, Share, Slug

Part = Literal["top", "q1", "q2", "q3", "q4", "q5"]
"""Of a feature's contexts: its strongest ones, or a fifth of all of them by rank, `q1` the strongest fifth."""
PARTS: tuple[Part, ...] = ("top", "q1", "q2", "q3", "q4", "q5")


class PageLayout(Section):
    """What a page shows, the same for every arm."""

    contexts: int = Field(default=4, ge=1, le=20, description="Contexts in each block.")
    width: int = Field(default=32, ge=5, le=512, description="Tokens of each context that are shown.")
    quantiles: list[Part] = Field(
        default=["top", "q3", "q5"],
        min_length=1,
        description="The blocks, strongest first: `top`, or a fifth of the feature's contexts by rank.",
    )
    second_share: Share = Field(
        default=0.0, description="Share of the first block's contexts that come from the site's second text."
    )

    @model_validator(mode="after")
    def goes_downwards(self) -> Self:
        if self.quantiles != [part for part in PARTS if part in self.quantiles]:
            raise ValueError(f"quantiles should name each block once, strongest first: some of {', '.join(PARTS)}")
        if self.second_share and self.quantiles[0] != "top":
            raise ValueError("second_share takes contexts of the block `top`; put it first in quantiles")
        return self

    @property
    def second(self) -> int:
        """How many contexts of the first block come from the second text."""
        return round(self.second_share * self.contexts)


class PageTask(Section):
    """One page alone."""

    features: int = Field(ge=1, le=10_000, description="Solo pages an arm.")
    explanation: bool = Field(default=False, description="Ask for the pattern in the rater's words, before the score.")
    confidence: bool = Field(default=False, description="Ask how sure the rater is, after the score.")


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
    """Two pages side by side."""

    pairs: int = Field(ge=1, le=10_000, description="Pairs in all.")
    contrasts: list[Annotated[tuple[Slug, Slug], Strict(False)]] = Field(
        min_length=1, description="Pairs of arms that are compared."
    )
    mix: PairMix = PairMix()


class IntruderTask(Section):
    """Four contexts of one feature and one of none: which is it?"""

    features: int = Field(ge=1, le=10_000, description="Features an arm.")
    trials: int = Field(
        default=2, ge=1, le=2, description="Trials from each third of a feature's range: top, middle, low."
    )
    width: int = Field(default=32, ge=5, le=512, description="Tokens of each context that are shown.")


class Tasks(Section):
    page: PageTask | None = None
    pair: PairTask | None = None
    intruder: IntruderTask | None = None

    @model_validator(mode="after")
    def has_one(self) -> Self:
        if self.page is None and self.pair is None and self.intruder is None:
            raise ValueError("a study needs a task; add [tasks.page], [tasks.pair] or [tasks.intruder]")
        return self
