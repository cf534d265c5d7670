"""What a study will be, before it is frozen: items and hours, strata, what is left out, imbalance, power.

for line in report(load_protocol(path), FeatureStore(path)): …
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations
from math import ceil

from app.freeze import Drawing, draw_items
from app.store.features import FeatureStore
from app.study import power
from app.study.frozen import FrozenItem
from app.study.imbalance import FIGURES, TEXT, separation
from app.study.protocol import Protocol

SECONDS = {"page": 60, "pair": 90, "intruder": 30}  # that an answer is taken to need
GUESS_SECONDS = 10  # beyond a page's score
SLIP = 0.02  # chance that a careful rater fails a page with a known answer
SUPPOSED = power.Scores(1, 1)  # the shares of interpretable pages that power is computed for


def check(protocol: Protocol, features: FeatureStore, progress: power.Progress) -> Iterator[str]:
    """The report, line by line. Raises NotFound, UserError as a freeze would."""
    drawing = draw_items(protocol, features, "a secret of no study")
    yield from _work(protocol, drawing.items)
    yield from _arms(protocol, drawing)
    yield from _left_out(drawing)
    yield from _sizes(drawing)
    yield from _imbalance(protocol, drawing.items)
    yield from _careless(protocol)
    yield f"Declared: {declared(protocol)}"
    yield from _power(protocol, progress)


def declared(protocol: Protocol) -> str:
    """What the study is to find out, in words."""
    if not (found := protocol.estimand):
        return (
            "nothing, so the results will have no headline; [estimand] in the study file says what is to be found out"
        )
    return f"whether {found.random} keeps {found.retention:.0%} of what {found.trained} gains over null pages"


def simulations(protocol: Protocol) -> int:
    """How many studies `check` will simulate: what its progress adds up to."""
    tasks = protocol.tasks
    return power.STUDIES * (bool(tasks.page) + 2 * bool(tasks.intruder))


def _work(protocol: Protocol, items: tuple[FrozenItem, ...]) -> Iterator[str]:
    """How many answers are needed, and the hours that they take."""
    counts: Counter[tuple[str, str]] = Counter((item.purpose, item.task) for item in items)
    yield "Items"
    for (purpose, task), number in sorted(counts.items()):
        yield f"  {purpose} {task}: {number}"
    main = {task: counts["main", task] for task in SECONDS}
    total = sum(main.values())
    raters = protocol.raters_per_item
    if protocol.items_per_rater:
        raters = max(raters, ceil(total * protocol.raters_per_item / protocol.items_per_rater))
    hours = sum(SECONDS[task] * number for task, number in main.items()) * protocol.raters_per_item / 3600
    hours *= 1 + (protocol.repeats.share if total > protocol.repeats.distance else 0)
    for purpose in ("catch", "practice", "guess"):
        each = sum(SECONDS[task] * number for (of, task), number in counts.items() if of == purpose)
        each += GUESS_SECONDS * counts["guess", "page"] if purpose == "guess" else 0
        hours += raters * each / 3600
    yield (
        f"Work: {total} items × {protocol.raters_per_item} ratings, by {raters} raters or more: {hours:.1f} hours in all, "
        f"{hours / raters:.1f} a rater (a page a minute, a pair a minute and a half, an intruder half a minute)"
    )


def _arms(protocol: Protocol, drawing: Drawing) -> Iterator[str]:
    """What each arm shows, by stratum of firing frequency (rarest first)."""
    yield "Arms"
    for arm in protocol.arms:
        own = [(item, row) for item in drawing.items for row in item.key if row.arm == arm.name]
        shown = Counter(f"{item.purpose} {item.task}" for item, _ in own)
        yield f"  {arm.name}: " + ", ".join(f"{number} {what}" for what, number in sorted(shown.items()))
        features = {(row.dictionary, row.feature): row.stratum for _, row in own if row.dictionary}
        if features:
            strata = Counter(stratum["decile"] for stratum in features.values())
            single = sum(stratum["single_token"] for stratum in features.values())
            by_stratum = " ".join(str(strata[number]) for number in range(protocol.sampling.strata))
            yield f"    {len(features)} features, by stratum of frequency {by_stratum}; {single} of one single token"


def _left_out(drawing: Drawing) -> Iterator[str]:
    yield "Features that are not shown"
    for name, source in drawing.material.sources.items():
        counts = source.counts
        yield (
            f"  {name}: {counts['eligible']} of {counts['features']} can be shown; {counts['dead']} are dead, "
            f"{counts['never']} never fire, {counts['rare']} fire in too few contexts or documents"
        )


def _sizes(drawing: Drawing) -> Iterator[str]:
    """Whether the dictionaries have one m, but for those whose kind gives it."""
    found = [source.dictionary for source in drawing.material.sources.values()]
    chosen = [one for one in found if not one.natural_size]
    if len({one.m for one in chosen}) > 1:
        sizes = ", ".join(f"{one.name} {one.m}" for one in chosen)
        yield f"Sizes differ: {sizes} features. Build them with one m, or what arms differ in may be their size"
    for one in found:
        if one.natural_size:
            yield f"Natural size: {one.name} has {one.m} features, as its kind gives"


def _imbalance(protocol: Protocol, items: tuple[FrozenItem, ...]) -> Iterator[str]:
    """What tells arms apart without reading, two at a time."""
    yield "Told apart without reading (AUC, 95% interval; .5: not at all)"
    pages = {
        arm.name: [item.pages[row.page] for item in items for row in item.key if _is_page(item) and row.arm == arm.name]
        for arm in protocol.arms
    }
    for one, other in combinations(pages, 2):
        for what, figures in (("lengths and unique tokens", TEXT), ("highlights as well", FIGURES)):
            found = separation(pages[one], pages[other], protocol.seed, figures)
            if found is None:
                yield f"  {one} and {other}: too few pages to say"
                break
            yield (
                f"  {one} and {other}, by {what}: {found.value:.2f} ({found.low:.2f} to {found.high:.2f}); "
                f"most by {found.figure}, {found.figure_value:.2f}"
            )


def _is_page(item: FrozenItem) -> bool:
    return item.purpose in ("main", "guess") and item.task != "intruder"


def _careless(protocol: Protocol) -> Iterator[str]:
    """How surely raters who do not read are left out of the analysis."""
    catch, allowed = protocol.catch, protocol.exclusions.catch_wrong
    number = catch.planted + catch.instructed
    yield "Careless raters"
    if number <= allowed:
        yield f"  only pace can tell: {number} pages have a known answer, and {allowed} may be wrong"
        return
    yield (
        f"  one who answers at random is left out with a chance of {power.caught(catch.planted, catch.instructed, allowed):.2f} "
        f"(more than {allowed} wrong of {number} pages with a known answer), and for a median under "
        f"{protocol.exclusions.median_seconds:g} s; a careful one, wrong one time in fifty, with "
        f"{power.slipped(number, allowed, SLIP):.3f}"
    )


def _power(protocol: Protocol, progress: power.Progress) -> Iterator[str]:
    yield f"Power, by simulation ({power.STUDIES} studies for each figure, true difference 0)"
    tasks, estimand = protocol.tasks, protocol.estimand
    if tasks.page and tasks.page.features < 2:
        yield "  scores: one feature an arm has no spread; ask for more"
    elif tasks.page:
        design = replace(SUPPOSED, features=tasks.page.features, raters=protocol.raters_per_item)
        if estimand:
            of_estimand = {key: getattr(estimand, key) for key in ("retention", "gate", "equivalence", "alpha")}
            design = replace(design, **of_estimand)
        found = power.scores(design, seed=protocol.seed, progress=progress)
        supposed = (
            f"{design.trained:g}/{design.random:g}/{design.null:g} of trained/random/null pages are interpretable"
        )
        yield f"  scores, {design.features} features an arm, {design.raters} raters, if {supposed}:"
        yield f"    gain over null above {design.gate:g} (assay gate): {found.gate:.2f}"
        yield f"    retention of {design.retention:.0%}: {found.retention:.2f}"
        yield f"    equivalence within ±{design.equivalence:g}: {found.equivalence:.2f}"
    if tasks.pair:
        compared = round(tasks.pair.pairs * tasks.pair.mix.between) // len(tasks.pair.contrasts)
        yield f"  pairs, {compared} of each contrast (scores on a 0–2 scale with SD 1.03):"
        for margin in (0.2, 0.3):
            reached = power.pairs(compared, margin) if compared > 3 else 0.0
            enough = power.needed(partial(power.pairs, margin=margin))
            yield f"    equivalence within ±{margin:g}: {reached:.2f}; {power.WANTED:.0%} needs {enough}"
        yield (
            f"    a 70:30 preference, all decisive: {power.decisive(compared):.2f}; {power.WANTED:.0%} needs "
            f"{power.decisive_needed()}"
        )
    if tasks.intruder:
        number = tasks.intruder.features
        yield f"  intruders, {number} feature{'s' * (number > 1)} an arm, {3 * tasks.intruder.trials} trials each (feature SD .3):"
        for gap in (0.1, 0.2):
            design_ = power.Intruders(number, gap, 3 * tasks.intruder.trials)
            reached = power.intruders(design_, seed=protocol.seed, progress=progress) if number > 1 else 0.0
            yield f"    a gap of {gap:g}: {reached:.2f}"
