"""An analysis as text for a terminal: the sentence, the figures behind it, then table by table.

    show(analysis, Console())

Shares are in percent, differences in points of a hundred.
"""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.study.analysis.figures import Criterion, Figure
from app.study.analysis.parts import Pairs
from app.study.analysis.report import Analysis, Variant


def show(found: Analysis, console: Console) -> None:
    """Everything but the single pages, which `--json` has."""
    console.print(f"[bold]{escape(found.verdict.sentence)}[/bold]")
    for note in found.verdict.notes:
        console.print(f"  {escape(note)}")
    for warning in found.warnings:
        console.print(f"  [yellow]{escape(warning)}[/yellow]")
    for title, columns, rows in _tables(found):
        lines = list(rows)
        if lines:
            table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
            for place, column in enumerate(columns):
                table.add_column(column, overflow="fold", justify="left" if place == 0 else "right")
            for line in lines:
                table.add_row(*(escape(cell) for cell in line))
            console.print()
            console.print(table)
    console.print()
    console.print(f"[bold]Blinding[/bold] {escape(found.blinding.verdict)}")
    console.print(
        f"Study {found.study}; protocol {found.protocol_hash}; seed {found.seed}, {found.resamples} draws.",
        highlight=False,
    )


def number(figure: Figure, digits: int = 2) -> str:
    """“0.42 [0.31, 0.53]”, “0.42 ≥ 0.31” for a one-sided bound, or why there is none."""
    if figure.value is None:
        return f"— {figure.warning or ''}".strip()
    text = f"{figure.value:.{digits}f}"
    if figure.low is not None and figure.high is not None:
        text += f" [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"
    elif figure.low is not None:
        text += f" (at least {figure.low:.{digits}f})"
    return text.replace("-", "−") + ("*" if figure.warning else "")


def points(figure: Figure) -> str:
    """The same of a share, in points of a hundred."""
    value, low, high = (part if part is None else 100 * part for part in (figure.value, figure.low, figure.high))
    return number(Figure(value, low, high, warning=figure.warning), 1)


def _tables(found: Analysis) -> Iterable[tuple[str, Sequence[str], Iterable[Sequence[str]]]]:
    yield "Headline, in points of a hundred", ("", "figure", "limit", "met"), _headline(found)
    yield (
        "Solo pages",
        ("arm", "pages", "answers", "skips", "interpretable, %", "mean score"),
        (
            (arm.name, str(arm.pages), str(arm.answers), str(arm.skips), points(arm.interpretable), number(arm.mean))
            for arm in found.arms
        ),
    )
    yield (
        "Each rater, %",
        ("rater", "trained", "random", "null", "random less trained", "answers"),
        (
            (
                one.rater,
                *(_share(share) for share in (one.trained, one.random, one.null, one.difference)),
                str(one.answers),
            )
            for one in found.headline.raters
        ),
    )
    yield (
        "Dictionaries",
        ("arm", "dictionary", "pages", "interpretable, %"),
        ((one.arm, one.dictionary, str(one.pages), points(one.interpretable)) for one in found.dictionaries),
    )
    yield (
        "Differences, in points",
        ("first", "less", "difference"),
        ((one.first, one.second, points(one.difference)) for one in found.contrasts),
    )
    yield (
        "The same under other rules",
        ("rule", "raters", "gain over null", "ψ", "random less trained", "would be"),
        (_variant(one) for one in (*found.sensitivity.variants, *found.sensitivity.others)),
    )
    yield (
        "By the order of scores",
        ("", "figure"),
        (
            ("P(random above trained) + ½ P(alike)", number(found.sensitivity.superiority)),
            ("log-odds, random against trained", number(found.sensitivity.log_odds)),
            *((("… with crossed effects", number(found.sensitivity.crossed)),) if found.sensitivity.crossed else ()),
        ),
    )
    yield (
        "Parts of the pages and trials",
        ("by", "part", "trained, %", "random, %", "difference"),
        ((one.by, one.level, points(one.trained), points(one.random), points(one.difference)) for one in found.strata),
    )
    if found.pairs:
        yield from _pairs(found.pairs)
    if found.intruders:
        yield (
            "Intruders found, %",
            ("arm", "features", "answers", "found", "top", "middle", "low"),
            (
                (
                    *(one.name, str(one.features), str(one.answers), points(one.found)),
                    *(
                        points(dict(one.thirds)[third]) if third in dict(one.thirds) else "—"
                        for third in ("top", "middle", "low")
                    ),
                )
                for one in found.intruders.arms
            ),
        )
    yield (
        "Agreement",
        ("", "figure", "of"),
        ((name, number(figure), f"{figure.n} {figure.unit}") for name, figure in _agreement(found)),
    )
    yield (
        "Guesses after the close",
        ("arm", "guesses", "right", "wrong", "don't know", "index"),
        (
            (one.name, str(one.guesses), str(one.right), str(one.wrong), str(one.unknown), number(one.index))
            for one in found.blinding.arms
        ),
    )
    yield (
        "Told apart unread (area under the curve)",
        ("pages", "by", "area", "best single measure"),
        ((f"{one.first}, {one.second}", one.what, number(one.auc), one.best or "—") for one in found.blinding.leaks),
    )
    yield (
        "Raters",
        ("rater", "answers", "skips", "known answers wrong", "median s", "left out"),
        (
            (
                *(one.rater, str(one.answers), str(one.skips), f"{one.catch_wrong} of {one.catch_seen}"),
                *("—" if one.median_seconds is None else f"{one.median_seconds:.1f}", one.why or "no"),
            )
            for one in found.raters
        ),
    )
    yield (
        "Seconds on a question",
        ("task", "arm", "answers", "quarter", "median", "three quarters"),
        (
            (
                one.task,
                one.arm,
                str(one.answers),
                *(f"{part:.1f}" if part is not None else "—" for part in (one.lower, one.median, one.upper)),
            )
            for one in found.times
        ),
    )
    yield (
        "People and machine scores (rank correlation)",
        ("score", "arm", "ρ"),
        ((one.measure, one.arm or "all", number(one.correlation)) for one in found.machine),
    )


