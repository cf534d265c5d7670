"""Sections of what was to be found out: gate, retention, difference, equivalence; the same under other rules."""

from collections.abc import Mapping

from app.results import specs
from app.results.arms import interval, warnings
from app.results.records import Chart, Column, Section, Table
from app.results.words import estimate
from app.study.analysis.figures import Criterion
from app.study.analysis.report import Analysis

MET: Mapping[bool | None, str] = {True: "met", False: "not met", None: "can't be told"}
CODES = {
    "not-assessable": "not assessable",
    "retained": "retained",
    "different": "different",
    "equivalent": "equivalent",
    "undecided": "undecided",
}


def verdict(analysis: Analysis) -> Section:
    """The declared criteria with their limits, and each rater's contrast."""
    head, design = analysis.headline, analysis.design
    trained, random, null = (name or "?" for name in (design.trained, design.random, design.null))
    rows: list[tuple[str, str, Criterion]] = [
        ("Assay gate", f"{trained} − {null} > {100 * head.gate.limit:g} points", head.gate),
        (
            "Retention",
            f"{random} − {design.retention:g} × {trained} − {1 - design.retention:.2g} × {null} > 0",
            head.retention,
        ),
        ("Difference", f"{random} − {trained} ≠ 0", head.difference),
        ("Equivalence", f"{random} − {trained} within ±{100 * head.equivalence.limit:g} points", head.equivalence),
    ]
    if head.intruder is not None:
        rows.append(("Intruders", f"{random} − {trained} within ±{100 * head.intruder.limit:g} points", head.intruder))
    table = Table(
        "criteria",
        "What was declared before the first rating, and how it came out",
        (
            Column("criterion", "Criterion"),
            Column("rule", "Rule"),
            Column("estimate", "Estimate", "points"),
            Column("met", "Outcome"),
        ),
        tuple((name, rule, criterion.figure, MET[criterion.met]) for name, rule, criterion in rows),
    )
    drawn = [
        {"label": name, **interval(criterion.figure)}
        for name, _, criterion in rows
        if criterion.figure.value is not None
    ]
    margin = head.equivalence.limit
    spec = specs.forest(drawn, "difference of shares", lines=(-margin, 0, margin), form=".0%")
    summary = "Declared criteria: " + "; ".join(
        f"{name} {estimate(criterion.figure, 'points')}, {MET[criterion.met]}" for name, _, criterion in rows
    )
    kept = []
    if head.ratio.value is not None:
        kept.append(
            f"Of the gain of “{trained}” over “{null}”, “{random}” keeps {estimate(head.ratio, 'share')}, as a ratio by Fieller."
        )
    return Section(
        "verdict",
        "What was declared, and how it came out",
        (
            "Gate and retention are one-sided lower bounds; the difference has a two-sided interval, equivalence "
            "one that must lie "
            "between the dashed lines whole.",
            *kept,
        ),
        (Chart("criteria", "Declared criteria", summary, spec, table),) if drawn else (),
        () if drawn else (table,),
        warnings([criterion.figure for _, _, criterion in rows] + [head.ratio]),
    )


def sensitivity(analysis: Analysis) -> Section:
    """The headline's figures under other rules."""
    found = analysis.sensitivity
    table = Table(
        "sensitivity",
        "The headline under other rules",
        (
            Column("rule", "Rule"),
            Column("raters", "Raters", "whole"),
            Column("gate", "Gate", "points"),
            Column("retention", "Retention", "points"),
            Column("difference", "Difference", "points"),
            Column("verdict", "Alone it would say"),
        ),
        tuple(
            (one.title, one.raters, one.gate, one.retention, one.difference, CODES[one.code] if one.code else None)
            for one in found.variants
        ),
    )
    rows = [
        {"label": one.title, **interval(one.difference)} for one in found.variants if one.difference.value is not None
    ]
    margin = analysis.design.equivalence
    spec = specs.forest(rows, "difference of shares, random less trained", lines=(-margin, 0, margin), form=".0%")
    summary = "Difference under other rules: " + "; ".join(
        f"{one.title} {estimate(one.difference, 'points')}" for one in found.variants
    )
    named = Table(
        "others",
        f"Another arm in the place of “{analysis.design.random}”: not declared as the comparison",
        (
            Column("arm", "Arm"),
            Column("gate", "Gate", "points"),
            Column("retention", "Retention", "points"),
            Column("difference", "Difference", "points"),
            Column("verdict", "Alone it would say"),
        ),
        tuple(
            (one.name, one.gate, one.retention, one.difference, CODES[one.code] if one.code else None)
            for one in found.others
        ),
    )
    others = [
        ("P(random > trained) + ½ P(equal), within raters; ½ is no difference", found.superiority),
        ("Log odds of a higher score, random against trained, by a cumulative link model", found.log_odds),
        ("The same, with crossed random effects", found.crossed),
    ]
    more = Table(
        "other-measures",
        "Other measures of the same scores",
        (Column("measure", "Measure"), Column("estimate", "Estimate", "figure")),
        tuple((name, figure) for name, figure in others if figure is not None),
    )
    return Section(
        "sensitivity",
        "Under other rules",
        ("The first row is what was declared; the others show what would change with it.",),
        (Chart("sensitivity", "The difference under other rules", summary, spec, table),) if rows else (),
        (*(() if rows else (table,)), *((named,) if found.others else ()), more),
        warnings([one.difference for one in found.variants] + [figure for _, figure in others]),
    )
