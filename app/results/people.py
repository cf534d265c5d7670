"""Sections of the raters: their quality and agreement, each one's contrast, time on task, blinding."""

from app.results import specs
from app.results.arms import colours, interval, warnings
from app.results.records import Chart, Column, Section, Table
from app.results.words import estimate, fixed
from app.study.analysis.report import Analysis

WITHIN = "within score levels"


def raters(analysis: Analysis) -> Section:
    """Each rater's own contrast; checks, pace, exclusions; agreement."""
    contrasts = Table(
        "contrasts-by-rater",
        "Each rater's own shares",
        (
            Column("rater", "Rater", "code"),
            Column("answers", "Answers", "whole"),
            Column("trained", "Trained", "share"),
            Column("random", "Random", "share"),
            Column("null", "Null", "share"),
            Column("difference", "Difference", "points"),
        ),
        tuple(
            (one.rater, one.answers, one.trained, one.random, one.null, one.difference)
            for one in analysis.headline.raters
        ),
    )
    known = [(one.rater, one.difference) for one in analysis.headline.raters if one.difference is not None]
    rows = [{"label": rater, "value": difference, "low": None, "high": None} for rater, difference in known]
    summary = "Each rater's difference, random less trained: " + "; ".join(
        f"{rater} {fixed(difference)}" for rater, difference in known
    )
    spec = specs.forest(rows, "random less trained, in each rater's own answers", lines=(0,), form=".0%")
    quality = Table(
        "raters",
        "What raters are judged by",
        (
            Column("rater", "Rater", "code"),
            Column("source", "Came by"),
            Column("answers", "Answers", "whole"),
            Column("skips", "Skipped", "whole"),
            Column("catch_seen", "Checks", "whole"),
            Column("catch_wrong", "… wrong", "whole"),
            Column("median_seconds", "Median time", "seconds"),
            Column("staff", "Staff", "flag"),
            Column("excluded", "Left out", "flag"),
            Column("why", "Why"),
        ),
        tuple(
            (
                *(one.rater, one.source, one.answers, one.skips, one.catch_seen, one.catch_wrong),
                *(one.median_seconds, one.staff, one.excluded, one.why),
            )
            for one in analysis.raters
        ),
    )
    left_out = sum(one.excluded for one in analysis.raters)
    return Section(
        "raters",
        "Raters",
        (
            f"{analysis.raters_counted} raters count; {left_out} of {len(analysis.raters)} are left out, whole, "
            f"by the rules that "
            "were frozen with the protocol.",
        ),
        (Chart("raters", "Each rater's own contrast", summary, spec, contrasts),) if rows else (),
        (*(() if rows else (contrasts,)), quality, agreement(analysis), times(analysis)),
        warnings([analysis.agreement.alpha, analysis.agreement.retest_alpha]),
    )


def agreement(analysis: Analysis) -> Table:
    found = analysis.agreement
    return Table(
        "agreement",
        "Agreement among raters, and of raters with themselves",
        (Column("measure", "Measure"), Column("estimate", "Estimate", "figure")),
        (
            ("Krippendorff's α, ordinal, all solo pages", found.alpha),
            *((f"… {name}", figure) for name, figure in found.by_arm),
            (f"Share of {found.repeats} repeats with the same score", found.same),
            ("… within one", found.within_one),
            ("… on the same side of 4", found.same_side),
            ("Krippendorff's α of repeats", found.retest_alpha),
            ("Cohen's κ of repeats, quadratic weights", found.kappa),
        ),
    )


def times(analysis: Analysis) -> Table:
    return Table(
        "times",
        "Time on task, by the server's clock",
        (
            Column("task", "Task"),
            Column("arm", "Arm"),
            Column("answers", "Answers", "whole"),
            Column("lower", "Lower quartile", "seconds"),
            Column("median", "Median", "seconds"),
            Column("upper", "Upper quartile", "seconds"),
        ),
        tuple((one.task, one.arm, one.answers, one.lower, one.median, one.upper) for one in analysis.times),
    )


def blinding(analysis: Analysis) -> Section:
    """What raters guessed after the close, and what could have given arms away."""
    found = analysis.blinding
    table = Table(
        "guesses",
        "Guesses after the close: Bang's index by arm; guess and arm within score levels",
        (
            Column("arm", "Arm"),
            Column("guesses", "Guesses", "whole"),
            Column("right", "Right", "whole"),
            Column("wrong", "Wrong", "whole"),
            Column("unknown", "Don't know", "whole"),
            Column("index", "Index", "figure"),
        ),
        (
            *((arm.name, arm.guesses, arm.right, arm.wrong, arm.unknown, arm.index) for arm in found.arms),
            *([(WITHIN, found.conditional.n, None, None, None, found.conditional)] if found.arms else []),
        ),
    )
    rows = [
        {"label": arm.name, "group": arm.name, **interval(arm.index)}
        for arm in found.arms
        if arm.index.value is not None
    ]
    if found.conditional.value is not None:
        rows.append({"label": WITHIN, "group": WITHIN, **interval(found.conditional)})
    palette = {**colours(analysis.arms), WITHIN: "token:ink"}
    spec = specs.forest(
        rows, "0: as by chance; 1: every guess right", lines=(0,), domain=(-1, 1), form=".1f", colours=palette
    )
    spec["height"] = specs.ROW * len(rows)  # one estimate a row, so that the colours need no legend
    for layer in spec["layer"]:
        layer["encoding"].pop("yOffset", None)
        if isinstance(layer["encoding"].get("color"), dict) and "field" in layer["encoding"]["color"]:
            layer["encoding"]["color"]["legend"] = None
    summary = "Blinding: " + "; ".join(f"{arm.name} {estimate(arm.index, 'figure')}" for arm in found.arms)
    summary += f"; guess and arm within score levels {estimate(found.conditional, 'figure')}"
    leaks = Table(
        "leaks",
        "Arms told apart without reading: area under the curve, .5 where they are not",
        (
            Column("first", "First"),
            Column("second", "Second"),
            Column("by", "By"),
            Column("auc", "AUC", "figure"),
            Column("best", "Most by"),
        ),
        tuple(
            (
                one.first,
                one.second,
                {"text": "lengths and unique tokens", "all": "highlights as well"}.get(one.what, one.what),
                one.auc,
                one.best,
            )
            for one in found.leaks
        ),
    )
    return Section(
        "blinding",
        "Blinding",
        (
            found.verdict,
            "Bang's index alone can't tell a leak from raters who take what is clear for trained; guesses within "
            "one and the same "
            "score can, and decide.",
        ),
        (Chart("blinding", "What raters guessed, beyond chance", summary, spec, table),) if rows else (),
        (*(() if rows or not found.arms else (table,)), *((leaks,) if found.leaks else ())),
        warnings([*(arm.index for arm in found.arms), found.conditional, *(one.auc for one in found.leaks)]),
    )