def _headline(found: Analysis) -> Iterable[Sequence[str]]:
    head = found.headline
    design = found.design
    for name, one, limit in (
        ("gain of trained over null", head.gate, f"> {100 * design.gate:g}"),
        (f"ψ, {design.retention:.0%} of the gain kept", head.retention, "> 0"),
        ("random less trained", head.difference, "not 0"),
        ("… for equivalence", head.equivalence, f"± {100 * design.equivalence:g}"),
        ("… of intruders found", head.intruder, f"± {100 * design.intruder:g}"),
    ):
        if one:
            yield name, points(one.figure), limit, _met(one)
    yield "ratio of the gains", number(head.ratio), "", ""


def _met(one: Criterion) -> str:
    return "—" if one.met is None else "yes" if one.met else "no"


def _share(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.1f}".replace("-", "−")


def _variant(one: Variant) -> Sequence[str]:
    return (
        one.title,
        str(one.raters),
        *(points(part) for part in (one.gate, one.retention, one.difference)),
        one.code or "—",
    )


def _pairs(pairs: Pairs) -> Iterable[tuple[str, Sequence[str], Iterable[Sequence[str]]]]:
    yield (
        "Pairs",
        ("first", "second", "wins", "ties", "neither", "losses", "skips", "net preference", "score gap"),
        (
            (
                *(one.first, one.second),
                *(str(count) for count in (one.wins, one.ties, one.neither, one.losses, one.skips)),
                *(number(one.net), number(one.score_gap)),
            )
            for one in pairs.preferences
        ),
    )
    yield (
        "Davidson model",
        ("", "figure"),
        (
            *((f"β of {one.arm}", number(one.beta)) for one in pairs.strengths),
            ("γ, the left side", number(pairs.side)),
            ("ν, ties", number(pairs.tie)),
        ),
    )


def _agreement(found: Analysis) -> Iterable[tuple[str, Figure]]:
    own = found.agreement
    yield "α among raters", own.alpha
    yield from ((f"… {arm}", figure) for arm, figure in own.by_arm)
    yield "the same score again", own.same
    yield "… within one", own.within_one
    yield "… on the same side of 4", own.same_side
    yield "α with oneself", own.retest_alpha
    yield "κ with oneself", own.kappa
