"""An analysis made into a report: its sections in order, the facts that bind it, what was verified.

report(analysis, protocol, Circumstances(…))
"""

from collections.abc import Callable
from dataclasses import dataclass

import app
from app.results import arms, people, tasks, verdicts
from app.results.achieved import achieved
from app.results.methods import methods
from app.results.records import Column, Fact, Report, Section, Table
from app.study.analysis.report import Analysis
from app.study.protocol import Protocol


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was derived again, and what did not hold."""

    what: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a report says beside the analysis. `unchecked`: what could not be derived again, and why."""

    title: str
    frozen: str  # dates as text
    closed: str
    revealed: str
    checks: tuple[Check, ...]
    unchecked: tuple[str, ...]


def report(
    analysis: Analysis, protocol: Protocol, around: Circumstances, tell: Callable[[float], None] = lambda _: None
) -> Report:
    """`tell` hears how far it is: the power is simulated, which takes seconds."""
    sections = (
        verdicts.verdict(analysis),
        arms.shares(analysis),
        arms.distribution(analysis),
        tasks.intruders(analysis),
        tasks.pairs(analysis),
        arms.strata(analysis),
        arms.dictionaries(analysis),
        verdicts.sensitivity(analysis),
        arms.machine(analysis),
        people.raters(analysis),
        people.blinding(analysis),
        achieved(analysis, protocol, tell),
        verified(around),
    )
    faults = [fault for check in around.checks for fault in check.faults]
    changed = (f"Something was changed: {faults[0]}. See “What was verified”.",) if faults else ()
    return Report(
        study=analysis.study,
        title=around.title,
        headline=analysis.verdict.sentence,
        notes=analysis.verdict.notes,
        warnings=(*changed, *analysis.warnings),
        facts=_facts(analysis, around),
        sections=tuple(section for section in sections if section is not None),
        methods=methods(analysis, protocol, app.__version__),
        seed=analysis.seed,
        version=app.__version__,
    )


def verified(around: Circumstances) -> Section:
    """What was derived again, and whether it holds."""
    table = Table(
        "verified",
        "What was derived again, and whether it holds",
        (Column("what", "Derived again"), Column("outcome", "Outcome"), Column("faults", "What was changed")),
        tuple(
            (check.what, "changed" if check.faults else "holds", "; ".join(check.faults) or None)
            for check in around.checks
        ),
    )
    return Section("verified", "What was verified", around.unchecked, tables=(table,))


def _facts(analysis: Analysis, around: Circumstances) -> tuple[Fact, ...]:
    answers = sum(arm.answers for arm in analysis.arms)
    pages = sum(arm.pages for arm in analysis.arms)
    return (
        Fact("Raters", str(analysis.raters_counted), f"of {len(analysis.raters)}; the rest are left out"),
        Fact("Solo pages", str(pages), f"{answers} answers"),
        Fact(
            "Holds for",
            "these raters" if analysis.scope == "panel" else "raters at large",
            "a fixed panel, fewer than ten" if analysis.scope == "panel" else "features and raters resampled",
        ),
        Fact("Frozen", around.frozen),
        Fact("Closed", around.closed),
        Fact("Revealed", around.revealed),
        Fact("Protocol, SHA-256", analysis.protocol_hash, code=True),
        Fact("Commitment to the key", analysis.key_commitment, code=True),
        Fact("Head of the chain", analysis.chain_head, code=True),
        Fact("Computed", f"dartboard {app.__version__}", f"seed {analysis.seed}, {analysis.resamples} resamples"),
    )
