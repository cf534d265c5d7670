"""Sections of the two other tasks: pairs side by side, intruders."""

from app.results import specs
from app.results.arms import colours, interval, warnings
from app.results.records import Chart, Column, Section, Table
from app.results.words import estimate
from app.study.analysis.report import Analysis

OUTCOMES = ("first preferred", "tie", "neither", "second preferred")
OF_OUTCOMES = ("token:series-1", "token:ramp-3", "token:ramp-none", "token:series-2")
CHANCE = 0.2  # one piece in five


def pairs(analysis: Analysis) -> Section | None:
    """Who was preferred, with ties; the Davidson model's strengths."""
    found = analysis.pairs
    if found is None:
        return None
    table = Table(
        "pairs",
        "Pairs by contrast",
        (
            Column("first", "First"),
            Column("second", "Second"),
            *(Column(name.replace(" ", "_"), name.capitalize(), "whole") for name in (*OUTCOMES, "skipped")),
            Column("net", "Net preference", "points"),
            Column("score_gap", "Gap of scores", "figure"),
        ),
        tuple(
            (one.first, one.second, one.wins, one.ties, one.neither, one.losses, one.skips, one.net, one.score_gap)
            for one in found.preferences
        ),
    )
    rows = [
        {"label": f"{one.first} – {one.second}", "part": part, "count": count}
        for one in found.preferences
        for part, count in zip(OUTCOMES, (one.wins, one.ties, one.neither, one.losses), strict=True)
    ]
    summary = "Preferences: " + "; ".join(
        f"{one.first} against {one.second}: {one.wins} preferred the first, {one.ties} ties, {one.neither} neither, "
        f"{one.losses} the second"
        for one in found.preferences
    )
    model = Table(
        "davidson",
        "Davidson's model of preference, with ties and side",
        (Column("parameter", "Parameter"), Column("estimate", "Estimate", "figure")),
        (
            *((f"β of {one.arm}", one.beta) for one in found.strengths),
            ("γ, above 0 where the left is preferred", found.side),
            ("ν, how often there are ties", found.tie),
        ),
    )
    spec = specs.stacked(rows, OUTCOMES, "share of pairs", OF_OUTCOMES)
    figures = [one.net for one in found.preferences] + [one.beta for one in found.strengths]
    return Section(
        "pairs",
        "Pairs",
        (
            "Two pages side by side: which is the more coherent? The net preference counts wins less losses over "
            "all pairs, ties "
            "included; “neither” counts as a tie. Scores given inside a pair are pooled with no others.",
        ),
        (Chart("pairs", "Which of two pages was preferred", summary, spec, table),) if rows else (),
        (*(() if rows else (table,)), model),
        (*found.warnings, *warnings(figures)),
    )


def intruders(analysis: Analysis) -> Section | None:
    """Intruders found, by arm and third."""
    found = analysis.intruders
    if found is None:
        return None
    thirds = list(dict.fromkeys(name for arm in found.arms for name, _ in arm.thirds))
    table = Table(
        "intruders",
        "Intruders found, by arm",
        (
            Column("arm", "Arm"),
            Column("features", "Features", "whole"),
            Column("answers", "Answers", "whole"),
            Column("skips", "Skipped", "whole"),
            Column("found", "Found", "share"),
            *(Column(f"third_{name}", f"… {name} third", "share") for name in thirds),
        ),
        tuple(
            (
                arm.name,
                arm.features,
                arm.answers,
                arm.skips,
                arm.found,
                *(dict(arm.thirds).get(name) for name in thirds),
            )
            for arm in found.arms
        ),
    )
    rows = [
        {"label": label, "group": arm.name, **interval(figure)}
        for label in ("all", *thirds)
        for arm in found.arms
        for figure in ([arm.found] if label == "all" else [part for name, part in arm.thirds if name == label])
        if figure.value is not None
    ]
    for row in rows:
        row["label"] = "all trials" if row["label"] == "all" else f"{row['label']} third"
    spec = specs.forest(
        rows, "share of intruders found", lines=(CHANCE,), domain=(0, 1), colours=colours(analysis.arms)
    )
    summary = "Intruders found (chance 20%): " + "; ".join(
        f"{arm.name} {estimate(arm.found, 'share')}" for arm in found.arms
    )
    lines = [f"Random less trained: {estimate(found.difference, 'points')}."]
    if found.null is not None:
        held = {
            True: "which holds chance",
            False: "which does not hold chance: something gave the intruder away",
            None: "",
        }
        value = estimate(found.null.figure, "share")
        lines.append(
            f"Of the null pages' trials that were answered {value} were found, {held[found.null.met]}".rstrip(", ")
            + "."
        )
    return Section(
        "intruders",
        "Intruders",
        ("Five pieces, one of which does not belong; a guess finds it one time in five (the dashed line).", *lines),
        (Chart("intruders", "Intruders found, by arm and third of the range", summary, spec, table),) if rows else (),
        () if rows else (table,),
        (*found.warnings, *warnings(arm.found for arm in found.arms)),
    )
