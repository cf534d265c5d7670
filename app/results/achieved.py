"""The power that a study came to have, beside what was planned: simulated for the pages and raters that there are."""

from collections.abc import Callable
from dataclasses import replace
from statistics import median

from app.results.records import Column, Section, Table
from app.study import power
from app.study.analysis.report import Analysis
from app.study.protocol import Protocol

SUPPOSED = "if 50%, 50% and 12% of the trained, random and null pages are interpretable"
TURNS = (
    "Raters took turns, and the simulation takes those of one page for the panel that rated all: a claim for raters at large, "
    "whose intervals are wider, has less power than the figures of pages say."
)
Tell = Callable[[float], None]  # the share that is done


def achieved(analysis: Analysis, protocol: Protocol, tell: Tell) -> Section:
    """What the design that came about can find out; it says nothing of what was found."""
    rows = [*_pages(analysis, protocol, tell), *_pairs(analysis), *_intruders(analysis, protocol)]
    table = Table(
        "power",
        "Power, by simulation",
        (
            Column("what", "To show"),
            Column("of", "From"),
            Column("planned", "As planned", "share"),
            Column("achieved", "As it came about", "share"),
        ),
        tuple(rows),
    )
    text = (
        f"Shares of {power.STUDIES:,} simulated studies that reach each verdict where the truth is no difference, "
        f"{SUPPOSED}. The "
        "figure is of the design, with the pages and raters that there are; the ratings' own values do not enter."
    )
    few = protocol.raters_per_item < power.CROWD and analysis.scope == "population"
    return Section("power", "Power achieved", (text,), tables=(table,), warnings=(TURNS,) if few else ())


Row = tuple[str, str, float | None, float | None]


def _pages(analysis: Analysis, protocol: Protocol, tell: Tell) -> list[Row]:
    task, design = protocol.tasks.page, analysis.design
    if task is None:
        return []
    supposed = power.Scores(
        task.features,
        protocol.raters_per_item,
        retention=design.retention,
        gate=design.gate,
        equivalence=design.equivalence,
        alpha=design.alpha,
    )
    arms = [arm for arm in analysis.arms if arm.role != "other"] or list(analysis.arms)
    actual = replace(
        supposed,
        features=min((arm.pages for arm in arms), default=0),
        raters=round(median(len(point.scores) for arm in arms for point in arm.points))
        if any(a.points for a in arms)
        else 0,
    )
    before, after = _scores(supposed, tell, 0.0), _scores(actual, tell, 0.5)
    size = (
        f"{actual.features} pages an arm, {actual.raters} raters a page "
        f"(planned: {supposed.features}, {supposed.raters})"
    )
    names = (
        "a gain over null (assay gate)",
        f"{design.retention:.0%} of the gain kept",
        f"equivalence within ±{100 * design.equivalence:g} points",
    )
    return [(name, size, planned, came) for name, planned, came in zip(names, before, after, strict=True)]


def _scores(design: power.Scores, tell: Tell, start: float) -> tuple[float | None, ...]:
    """Of gate, retention and equivalence; None where there is too little for a spread."""
    if design.features < 2 or design.raters < 1:
        return None, None, None
    done = 0

    def progress(more: int) -> None:
        nonlocal done
        done += more
        tell(start + done / power.STUDIES / 2)

    found = power.scores(design, progress=progress)
    return found.gate, found.retention, found.equivalence


def _pairs(analysis: Analysis) -> list[Row]:
    if analysis.pairs is None:
        return []
    return [
        (
            f"equivalence of scores within ±{margin:g} (SD 1.03)",
            f"{one.net.n} pairs of {one.first} and {one.second}",
            None,
            power.pairs(one.net.n, margin) if one.net.n > 3 else None,
        )
        for one in analysis.pairs.preferences
        if {one.first, one.second} == {analysis.design.trained, analysis.design.random}
        for margin in (0.2, 0.3)
    ]


def _intruders(analysis: Analysis, protocol: Protocol) -> list[Row]:
    task = protocol.tasks.intruder
    if task is None or analysis.intruders is None:
        return []
    came = min((arm.features for arm in analysis.intruders.arms), default=0)
    trials = 3 * task.trials
    return [
        (
            f"a gap of {100 * gap:g} points in intruders found",
            f"{came} features an arm, {trials} trials each (planned: {task.features})",
            _gap(task.features, gap, trials),
            _gap(came, gap, trials),
        )
        for gap in (0.1, 0.2)
    ]


def _gap(features: int, gap: float, trials: int) -> float | None:
    return power.intruders(power.Intruders(features, gap, trials)) if features > 1 else None
