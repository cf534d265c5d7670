"""Whether pages of two arms can be told apart by what is seen without reading: lengths, highlights, unique tokens.

A logistic regression on those figures is fitted on one half of the pages and ranks the other; the area under the curve
(AUC) is the chance that it ranks a page of the second arm above one of the first: .5 where nothing tells them apart. (Folds
that take turns would use all pages, but what they say hangs together: of intervals made as if it did not, 30% missed.)
Highlights may well differ, since how a feature fires is what is studied; whatever else differs would be a leak.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.study.content import Page

TEXT = ("characters", "bytes", "unique tokens")
FIGURES = (*TEXT, "highlights", "sum of levels", "pieces with one highlight", "peak places")
LEAST = 20  # pages an arm
RESAMPLES = 1000
LEVEL = 0.95
RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class Auc:
    """An area under the curve with its interval; `figure` names the one that by itself separates best, and its own AUC."""

    value: float
    low: float
    high: float
    figure: str
    figure_value: float


def looks(page: Page) -> list[float]:
    """FIGURES of one page."""
    snippets = [snippet for block in page.blocks for snippet in block.snippets]
    text = ["".join(snippet.tokens) for snippet in snippets]
    lit = [sum(level > 0 for level in snippet.levels) for snippet in snippets]
    return [
        float(sum(map(len, text))),
        float(sum(len(one.encode()) for one in text)),
        float(len({token for snippet in snippets for token in snippet.tokens})),
        float(sum(lit)),
        float(sum(sum(snippet.levels) for snippet in snippets)),
        float(sum(count == 1 for count in lit)),
        float(sum(snippet.peak for snippet in snippets)),
    ]


def separation(
    first: Sequence[Page], second: Sequence[Page], seed: int = 0, figures: Sequence[str] = FIGURES
) -> Auc | None:
    """How well two arms' pages are told apart by some of FIGURES; None where an arm has fewer than LEAST."""
    if min(len(first), len(second)) < LEAST:
        return None
    x = np.array([looks(page) for page in (*first, *second)])[:, [FIGURES.index(figure) for figure in figures]]
    y = np.r_[np.zeros(len(first), bool), np.ones(len(second), bool)]
    x = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    rng = np.random.default_rng(seed)
    held = np.zeros(len(y), bool)
    for arm in (False, True):
        held[y == arm] = rng.permutation((y == arm).sum()) % 2 == 0
    score, of_second = x[held] @ _fit(x[~held], y[~held]), y[held]
    one, other = score[~of_second], score[of_second]
    draws = [_auc(rng.choice(one, len(one)), rng.choice(other, len(other))) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    single = [auc(column, y) for column in x.T]
    best = int(np.argmax(np.abs(np.array(single) - 0.5)))
    return Auc(auc(score, of_second), float(low), float(high), figures[best], single[best])


def _fit(x: NDArray[np.float64], y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of a logistic regression with a ridge, by Newton's method; the intercept, which ranks nothing, left out."""
    design = np.c_[x, np.ones(len(x))]
    penalty = RIDGE * np.eye(design.shape[1])
    penalty[-1, -1] = 1e-6
    weights = np.zeros(design.shape[1])
    for _ in range(20):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (chance - y) + penalty @ weights
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + penalty
        weights = weights - np.linalg.solve(curve, slope)
    return np.asarray(weights[:-1])


def auc(score: NDArray[np.float64], y: NDArray[np.bool_]) -> float:
    """The chance that a score of `y` is above one that is not, ties half (Mann & Whitney 1947)."""
    return _auc(score[~y], score[y])


def _auc(less: NDArray[np.float64], more: NDArray[np.float64]) -> float:
    gaps = more[:, None] - less
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)
