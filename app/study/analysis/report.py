"""What an analysis says, as frozen dataclasses all the way down: `dataclasses.asdict` gives what JSON can hold.

Shares are from 0 to 1, scores from 1 to 5, times in seconds. docs/analysis.md explains every figure.
"""

from dataclasses import dataclass
from typing import Literal

from app.study.analysis.design import Design, Kind, Role
from app.study.analysis.figures import Criterion, Figure
from app.study.analysis.parts import (
    Agreement,
    Blinding,
    Intruders,
    MachineAgreement,
    Pairs,
    RaterQuality,
    TimeOnTask,
)

Code = Literal["not-assessable", "retained", "different", "equivalent", "undecided"]
Scope = Literal["panel", "population"]
By = Literal["single token", "frequency", "corpus", "third"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it came out, in one sentence. `scope`: for these raters alone, or for raters at large.

    `about_as`: whether "about as interpretable" may be said, which needs both the scores and the intruders. `notes` say
    what else the figures show, and what weakens them.
    """

    code: Code
    sentence: str
    scope: Scope
    about_as: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RaterContrast:
    """One rater's own shares of interpretable pages, and their difference, random less trained."""

    rater: str
    trained: float | None
    random: float | None
    null: float | None
    difference: float | None
    answers: int


@dataclass(frozen=True, slots=True)
class Headline:
    """Gate: lower bound of π_T − π_0 above its limit. Retention: lower bound of ψ above 0. Difference: π_R − π_T, two-sided.

    Equivalence: its interval of level 1 − 2α within ±limit. `ratio` is (π_R − π_0)/(π_T − π_0) by Fieller. `intruder`:
    the same interval of the shares of intruders found; None where the study asks for none.
    """

    gate: Criterion
    retention: Criterion
    difference: Criterion  # limit 0: met where the interval excludes it
    equivalence: Criterion
    ratio: Figure
    intruder: Criterion | None
    raters: tuple[RaterContrast, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One page: the answers of its raters. `scores` has None for a skip; `share` counts a skip as not interpretable."""

    item: str
    dictionary: str | None
    feature: int | None
    decile: int | None
    single_token: bool | None
    share: float
    mean: float | None
    scores: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class ArmResult:
    """Solo pages of one arm. `counts[s]`: answers with score s + 1. `interpretable`: π; `mean`: of the scores given."""

    name: str
    kind: Kind
    role: Role
    pages: int
    answers: int
    skips: int
    counts: tuple[int, ...]
    interpretable: Figure
    mean: Figure
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class DictionaryResult:
    """Solo pages of one dictionary of an arm."""

    arm: str
    dictionary: str
    pages: int
    interpretable: Figure


@dataclass(frozen=True, slots=True)
class Contrast:
    """π of the first less that of the second; each is an arm, or a dictionary of an arm."""

    first: str
    second: str
    of: Literal["arms", "dictionaries"]
    difference: Figure


@dataclass(frozen=True, slots=True)
class Variant:
    """The headline's figures under another rule. The first is the declared one."""

    name: str
    title: str
    raters: int
    gate: Figure
    retention: Figure
    difference: Figure
    code: Code | None  # the verdict that these figures alone would give


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """`superiority`: P(R > T) + ½ P(R = T) within raters; `log_odds`: R against T by a cumulative link model;
    `crossed`: the same by a model with crossed random effects, where it was asked for.
    """

    variants: tuple[Variant, ...]
    superiority: Figure
    log_odds: Figure
    others: tuple[Variant, ...]  # each other arm with features in the random arm's place
    crossed: Figure | None = None


@dataclass(frozen=True, slots=True)
class Stratum:
    """Shares of interpretable pages, or of intruders found, in a part of the items."""

    by: By
    level: str
    task: Literal["page", "intruder"]
    trained: Figure
    random: Figure
    difference: Figure


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything. `excluded` raters' answers are left out of all but `raters`, `times` and the variant that says so."""

    study: str
    protocol_hash: str
    key_commitment: str
    chain_head: str
    seed: int
    resamples: int
    design: Design
    scope: Scope
    raters_counted: int
    verdict: Verdict
    headline: Headline
    arms: tuple[ArmResult, ...]
    dictionaries: tuple[DictionaryResult, ...]
    contrasts: tuple[Contrast, ...]
    sensitivity: Sensitivity
    strata: tuple[Stratum, ...]
    pairs: Pairs | None
    intruders: Intruders | None
    agreement: Agreement
    blinding: Blinding
    raters: tuple[RaterQuality, ...]
    times: tuple[TimeOnTask, ...]
    machine: tuple[MachineAgreement, ...]
    warnings: tuple[str, ...]
