"""What an analysis says, as frozen dataclasses all the way down: `dataclasses.asdict` gives what JSON can hold.

Shares are from 0 to 1, scores from 1 to 5, times in seconds. docs/analysis.md explains every figure.
"""

from dataclasses import dataclass
from typing import Literal

from app.study.analysis.design import Design, Kind, Role
from app.study.analysis.figures import Figure

Code = Literal["not-assessable", "retained", "different", "equivalent", "undecided"]
Scope = Literal["panel", "population"]


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
class Criterion:
    """A figure that was to meet a limit; `met` is None where it can't be told."""

    figure: Figure
    limit: float
    met: bool | None


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

    by: Literal["single token", "frequency", "third", "corpus"]
    level: str
    task: Literal["page", "intruder"]
    trained: Figure
    random: Figure
    difference: Figure


@dataclass(frozen=True, slots=True)
class Preference:
    """Pairs of one arm against another. `net`: (wins of first − wins of second) / n; "neither" counts as a tie."""

    first: str
    second: str
    wins: int
    ties: int
    neither: int
    losses: int
    skips: int
    net: Figure
    score_gap: Figure  # mean score of first less that of second, given side by side


@dataclass(frozen=True, slots=True)
class Strength:
    """An arm's β in the Davidson model, against the trained arm, whose β is 0 (or, without one, the first)."""

    arm: str
    beta: Figure


@dataclass(frozen=True, slots=True)
class Pairs:
    preferences: tuple[Preference, ...]
    strengths: tuple[Strength, ...]
    side: Figure  # γ: above 0, the left page is preferred
    tie: Figure  # ν
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IntruderArm:
    """Each feature's share of intruders found, averaged over the thirds; `thirds`: top, middle, low by themselves."""

    name: str
    features: int
    answers: int
    skips: int
    found: Figure
    thirds: tuple[tuple[str, Figure], ...]


@dataclass(frozen=True, slots=True)
class Intruders:
    arms: tuple[IntruderArm, ...]
    difference: Figure  # random less trained, two-sided
    null: Criterion | None  # of the trials answered: the interval should hold one in five
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Ordinal Krippendorff α among raters, of all solo pages and by arm; and raters with themselves, on repeats."""

    alpha: Figure
    by_arm: tuple[tuple[str, Figure], ...]
    repeats: int
    same: Figure  # share of repeated pages scored alike
    within_one: Figure
    same_side: Figure  # share of repeated pages that stay interpretable, or not
    retest_alpha: Figure
    kappa: Figure  # Cohen's, quadratic weights


@dataclass(frozen=True, slots=True)
class GuessArm:
    """Bang's index of one arm: share right less share wrong / (K − 1). 0 by chance, 1 where all are right."""

    name: str
    guesses: int
    right: int
    wrong: int
    unknown: int
    index: Figure


@dataclass(frozen=True, slots=True)
class Leak:
    """How well pages of two arms are told apart without reading: the area under the curve, .5 where they are not."""

    first: str
    second: str
    what: str  # "text": lengths and unique tokens; "all": highlights too
    auc: Figure
    best: str  # the one measure that separates best by itself


@dataclass(frozen=True, slots=True)
class Blinding:
    """`conditional`: guess–arm association within each rater's own score level; the verdict uses this one."""

    arms: tuple[GuessArm, ...]
    conditional: Figure
    verdict: str
    leaks: tuple[Leak, ...]


@dataclass(frozen=True, slots=True)
class RaterQuality:
    """What a rater is judged by, and whether all of the rater's answers are left out."""

    rater: str
    source: str | None
    answers: int
    skips: int
    catch_seen: int
    catch_wrong: int
    median_seconds: float | None
    staff: bool
    excluded: bool
    why: str


@dataclass(frozen=True, slots=True)
class TimeOnTask:
    """Seconds from showing to answer, by the server's clock: quartiles over first answers."""

    task: str
    arm: str  # of a pair: both arms
    answers: int
    lower: float | None
    median: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class MachineAgreement:
    """Spearman's rank correlation between a feature's mean human score and a machine score, in one arm or in all."""

    measure: str
    arm: str  # "" for all arms with features
    correlation: Figure


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
