"""What the JSON API answers: one dataclass an answer. The OpenAPI document is made of these.

Figures are those of the pages; docs/measures.md says what each is.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

from app.store.features import Dictionary, Feature, Site, State
from app.store.scores import Explanation, Score

Pairs = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error: one sentence. `nearest`: the address of what there is in place of something that was not found."""

    error: str
    nearest: str | None = None


@dataclass(frozen=True, slots=True)
class DictionaryList:
    sites: list[Site]
    dictionaries: list[Dictionary]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a dictionary finds in another: see docs/measures.md on MMCS."""

    mmcs: float
    curves: dict[str, list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DictionaryDetail(Dictionary):
    """`states`: how many features are in each; `comparisons`: by the other dictionary's name."""

    site: Site
    states: dict[str, int]
    comparisons: dict[str, Compared]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRow:
    """A feature's figures."""

    index: int
    state: State
    count: int
    frequency: float
    contexts: int
    max: float
    min: float | None
    mean: float
    peak_entropy: float
    single_token: bool
    top_token: str
    histogram: dict[str, Any]
    decile_slope: float | None
    second_frequency: float | None
    second_stability: float | None
    outputs: dict[str, list[tuple[str, float]]] | None


@dataclass(frozen=True, slots=True)
class FeatureList:
    """A page of features; `next` is the address of the following one."""

    total: int
    page: int
    pages: int
    next: str | None
    features: list[FeatureRow]


@dataclass(frozen=True, slots=True)
class HitDetail:
    """One context; `activations` are [position, value] of each token that fires, `peak` the position of the largest."""

    context: int
    document: str
    held_out: bool
    peak: int
    value: float
    tokens: list[str]
    activations: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDetail(FeatureRow):
    """`neighbour` and `cofiring`: [feature, cosine or Jaccard index] by dictionary; `groups`: hits, strongest first.

    `scores` and `explanation`: by `dartboard scores` and `dartboard explain`; empty and null where those were not run.
    """

    dictionary: str
    neighbour: dict[str, Pairs]
    cofiring: dict[str, Pairs]
    groups: dict[str, list[HitDetail]]
    scores: list[Score]
    explanation: Explanation | None


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A feature found. `context`: one that shows why, `marked` the positions of the words in it."""

    feature: int
    top_token: str
    state: State
    words: str
    context: int | None
    marked: list[int]


@dataclass(frozen=True, slots=True)
class SearchGroup:
    """What one dictionary has. Without `dictionary` in the address the best few, and `next`, where there are more, is the
    address of the first of the `pages` of it alone.
    """

    dictionary: str
    total: int
    page: int
    pages: int
    next: str | None
    features: list[SearchHit]


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """`note`: one sentence on what was looked at, or why nothing was."""

    q: str
    by: Literal["text", "token", "output", "notes", "meaning"]
    note: str
    dictionaries: list[SearchGroup]


@dataclass(frozen=True, slots=True)
class ContextDetail:
    """A context and who fires in it: [feature, position of its peak, share of its largest activation], by dictionary."""

    context: int
    site: int
    document: str
    held_out: bool
    tokens: list[str]
    masked: list[int]
    features: dict[str, list[tuple[int, int, float]]]


def figures(feature: Feature) -> dict[str, Any]:
    """The fields of a FeatureRow."""
    return {field.name: getattr(feature, field.name) for field in fields(FeatureRow)}
