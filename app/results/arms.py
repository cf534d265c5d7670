"""Sections of the arms: shares of interpretable pages with every page behind them, scores, dictionaries, strata."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from app.results import specs
from app.results.records import Chart, Column, Place, Section, Table
from app.results.words import estimate, fixed, number
from app.study.analysis.figures import Figure
from app.study.analysis.report import Analysis, ArmResult, Point, Stratum

SCORES = ("1", "2", "3", "4", "5", "skipped")
OF_ROLE = {"trained": specs.SERIES[0], "random": specs.SERIES[1], "null": specs.SERIES[2]}
ROLES = {"trained": "trained features", "random": "random directions", "null": "null pages", "other": "another arm"}


def colours(arms: Sequence[Any]) -> dict[str, str]:
    """Each arm's colour: that of its role, or one of the rest."""
    rest = iter(specs.SERIES[3:] * len(arms))
    return {arm.name: OF_ROLE.get(arm.role) or next(rest) for arm in arms}


def interval(found: Figure) -> dict[str, float | None]:
    return {"value": found.value, "low": found.low, "high": found.high}


def shares(analysis: Analysis) -> Section:
    """The primary outcome: each arm's share of interpretable pages, and every page."""
    arms = analysis.arms
    table = Table(
        "arms",
        "Solo pages by arm",
        (
            Column("arm", "Arm"),
            Column("role", "Stands for"),
            Column("pages", "Pages", "whole"),
            Column("answers", "Answers", "whole"),
            Column("skips", "Skipped", "whole"),
            Column("interpretable", "Interpretable", "share"),
            Column("mean", "Mean score", "figure"),
        ),
        tuple((a.name, ROLES[a.role], a.pages, a.answers, a.skips, a.interpretable, a.mean) for a in arms),
    )
    pages = Table(
        "pages",
        "Every page with its scores",
        (
            Column("arm", "Arm"),
            Column("place", "Feature"),
            Column("decile", "Decile", "whole"),
            Column("single_token", "Single token", "flag"),
            Column("interpretable", "Interpretable", "share"),
            Column("mean", "Mean score", "figure"),
            Column("scores", "Scores"),
            Column("item", "Item", "code"),
        ),
        tuple((arm.name, *_page(point)) for arm in arms for point in arm.points),
        long=True,
    )
    known = [arm for arm in arms if arm.interpretable.value is not None]
    spec = specs.points(
        [{"arm": arm.name, **interval(arm.interpretable)} for arm in known],
        [_raw(arm, point) for arm in known for point in arm.points],
        "share of answers that call a page interpretable (4 or 5)",
        colours(arms),
    )
    summary = "Share of interpretable pages by arm, with intervals: " + "; ".join(
        f"{arm.name} {estimate(arm.interpretable, 'share')}" for arm in arms
    )
    return Section(
        "arms",
        "Interpretable pages",
        (
            "An answer counts as interpretable where its score is 4 or 5; a skip counts as not. Each faint point "
            "is one page, at "
            "the share of its raters who called it interpretable (spread a little, so that none hides another); "
            "it leads to the "
            "feature. The large points are the arms' means, with their intervals.",
        ),
        (Chart("arms", "Share of interpretable pages, by arm", summary, spec, table),) if known else (),
        (pages,) if known else (table, pages),
        warnings(arm.interpretable for arm in arms),
    )


def _page(point: Point) -> tuple[Any, ...]:
    place = Place(point.dictionary, point.feature)
    return place, point.decile, point.single_token, point.share, point.mean, written(point.scores), point.item


def _raw(arm: ArmResult, point: Point) -> dict[str, Any]:
    place = Place(point.dictionary, point.feature)
    name = f"{point.dictionary} {point.feature}" if place.address else f"{arm.name}, item {point.item[:8]}"
    link = {"url": place.address} if place.address else {}
    return {"arm": arm.name, "share": point.share, "page": name, "scores": written(point.scores), **link}


def written(scores: Sequence[int | None]) -> str:
    """“4 5 –”: the scores of a page, a dash for a skip."""
    return " ".join("–" if score is None else str(score) for score in scores)


def distribution(analysis: Analysis) -> Section:
    """How often each score was given, by arm."""
    counted = [(arm.name, (*arm.counts, arm.skips)) for arm in analysis.arms]
    table = Table(
        "scores",
        "Scores by arm",
        (Column("arm", "Arm"), *(Column(f"score_{name}", name.capitalize(), "whole") for name in SCORES)),
        tuple((name, *counts) for name, counts in counted),
    )
    rows = [
        {"label": name, "part": part, "count": count}
        for name, counts in counted
        for part, count in zip(SCORES, counts, strict=True)
    ]
    summary = "Scores by arm, from 1 to 5 and skipped: " + "; ".join(
        f"{name} {', '.join(map(str, counts))}" for name, counts in counted
    )
    spec = specs.stacked(rows, SCORES, "share of the arm's answers", specs.RAMP)
    given = any(sum(counts) for _, counts in counted)
    chart = (Chart("scores", "Scores from 1 (no pattern) to 5 (very clear), by arm", summary, spec, table),)
    return Section("scores", "Scores", charts=chart if given else (), tables=() if given else (table,))


