"""Sensitivity by the scores' order: P(R > T) + ½ P(R = T) within raters, and a cumulative link model.

superiority(grids["trained"], grids["random"], rng, resamples, level)
log_odds(grids, design, level)
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.study.analysis.bootstrap import Resampling, counts, ratio
from app.study.analysis.design import Design
from app.study.analysis.figures import NORMAL, Figure, Floats, finite, missing, percentile, symmetric
from app.study.analysis.outcome import NOT_ASKED, SKIPPED, Grid
from app.study.answers import HIGHEST

MOST_RATERS = 20  # that a model gives a leniency of their own
UNBOUNDED = 10.0  # a log-odds beyond this is no estimate


def superiority(trained: Grid, random: Grid, rng: np.random.Generator, resamples: int, level: float) -> Figure:
    """The chance that one rater scores a random page above a trained one, ties half; a skip is below every score.

    Raters' own chances are weighted by t r/(t + r), with so many trained and random pages (van Elteren 1960).
    """
    asked = [(grid.score != NOT_ASKED).any(0) for grid in (trained, random)]
    both = asked[0] & asked[1]
    n = trained.features + random.features
    if not both.any():
        return missing("No rater scored pages of both arms.", n, "features")
    plan = Resampling.plan(rng, resamples, int(both.sum()))
    once, drawn = [], []
    for grid in (trained, random):
        given = np.stack([grid.score[:, both] == score for score in range(HIGHEST + 1)], axis=-1).astype(np.float64)
        once.append(given.sum(0)[None])
        flat = given.reshape(grid.features, -1)
        drawn.append((_features(grid, rng, resamples) @ flat).reshape(resamples, *given.shape[1:]))
    value = _superiority(once[0], once[1], None)
    return percentile(float(value[0]), _superiority(drawn[0], drawn[1], plan.raters), level, n, "features")


def _features(grid: Grid, rng: np.random.Generator, resamples: int) -> Floats:
    """How often each feature counts in each draw, n − 1 of n within each stratum, scaled to n: `[draw, feature]`."""
    found = np.ones((resamples, grid.features))
    for number in range(len(grid.weight)):
        own = np.flatnonzero(grid.stratum == number)
        size = max(len(own) - 1, 1)
        found[:, own] = counts(rng.integers(0, len(own), (resamples, size)), len(own)) * (len(own) / size)
    return found


def _superiority(trained: Floats, random: Floats, raters: Floats | None) -> Floats:
    """Of counts `[draw, rater, score]`; `raters[draw, rater]` says how often each rater counts."""
    below = np.cumsum(trained, axis=-1) - trained / 2
    wins = (random * below).sum(-1)
    t, r = trained.sum(-1), random.sum(-1)
    weight = ratio(np.ones_like(t), t + r) if raters is None else raters * ratio(np.ones_like(t), t + r)
    usable = (t > 0) & (r > 0)
    weight = np.where(usable, weight, 0.0)
    return ratio((weight * wins).sum(-1), (weight * t * r).sum(-1))


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A fitted cumulative logit model: coefficients, thresholds, log-likelihood, and both kinds of standard error."""

    coefficients: Floats
    thresholds: Floats
    log_likelihood: float
    errors: Floats  # of coefficients, from the curvature
    robust: Floats | None  # of coefficients, clusters drawn together


def log_odds(grids: Mapping[str, Grid], design: Design, level: float) -> Figure:
    """The log-odds of a higher score on a random page than on a trained one, by a cumulative logit model (McCullagh 1980).

    All arms and, up to MOST_RATERS, raters are fixed effects; the interval is robust to clusters, which are features.
    Skips are left out.
    """
    if design.trained not in grids or design.random not in grids:
        return missing("An arm of the comparison has no solo page with an answer.")
    arms = [
        str(design.trained),
        str(design.random),
        *(arm for arm in grids if arm not in (design.trained, design.random)),
    ]
    scores, columns, clusters, offset = [], [], [], 0
    for place, arm in enumerate(arms):
        feature, rater = np.nonzero(grids[arm].score > SKIPPED)
        scores.append(grids[arm].score[feature, rater].astype(np.int64))
        columns.append(np.c_[np.full(len(feature), place), rater])
        clusters.append(feature + offset)
        offset += grids[arm].features
    score, column, cluster = np.concatenate(scores), np.concatenate(columns), np.concatenate(clusters)
    levels = [column[:, 0]]
    if 1 < len(set(column[:, 1].tolist())) <= MOST_RATERS:
        levels.append(column[:, 1])
    x = np.concatenate([_dummies(level) for level in levels], axis=1)
    n = len(set(cluster.tolist()))
    fitted = cumulative_logit(score, x, cluster)
    if fitted is None or fitted.robust is None or abs(fitted.coefficients[0]) > UNBOUNDED:
        return missing(
            "The model has no finite estimate: scores are all alike, or arms are perfectly separated.", n, "features"
        )
    z = NORMAL.inv_cdf((1 + level) / 2)
    return symmetric(float(fitted.coefficients[0]), float(fitted.robust[0]), z, level, n, "features")


def _dummies(level: NDArray[np.int64]) -> Floats:
    """A column for each value but the smallest."""
    values = np.unique(level)[1:]
    return np.asarray(level[:, None] == values, np.float64)


def cumulative_logit(score: NDArray[np.int64], x: Floats, cluster: NDArray[np.int64] | None = None) -> Model | None:
    """P(score ≤ j) = logit⁻¹(θ_j − xβ), fitted by statsmodels; None where there is no finite estimate."""
    from statsmodels.miscmodels.ordinal_model import OrderedModel
    from statsmodels.tools.numdiff import approx_fprime

    values, place = np.unique(score, return_inverse=True)
    if len(values) < 2 or not x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model = OrderedModel(place, x, distr="logit")
            found = model.fit(method="bfgs", disp=False, maxiter=500)
            covariance = np.linalg.inv(-model.hessian(found.params))
            slopes = approx_fprime(found.params, model.loglikeobs, centered=True)
        except (np.linalg.LinAlgError, ValueError):
            return None
    count = x.shape[1]
    errors = np.sqrt(np.diag(covariance))
    if not np.isfinite(errors[:count]).all():
        return None
    robust = None
    if cluster is not None:
        _, number = np.unique(cluster, return_inverse=True)
        sums = np.zeros((number.max() + 1, slopes.shape[1]))
        np.add.at(sums, number, slopes)
        clusters = len(sums)
        middle = sums.T @ sums * clusters / max(clusters - 1, 1)
        robust = np.sqrt(np.diag(covariance @ middle @ covariance))[:count]
    thresholds = model.transform_threshold_params(found.params)[1:-1]
    likelihood = finite(found.llf)
    if likelihood is None:
        return None
    return Model(np.asarray(found.params[:count]), np.asarray(thresholds), likelihood, errors[:count], robust)
