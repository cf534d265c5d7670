"""docs/findings.md: tables and sentences made of the figures alone, so that a page never says what its numbers don't."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.lab.findings import Arm, Estimate, Values, estimate, kept, less, undiluted

# name, title, what chance gives
MEASURES: tuple[tuple[str, str, float], ...] = (
    ("token_auroc", "Peak-token AUROC", 0.5),
    ("window_auroc", "±5-token AUROC", 0.5),
    ("embedder_auroc", "Embedder AUROC", 0.5),
    ("embedder_intruder", "Embedder intruder", 0.2),
)
OTHERS = (
    ("abstractness", "Abstractness"),
    ("peak_entropy", "Peak entropy (nats)"),
    ("top_token_share", "Top-token share"),
    ("decile_slope", "Decile slope"),
    ("second_stability", "Second-corpus stability"),
)
THIRDS = tuple(f"embedder_intruder_{third}" for third in ("top", "middle", "low"))
RANDOM, POINTS, NATURAL = "random-sign", "data-points", ("pca", "neurons")
RETAINED = 0.8  # of the trained gain: the margin of the human study
NONE = "—"


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """The arms of each model, m as in the others; `sweep`: of the trained model, by kind, smallest m first."""

    arms: Mapping[str, Sequence[Arm]]
    sweep: Sequence[tuple[str, Sequence[Arm]]]
    strata: Sequence[tuple[str, Sequence[Arm]]]
    command: str
    tokens: tuple[int, int]  # of either text
    made: Mapping[str, str]

    def trained(self, part: str) -> list[Arm]:
        """The dictionaries trained freely in the same build."""
        return [arm for arm in self.arms[part] if arm.family == "topk-sae"]

    def arm(self, part: str, family: str) -> Arm:
        return next(arm for arm in self.arms[part] if arm.family == family)


def show(found: Estimate, digits: int = 3) -> str:
    """`.712 [.701, .722]`."""
    if not found.known:
        return NONE
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]".replace("-", "−")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Markdown; all columns but the first to the right."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' + '---:|' * (len(head) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def page(found: Findings) -> Iterator[str]:
    """The lines between the page's markers."""
    yield from _made(found)
    yield "## What the scores say"
    yield ""
    yield from (f"- {sentence}" for sentence in sentences(found))
    yield ""
    for part, title in (("trained", "The trained model"), ("rerandomised", "The same on a re-randomised model")):
        yield f"## {title}"
        yield ""
        yield from _arms(found.arms[part])
    yield "![Every arm beside chance](findings/arms.svg)"
    yield ""
    yield "## How much of the trained gain an arm keeps"
    yield ""
    yield (
        "(Its mean − its null) ÷ (the same of the TopK SAEs): 1 is as much as training gives, 0 no more than random contexts; "
        "— where training itself gives nothing that can be told from random contexts."
    )
    yield ""
    yield from _kept(found)
    yield "## More directions"
    yield ""
    yield from _sweep(found)
    yield "## Strata"
    yield ""
    yield from _strata(found)


def _made(found: Findings) -> Iterator[str]:
    text, second = found.tokens
    yield f"Made by `{found.command}`: {text:,} tokens of WikiText-2 and, for stability, {second:,} of the Mueller report."
    yield from (f"{key}: {value}." for key, value in found.made.items())
    yield ""
    if "--quick" in found.command:
        yield "**A rehearsal on a tenth of the text, with two seeds: it shows that everything works. Its figures say nothing.**"
        yield ""


def sentences(found: Findings) -> Iterator[str]:
    """What the post's claim, that random directions are about as interpretable as trained ones, is worth to each measure."""
    trained, random = found.trained("trained"), found.arm("trained", RANDOM)
    for name, title, _ in MEASURES:
        share, gap = kept(random, trained, name), less(random, trained[0], name)
        gain = random.gained(name)
        if not (share.known and gap.known and gain.known):
            yield f"**{title}**: too few features to say."
            continue
        above = "above" if gain.low > 0 else "below" if gain.high < 0 else "not distinguishable from"
        if share.low > RETAINED:
            verdict = f"keep more than {RETAINED:.0%} of what training gains"
        elif share.high < RETAINED:
            verdict = f"keep less than {RETAINED:.0%} of what training gains"
        else:
            verdict = f"may or may not keep {RETAINED:.0%} of what training gains"
        yield (
            f"**{title}**: random sign directions are {above} their own random contexts (by {show(gain)}), and {verdict}: "
            f"{show(share, 2)}. They differ from TopK SAEs by {show(gap)}."
        )
    points = found.arm("trained", POINTS)
    for name, title, _ in MEASURES[:1] + MEASURES[2:3]:
        gap = less(points, trained[0], name)
        if gap.known:
            more = "above" if gap.low > 0 else "below" if gap.high < 0 else "within the error of"
            yield f"**Data points**, which nothing trained, are {more} TopK SAEs in {title}: {show(gap)}."
    other = found.trained("rerandomised")
    for name, title, _ in MEASURES[:1] + MEASURES[2:3]:
        gap = less(trained[0], other[0], name)
        if gap.known:
            more = "above" if gap.low > 0 else "below" if gap.high < 0 else "within the error of"
            yield (
                f"TopK SAEs of the **trained model** are {more} those of the re-randomised one in {title}: {show(gap)}. A measure "
                "on which a model that knows nothing does as well says nothing of what a model has learnt."
            )


