"""How a study came out, in one sentence of plain words, and what is to be said beside it.

verdict(core, headline, design, raters)
"""

from app.study.analysis.design import Design
from app.study.analysis.figures import Criterion, Figure
from app.study.analysis.headline import Core
from app.study.analysis.report import Code, Scope, Verdict
from app.study.power import CROWD


def scope_of(raters: int) -> Scope:
    """Fewer than CROWD raters are a panel: nothing is said of others."""
    return "population" if raters >= CROWD else "panel"


def verdict(core: Core, intruder: Criterion | None, design: Design, raters: int) -> Verdict:
    """The sentence of what was found. `about_as` needs the scores and the intruders, both."""
    code = core.code(design)
    scope = scope_of(raters)
    if core.reason:
        return Verdict("not-assessable", f"Not assessable: {core.reason}", scope, False)
    about_as = code == "equivalent" and intruder is not None and intruder.met is True
    whom = _whom(scope, raters)
    says = {
        "not-assessable": _not_assessable,
        "retained": _retained,
        "different": _different,
        "equivalent": _equivalent_about if about_as else _equivalent,
        "undecided": _undecided,
    }[code]
    return Verdict(
        code, says(core, design, whom), scope, about_as, tuple(_notes(core, intruder, design, code, scope, raters))
    )


def _whom(scope: Scope, raters: int) -> str:
    if scope == "population":
        return f"for raters at large ({raters} were counted)"
    return "for this one rater" if raters == 1 else f"for these {raters} raters"


def _not_assessable(core: Core, design: Design, whom: str) -> str:
    return (
        f"Not assessable: {whom}, “{design.trained}” pages were not shown to be interpretable more often than null pages by "
        f"more than {points(design.gate)} points (the gain is {points(core.gate.value)}, and {at_least(core.gate)}), so the "
        f"study cannot say whether “{design.random}” is as good."
    )


def _retained(core: Core, design: Design, whom: str) -> str:
    rest = f", though its pages were interpretable {_more(core)} often than those of “{design.trained}”"
    return (
        f"Retained: {whom}, “{design.random}” keeps at least {design.retention:.0%} of what “{design.trained}” gains over "
        f"null pages{rest if core.differs() else ''} {interval(core.difference)}."
    )


def _different(core: Core, design: Design, whom: str) -> str:
    return (
        f"Different: {whom}, “{design.random}” pages were interpretable {_more(core)} often than “{design.trained}” pages "
        f"{interval(core.difference)}, and it was not shown that they keep {design.retention:.0%} of the gain over null pages."
    )


def _equivalent(core: Core, design: Design, whom: str) -> str:
    return (
        f"Equivalent by scores: {whom}, “{design.random}” and “{design.trained}” pages were interpretable equally often to within "
        f"{points(design.equivalence)} points {interval(core.equivalence)}, but “about as interpretable” cannot be said without "
        "the intruder task."
    )


def _equivalent_about(core: Core, design: Design, whom: str) -> str:
    return (
        f"About as interpretable: {whom}, “{design.random}” and “{design.trained}” pages were interpretable equally often to "
        f"within {points(design.equivalence)} points {interval(core.equivalence)}, and intruders were found equally often to "
        f"within {points(design.intruder)}."
    )


def _undecided(core: Core, design: Design, whom: str) -> str:
    return (
        f"Undecided: {whom}, it was shown neither that “{design.random}” keeps {design.retention:.0%} of what “{design.trained}” "
        f"gains over null pages, nor that the two differ, nor that they are within {points(design.equivalence)} points "
        f"{interval(core.difference)}."
    )


def _more(core: Core) -> str:
    return "more" if (core.difference.value or 0) > 0 else "less"


def _notes(core: Core, intruder: Criterion | None, design: Design, code: Code, scope: Scope, raters: int) -> list[str]:
    notes = []
    if scope == "panel":
        notes.append(
            f"With {raters} {'rater' if raters == 1 else 'raters'} nothing is said of others: that takes {CROWD} or more."
        )
    if code == "equivalent":
        if core.differs():
            notes.append(f"The difference is small, but not none {interval(core.difference)}.")
        kept = "was shown" if core.retained() else "was not shown"
        notes.append(f"That {design.retention:.0%} of the gain over null pages is kept {kept}.")
        if intruder is None:
            notes.append("The study has no intruder task.")
        elif intruder.met is not True:
            notes.append(_intruder(intruder))
    if not design.declared:
        notes.append(
            "Which arms are compared was not declared before the first rating: the roles were given to the analysis."
        )
    return notes


def _intruder(intruder: Criterion) -> str:
    if intruder.figure.value is None:
        return f"The intruder task cannot be judged: {intruder.figure.warning}"
    return (
        f"The intruder task did not meet its margin: the shares found differ by {points(intruder.figure.value)} points "
        f"{interval(intruder.figure)}, where ±{points(intruder.limit)} was declared."
    )


def points(value: float | None) -> str:
    """A share as points of a hundred: “12”, “−3.5”."""
    if value is None:
        return "unknown"
    text = f"{100 * value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text.replace("-", "−")


def interval(figure: Figure) -> str:
    """“(difference −2 points, 95% interval −9 to 5)”."""
    level = f"{100 * (figure.level or 0):.4g}"
    return f"(random less trained {points(figure.value)} points, {level}% interval {points(figure.low)} to {points(figure.high)})"


def at_least(figure: Figure) -> str:
    return f"with {100 * (figure.level or 0):.4g}% confidence at least {points(figure.low)}"
