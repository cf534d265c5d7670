"""Solo pages arm by arm and dictionary by dictionary: shares of interpretable pages and their differences.

arm_results(grids, design, rng, resamples)
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from app.study.analysis.design import Design
from app.study.analysis.figures import Figure, finite, missing, percentile, sentence
from app.study.analysis.headline import Share, few, shares
from app.study.analysis.outcome import NOT_ASKED, SKIPPED, Grid
from app.study.analysis.report import ArmResult, Contrast, DictionaryResult, Point
from app.study.answers import HIGHEST

ALONE = "One page alone: it has no interval."


def figure(share: Share, level: float) -> Figure:
    """An arm's π with its interval."""
    if share.features < 2:
        return Figure(finite(share.value), n=share.features, unit="features", warning=ALONE)
    found = percentile(share.value, share.draws, level, share.features, "features")
    return found.warned(sentence([share.warning or "", few([share])]))


def gap(first: Share, second: Share, level: float) -> Figure:
    """π of the first less that of the second."""
    n = first.features + second.features
    if min(first.features, second.features) < 2:
        return Figure(finite(first.value - second.value), n=n, unit="features", warning=ALONE)
    warning = sentence([first.warning or "", second.warning or "", few([first, second])])
    return percentile(first.value - second.value, first.draws - second.draws, level, n, "features", warning=warning)


def arm_results(
    grids: Mapping[str, Grid], design: Design, rng: np.random.Generator, resamples: int
) -> tuple[ArmResult, ...]:
    """Every arm of the design that has answers, in its order."""
    level = 1 - design.alpha
    found = shares(list(grids.values()), rng, resamples) if grids else []
    by_name = dict(zip(grids, found, strict=True))
    results = []
    for arm in design.arms:
        if arm.name in grids:
            grid = grids[arm.name]
            score = grid.score
            results.append(
                ArmResult(
                    name=arm.name,
                    kind=arm.kind,
                    role=arm.role,
                    pages=grid.features,
                    answers=grid.answers,
                    skips=grid.skips,
                    counts=tuple(int((score == value).sum()) for value in range(1, HIGHEST + 1)),
                    interpretable=figure(by_name[arm.name], level),
                    mean=_mean(grid, level, rng, resamples),
                    points=_points(grid),
                )
            )
    return tuple(results)


def _mean(grid: Grid, level: float, rng: np.random.Generator, resamples: int) -> Figure:
    """The mean score of the answers that were no skips, of features' means."""
    given = [row[row > SKIPPED] for row in grid.score]
    means = np.array([row.mean() for row in given if len(row)])
    if len(means) < 2:
        return Figure(float(means[0]), n=1, unit="features", warning=ALONE) if len(means) else missing("All skipped.")
    draws = means[rng.integers(0, len(means), (resamples, len(means) - 1))].mean(1)
    return percentile(float(means.mean()), draws, level, len(means), "features")


def _points(grid: Grid) -> tuple[Point, ...]:
    """Each page with its raters' scores."""
    points = []
    y = grid.binary()
    for unit, scores, own in zip(grid.units, grid.score, y, strict=True):
        asked = scores[scores != NOT_ASKED]
        given = asked[asked != SKIPPED]
        points.append(
            Point(
                item=unit.item,
                dictionary=unit.dictionary,
                feature=unit.feature,
                decile=unit.decile,
                single_token=unit.single_token,
                share=float(np.nanmean(own)),
                mean=float(given.mean()) if len(given) else None,
                scores=tuple(None if score == SKIPPED else int(score) for score in asked),
            )
        )
    return tuple(points)


def of_dictionaries(grid: Grid) -> dict[str, Grid]:
    """An arm's pages by dictionary; empty for a control."""
    names = np.array([unit.dictionary or "" for unit in grid.units])
    return {str(name): grid.only(names == name) for name in sorted(set(names.tolist())) if name}


def dictionary_results(
    grids: Mapping[str, Grid], design: Design, rng: np.random.Generator, resamples: int
) -> tuple[DictionaryResult, ...]:
    """Every dictionary's share: where an arm has two or three trained ones, this is how far they differ."""
    found = []
    for arm, grid in grids.items():
        parts = of_dictionaries(grid)
        for name, share in zip(parts, shares(list(parts.values()), rng, resamples), strict=True) if parts else ():
            found.append(DictionaryResult(arm, name, parts[name].features, figure(share, 1 - design.alpha)))
    return tuple(found)


def contrasts(
    grids: Mapping[str, Grid], design: Design, rng: np.random.Generator, resamples: int
) -> tuple[Contrast, ...]:
    """Each arm against each, and each other arm with features against each trained dictionary, where there are several."""
    level = 1 - design.alpha
    arms = [arm for arm in design.arms if arm.name in grids]
    order = sorted(arms, key=lambda arm: (arm.kind != "features", arm.role == "trained"))
    made = dict(zip(grids, shares(list(grids.values()), rng, resamples), strict=True)) if grids else {}
    found = [
        Contrast(first.name, second.name, "arms", gap(made[first.name], made[second.name], level))
        for first, second in combinations([arm for arm in order if arm.role != "trained"], 2)
    ]
    trained = grids.get(design.trained or "")
    if trained is None:
        return tuple(found)
    against = [
        Contrast(arm.name, trained.arm, "arms", gap(made[arm.name], made[trained.arm], level))
        for arm in order
        if arm.role != "trained"
    ]
    parts = of_dictionaries(trained)
    of_parts: list[Contrast] = []
    if len(parts) > 1:
        own = dict(zip(parts, shares(list(parts.values()), rng, resamples), strict=True))
        of_parts = [
            Contrast(arm.name, name, "dictionaries", gap(made[arm.name], share, level))
            for arm in order
            if arm.role != "trained"
            for name, share in own.items()
        ]
        of_parts += [
            Contrast(first, second, "dictionaries", gap(own[first], own[second], level))
            for first, second in combinations(own, 2)
        ]
    return (*against, *found, *of_parts)
