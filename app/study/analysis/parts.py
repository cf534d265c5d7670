"""What an analysis says of pairs, intruders, agreement, blinding, raters and machine scores, as frozen dataclasses.

`report.py` has the rest, and puts them together. docs/analysis.md explains every figure.
"""

from dataclasses import dataclass

from app.study.analysis.figures import Criterion, Figure


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
