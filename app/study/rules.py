"""The tables of a STUDY.toml that say how rating goes and how it will be judged: sampling, repeats, checks, estimand."""

from typing import Self

from pydantic import Field, model_validator

from app.study.section import Section, Share, Slug

LEAST_GUESSED = 5  # pages an arm: fewer say nothing about what a rater can tell apart


class Sampling(Section):
    """How features are drawn."""

    strata: int = Field(
        default=10, ge=1, le=20, description="Equal parts of each dictionary by firing frequency, drawn from alike."
    )


class Repeats(Section):
    """Items that come a second time, unannounced: how far a rater agrees with herself."""

    share: Share = Field(default=0.1, description="Share of a rater's items that come once more.")
    distance: int = Field(default=30, ge=1, le=1000, description="Questions that lie between, at least.")


class Catch(Section):
    """Pages with a known answer, mixed in unmarked. Few: many would teach that one token means 5."""

    planted: int = Field(default=0, ge=0, le=20, description="Pages on which one single token is marked throughout.")
    instructed: int = Field(default=0, ge=0, le=20, description="Pages whose text says which score to give.")


class Practice(Section):
    """Questions with known answers and feedback, which every rater must get right before the study begins."""

    pages: int = Field(default=0, ge=0, le=10, description="Pages on which one single token is marked throughout.")
    intruders: int = Field(default=0, ge=0, le=10, description="Intruder trials on single tokens.")


class Guess(Section):
    """After the close, fresh pages: raters score them, learn which arms there were, and say which arm each is of."""

    pages: int = Field(default=0, ge=0, le=20, description="Fresh pages an arm; 0 for no such round, else 5 or more.")

    @model_validator(mode="after")
    def is_enough(self) -> Self:
        if 0 < self.pages < LEAST_GUESSED:
            raise ValueError(f"pages is {self.pages}; a guessing round needs {LEAST_GUESSED} or more an arm, or 0")
        return self


class Estimand(Section):
    """What the study is to find out, said before the first rating. docs/concepts.md has the formulas."""

    trained: Slug = Field(description="The arm of trained features.")
    random: Slug = Field(description="The arm that is compared with it.")
    null: Slug | None = Field(default=None, description="The null arm; the only control of that kind where unset.")
    retention: Share = Field(default=0.8, description="Share of the trained arm's gain over null that is to be kept.")
    gate: Share = Field(default=0.1, description="The trained arm's gain over null must exceed this to be assessable.")
    equivalence: Share = Field(default=0.1, description="Shares of interpretable pages this close count as equal.")
    intruder: Share = Field(default=0.1, description="Shares of intruders found this close count as equal.")
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="Error rate of every one-sided bound.")

    @model_validator(mode="after")
    def are_different(self) -> Self:
        if len({self.trained, self.random, self.null}) < 3:
            raise ValueError("trained, random and null should be three arms")
        return self


class Exclusions(Section):
    """When a rater's answers are left out, all of them. The analysis is shown with and without."""

    catch_wrong: int = Field(default=1, ge=0, description="More wrong answers than this on pages with a known answer.")
    median_seconds: float = Field(
        default=2.0, ge=0, description="A median time on a question below this, by the server's clock."
    )
