"""The methods paragraph: what was done, from protocol and analysis, in words that a paper can take over."""

from collections.abc import Iterator, Sequence

from app.study.analysis.report import Analysis
from app.study.power import CROWD
from app.study.protocol import Arm, Protocol

BLOCKS = {"top": "strongest contexts", "q1": "first", "q2": "second", "q3": "third", "q4": "fourth", "q5": "fifth"}


def methods(analysis: Analysis, protocol: Protocol, version: str) -> tuple[str, ...]:
    """Paragraphs."""
    return (
        " ".join(_material(protocol)),
        " ".join(_rating(analysis, protocol)),
        " ".join(_analysis(analysis, protocol)),
        f"The protocol was frozen before the first rating (SHA-256 {analysis.protocol_hash}), and the key of "
        f"items to arms committed "
        f"to (salted SHA-256 {analysis.key_commitment}) and opened after rating had closed. Ratings form a hash "
        f"chain, whose head is "
        f"{analysis.chain_head}. Computed with dartboard {version}, seed {analysis.seed}.",
    )


def _material(protocol: Protocol) -> Iterator[str]:
    layout, tasks = protocol.layout, protocol.tasks
    yield f"We compared {joined([_arm(arm) for arm in protocol.arms])}."
    yield (
        f"Features were drawn by seed ({protocol.seed}) from those that fire in contexts enough to fill a page, "
        f"in equal numbers from "
        f"{protocol.sampling.strata} strata of firing frequency within each dictionary; none was shown twice."
    )
    parts = [part for part in layout.quantiles if part != "top"]
    shown = ["strongest contexts"] if "top" in layout.quantiles else []
    shown += [f"contexts from the {BLOCKS[part]} fifth of its range by rank" for part in parts]
    yield (
        f"A page showed {layout.contexts} contexts of {layout.width} tokens in each of {len(layout.quantiles)} blocks "
        f"({joined(shown)}), at most one a document, with four levels of highlight relative to the feature's own "
        f"maximum."
    )
    if tasks.page:
        yield f"{tasks.page.features} pages an arm were rated alone."
    if tasks.pair:
        yield (
            f"{tasks.pair.pairs} pairs were rated side by side ({tasks.pair.mix.between:.0%} between arms, "
            f"{tasks.pair.mix.same:.0%} "
            f"within one, {tasks.pair.mix.control:.0%} with a control)."
        )
    if tasks.intruder:
        yield (
            f"For {tasks.intruder.features} further features an arm, {3 * tasks.intruder.trials} intruder trials "
            f"each asked which of "
            "five pieces of text does not belong (chance 20%)."
        )


def _arm(arm: Arm) -> str:
    if arm.control == "null":
        return f"{arm.name} (the highlights of real features on random contexts)"
    if arm.control == "planted":
        return f"{arm.name} (one single word marked throughout)"
    names = arm.dictionaries
    return f"{arm.name} (features of {joined(names) if len(names) < 4 else f'{len(names)} dictionaries'})"


def _rating(analysis: Analysis, protocol: Protocol) -> Iterator[str]:
    counted, every = analysis.raters_counted, len(analysis.raters)
    yield (
        f"{every} rater{'' if every == 1 else 's'} took part, blind to arms; each item was rated by "
        f"{protocol.raters_per_item}, in an "
        "order and on sides drawn by seed for each rater."
    )
    yield "Pages were scored from 1 (no pattern) to 5 (very clear); a question could be skipped with a reason."
    if protocol.catch.planted or protocol.catch.instructed:
        yield f"{protocol.catch.planted + protocol.catch.instructed} pages with a known answer were mixed in unmarked."
    yield (
        f"Raters with more than {protocol.exclusions.catch_wrong} wrong answers on such pages or a median time under "
        f"{protocol.exclusions.median_seconds:g} s were to be left out whole, by a rule declared beforehand; "
        f"{every - counted} of "
        f"{every} were."
    )
    if protocol.guess.pages:
        yield (
            f"After rating had closed, raters scored {protocol.guess.pages} fresh pages an arm, were told which "
            f"arms there were, and "
            "guessed the arm of each; blinding is judged by Bang's index (Bang, Ni & Davis 2004) and, within "
            "each rater's own score "
            "level, by the association of guess and arm."
        )


def _analysis(analysis: Analysis, protocol: Protocol) -> Iterator[str]:
    design, aim, null = analysis.design, protocol.estimand, protocol.null_arm
    yield (
        "The outcome of a page is the share of its raters who scored it 4 or 5, skips counted as lower; an arm's "
        "is the mean over its "
        "features, strata weighted as drawn."
    )
    if aim:
        yield (
            f"Declared beforehand: the study is assessable if {aim.trained} exceeds {null} by more than "
            f"{100 * design.gate:g} points; {aim.random} keeps {design.retention:.0%} of that gain if the lower "
            f"one-sided "
            f"{1 - design.alpha:.0%} bound of π({aim.random}) − {design.retention:g} π({aim.trained}) − "
            f"{1 - design.retention:.2g} "
            f"π({null}) exceeds 0; the arms are equivalent if the {1 - 2 * design.alpha:.0%} interval of "
            f"their difference lies "
            f"within ±{100 * design.equivalence:g} points (two one-sided tests, Schuirmann 1987). The ratio of "
            f"gains is given with "
            "Fieller's interval."
        )
    if analysis.scope == "population":
        yield (
            f"Intervals are percentiles of a two-way bootstrap over features, within arm and stratum, and raters "
            f"(Owen 2007; "
            f"{analysis.resamples:,} resamples)."
        )
    else:
        yield (
            f"With fewer than {CROWD} raters, they are taken as a fixed panel: intervals are percentiles of a "
            f"bootstrap over features "
            f"within arm and stratum, each feature's ratings kept together ({analysis.resamples:,} resamples), "
            f"and conclusions hold for "
            "these raters."
        )
    if analysis.pairs is not None:
        yield "Pairs were analysed by net preference and by Davidson's (1970) model with a side effect, pairs resampled."
    yield "Agreement is Krippendorff's α for ordinal data."


def joined(words: Sequence[str]) -> str:
    """“a, b and c”."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