def dictionaries(analysis: Analysis) -> Section | None:
    """Each dictionary of each arm, and every arm and dictionary against each other."""
    tables = []
    if len(analysis.dictionaries) > 1:
        tables.append(
            Table(
                "dictionaries",
                "Solo pages by dictionary; where an arm has several, each of their pages weighs the same",
                (
                    Column("arm", "Arm"),
                    Column("dictionary", "Dictionary"),
                    Column("pages", "Pages", "whole"),
                    Column("interpretable", "Interpretable", "share"),
                ),
                tuple((one.arm, one.dictionary, one.pages, one.interpretable) for one in analysis.dictionaries),
            )
        )
    for of, found in groupby(sorted(analysis.contrasts, key=lambda one: one.of), key=lambda one: one.of):
        tables.append(
            Table(
                f"contrasts-{of}",
                f"Each of the {of} against each: the first's share less the second's",
                (Column("first", "First"), Column("second", "Second"), Column("difference", "Difference", "points")),
                tuple((one.first, one.second, one.difference) for one in found),
            )
        )
    return Section("each", "Each against each", tables=tuple(tables)) if tables else None


def strata(analysis: Analysis) -> Section | None:
    """Trained and random features by what they are."""
    found = analysis.strata
    if not found:
        return None
    trained, random = analysis.design.trained or "trained", analysis.design.random or "random"
    table = Table(
        "strata",
        "Shares by stratum",
        (
            Column("by", "By"),
            Column("level", "Part"),
            Column("task", "Task"),
            Column("trained", trained, "share"),
            Column("random", random, "share"),
            Column("difference", "Difference", "points"),
        ),
        tuple((one.by, one.level, one.task, one.trained, one.random, one.difference) for one in found),
    )
    rows = [
        {"label": _part(one), "group": name, **interval(figure)}
        for one in found
        for name, figure in ((trained, one.trained), (random, one.random))
        if figure.value is not None
    ]
    spec = specs.forest(
        rows,
        "share interpretable, or of intruders found",
        domain=(0, 1),
        colours={trained: specs.SERIES[0], random: specs.SERIES[1]},
    )
    summary = "Shares by stratum: " + "; ".join(
        f"{_part(one)}: {trained} {number(one.trained.value, 'share')}, {random} {number(one.random.value, 'share')}"
        for one in found
    )
    return Section(
        "strata",
        "Strata",
        ("Parts of the features by what they are. They describe: no verdict hangs on them.",),
        (Chart("strata", f"{trained} and {random} by stratum", summary, spec, table),) if rows else (),
        () if rows else (table,),
    )


def _part(one: Stratum) -> str:
    return f"{one.by}: {one.level}" + (" (intruders)" if one.task == "intruder" and one.by != "third" else "")


def warnings(figures: Any) -> tuple[str, ...]:
    """What the figures say to beware of, each once."""
    return tuple(dict.fromkeys(figure.warning for figure in figures if figure is not None and figure.warning))


def machine(analysis: Analysis) -> Section | None:
    """People's scores beside the scores that need nobody."""
    found = analysis.machine
    if not found:
        return None
    table = Table(
        "machine",
        "Rank correlation of people's mean score with machine scores",
        (Column("measure", "Measure"), Column("arm", "Arm"), Column("correlation", "Spearman's ρ", "figure")),
        tuple((one.measure, one.arm or "all", one.correlation) for one in found),
    )
    rows = [
        {"label": one.measure, "group": one.arm or "all", **interval(one.correlation)}
        for one in found
        if one.correlation.value is not None
    ]
    palette: Mapping[str, str] = {**colours(analysis.arms), "all": "token:ink-2"}
    spec = specs.forest(rows, "Spearman's ρ", lines=(0,), domain=(-1, 1), form=".1f", colours=palette)
    summary = "Rank correlation with people's scores: " + "; ".join(
        f"{one.measure}, {one.arm or 'all arms'} {fixed(one.correlation.value)}"
        for one in found
        if one.correlation.value is not None
    )
    return Section(
        "machine",
        "Machine scores",
        ("How far scores that need no person rank the rated features as the raters did. They enter no verdict.",),
        (Chart("machine", "Agreement with machine scores", summary, spec, table),) if rows else (),
        () if rows else (table,),
        warnings(one.correlation for one in found),
    )