def _arms(arms: Sequence[Arm]) -> Iterator[str]:
    head = ("arm", "m/n", "dictionaries", "features", "live", "FVE", *(title for _, title, _ in MEASURES))
    rows = [
        [
            arm.title,
            f"{arm.expansion:g}",
            str(len(arm.dictionaries)),
            f"{sum(len(one.index) for one in arm.dictionaries):,}",
            f"{arm.live:.0%}",
            NONE if arm.fve is None else f"{arm.fve:.3f}",
            *(show(arm.of(name)) for name, _, _ in MEASURES),
        ]
        for arm in arms
    ]
    rows.append(["*null, mean over arms*", "", "", "", "", "", *(_null(arms, name) for name, _, _ in MEASURES)])
    yield from table(head, rows)
    rows = [[arm.title, f"{arm.single_token:.1%}", *(show(arm.of(name)) for name, _ in OTHERS)] for arm in arms]
    rows.append(["*null, mean over arms*", "", *(_null(arms, name) for name, _ in OTHERS)])
    yield from table(("arm", "single token", *(title for _, title in OTHERS)), rows)


def _null(arms: Sequence[Arm], measure: str) -> str:
    known = [float(arm.null[measure][0]) for arm in arms if measure in arm.null]
    return f"{sum(known) / len(known):.3f}" if known else NONE


def _kept(found: Findings) -> Iterator[str]:
    for part, title in (("trained", "trained model"), ("rerandomised", "re-randomised model")):
        trained = found.trained(part)
        rows = [
            [arm.title, *(show(kept(arm, trained, name), 2) for name, _, _ in MEASURES)]
            for arm in found.arms[part]
            if arm.family != "topk-sae"
        ]
        yield from table((title, *(name for _, name, _ in MEASURES)), rows)


def _sweep(found: Findings) -> Iterator[str]:
    yield (
        "k stays 32, so a feature of the smallest dictionary fires 32 times as often as one of the largest, and random places "
        "are the more often hits themselves. *Undiluted* takes that out of the peak-token AUROC: (A − f/2) / (1 − f), with f the "
        "frequency."
    )
    yield ""
    for label, members in found.sweep:
        rows = []
        for arm in members:
            pure = arm.mean.get("token_auroc")
            corrected: Values | None = None if pure is None else undiluted(pure, arm.frequency)
            rows.append(
                [
                    f"{arm.expansion:g}",
                    f"{arm.live:.0%}",
                    f"{arm.frequency:.2%}",
                    NONE if arm.fve is None else f"{arm.fve:.3f}",
                    show(arm.of("token_auroc")),
                    show(estimate(corrected, arm.features.get("token_auroc", 0))),
                    *(show(arm.of(name)) for name, _, _ in MEASURES[1:]),
                    show(arm.of("peak_entropy"), 2),
                ]
            )
        titles = [title for _, title, _ in MEASURES]
        yield from table(
            (f"{label}, m/n", "live", "frequency", "FVE", titles[0], "undiluted", *titles[1:], "entropy"), rows
        )
    yield "![The sweep of m](findings/sweep.svg)"
    yield ""


def _strata(found: Findings) -> Iterator[str]:
    names = [name for name, _, _ in MEASURES]
    for title, arms in found.strata:
        rows = [
            [arm.title, f"{max(arm.features.values(), default=0):,}", *(show(arm.of(name)) for name in names)]
            for arm in arms
        ]
        yield from table((title, "features", *(name for _, name, _ in MEASURES)), rows)
    rows = [[arm.title, *(show(arm.of(name)) for name in THIRDS)] for arm in found.arms["trained"]]
    yield from table(("Embedder intruder by third of the range", "top", "middle", "low"), rows)
