"""The whole analysis of a study: tables in, one frozen Analysis out. Same tables, same seed: same figures.

    analyse(Tables(ratings, items, raters, protocol=protocol), seed=0)

Each part draws from a generator of its own, made of the seed and the part's name, so that none changes another's figures.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from app.errors import UserError
from app.study.analysis.agreement import agreement
from app.study.analysis.blinding import blinding
from app.study.analysis.bootstrap import RESAMPLES
from app.study.analysis.compare import arm_results, contrasts, dictionary_results
from app.study.analysis.crossed import crossed_log_odds
from app.study.analysis.design import Design
from app.study.analysis.figures import missing
from app.study.analysis.headline import assess, by_rater, criterion
from app.study.analysis.intruder import intruder_results, trial_grids
from app.study.analysis.machine import agreement_with_machines
from app.study.analysis.ordinal import log_odds, superiority
from app.study.analysis.outcome import Grid, page_grids, raters_in, raters_of, strata_of
from app.study.analysis.pairs import pair_results
from app.study.analysis.parts import Blinding, Intruders, RaterQuality
from app.study.analysis.raters import quality, times
from app.study.analysis.report import Analysis, Headline, Sensitivity
from app.study.analysis.sensitivity import others, variants
from app.study.analysis.strata import strata
from app.study.analysis.tables import Tables, checked
from app.study.analysis.verdict import scope_of, verdict


def analyse(
    tables: Tables, design: Design | None = None, seed: int = 0, resamples: int = RESAMPLES, crossed: bool = False
) -> Analysis:
    """Every figure of docs/analysis.md. `design` is the protocol's where not given.

    Raises UserError where the tables are not the export of a revealed study, or where a library is not installed.
    """
    _require_libraries()
    checked(tables)
    design = design or (
        Design.of(tables.protocol) if tables.protocol else Design.given(None, None, None, arms_of(tables))
    )
    rows = tables.ratings
    judged = quality(tables, design)
    raters = raters_of(rows, {one.rater for one in judged if one.excluded})
    grids = page_grids(tables, design.names, raters, design.strata)
    trials = trial_grids(rows, strata_of(tables.items), design.names, raters, design.strata)
    core = assess(grids, design, _rng(seed, "headline"), resamples)
    intruders, asked = intruder_results(trials, design, _rng(seed, "intruders"), resamples)
    blind = blinding(rows, tables.items, design, raters, _rng(seed, "blinding"), resamples)
    counted = _counted(grids, design)
    level = 1 - design.alpha
    trained, random = grids.get(design.trained or ""), grids.get(design.random or "")
    none = missing("An arm of the comparison has no solo page with an answer.")
    first = rows[0]
    return Analysis(
        study=str(first["study"]),
        protocol_hash=str(first["protocol_hash"]),
        key_commitment=str(first["key_commitment"]),
        chain_head=str(first["chain_head"]),
        seed=seed,
        resamples=resamples,
        design=design,
        scope=scope_of(counted),
        raters_counted=counted,
        verdict=verdict(core, asked, design, counted),
        headline=Headline(
            gate=criterion(core.gate, design.gate, core.gate_met(design)),
            retention=criterion(core.retention, 0.0, core.retained()),
            difference=criterion(core.difference, 0.0, core.differs()),
            equivalence=criterion(core.equivalence, design.equivalence, core.equivalent(design)),
            ratio=core.ratio,
            intruder=asked,
            raters=by_rater(grids, design, raters),
        ),
        arms=arm_results(grids, design, _rng(seed, "arms"), resamples),
        dictionaries=dictionary_results(grids, design, _rng(seed, "dictionaries"), resamples),
        contrasts=contrasts(grids, design, _rng(seed, "contrasts"), resamples),
        sensitivity=Sensitivity(
            variants=variants(tables, grids, core, design, judged, _rng(seed, "variants"), resamples),
            superiority=superiority(trained, random, _rng(seed, "superiority"), resamples, level)
            if trained is not None and random is not None
            else none,
            log_odds=log_odds(grids, design, level) if trained is not None and random is not None else none,
            crossed=crossed_log_odds(grids, design, seed, level) if crossed else None,
            others=others(grids, design, _rng(seed, "others"), resamples),
        ),
        strata=strata(grids, trials, tables.features, design, _rng(seed, "strata"), resamples),
        pairs=pair_results(rows, design, raters, _rng(seed, "pairs"), resamples),
        intruders=intruders,
        agreement=agreement(rows, grids, raters, level, _rng(seed, "agreement"), resamples),
        blinding=blind,
        raters=judged,
        times=times(rows),
        machine=agreement_with_machines(grids, tables.features, design),
        warnings=(*_warnings(tables, design, judged, raters, grids), *_of_parts(intruders, blind)),
    )


def _of_parts(intruders: Intruders | None, blind: Blinding) -> Iterator[str]:
    """What one part says that weakens all of them."""
    if intruders:
        yield from intruders.warnings
    if blind.conditional.low is not None and blind.conditional.low > 0:
        yield blind.verdict


def _require_libraries() -> None:
    try:
        import krippendorff
        import scipy
        import statsmodels
    except ModuleNotFoundError as error:
        raise UserError(
            f"The analysis needs {error.name}, which is not installed: pip install 'dartboard[analysis]'."
        ) from error
    del krippendorff, scipy, statsmodels


def _rng(seed: int, part: str) -> np.random.Generator:
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(part.encode()).digest()[:8])])


def arms_of(tables: Tables) -> list[str]:
    """The arms that were rated, where no protocol says them."""
    own = (row for row in tables.ratings if row["purpose"] != "catch")
    return sorted({str(name) for row in own for name in (row["arm"], row["other_arm"]) if name is not None})


def _counted(grids: Mapping[str, Grid], design: Design) -> int:
    """Raters of the arms that the headline compares; of all arms where it cannot."""
    compared = [grids[name] for name in (design.trained, design.random, design.null) if name and name in grids]
    return raters_in(compared or list(grids.values()))


def _warnings(
    tables: Tables, design: Design, judged: Sequence[RaterQuality], raters: Sequence[str], grids: Mapping[str, Grid]
) -> Iterator[str]:
    """What is to be known before any figure is believed."""
    if any(row["source"] == "simulated" for row in tables.raters):
        yield "The raters are simulated: no person gave these answers."
    if tables.protocol is None:
        yield "No protocol came with the ratings: margins and exclusions are the defaults of a study file."
    elif not design.declared:
        yield "The protocol declares no estimand, so the study has no headline."
    if not tables.items:
        yield "No items came with the ratings: pages weigh alike, and strata and leaks are not assessed."
    if judged and all(one.excluded for one in judged):
        yield "Every rater is left out by the declared rules: no answer counts."
    elif len(raters) == 1:
        yield "One rater alone: agreement cannot be assessed."
    staff = sum(one.staff and not one.excluded for one in judged)
    if staff:
        yield f"{staff} of the raters also had a login, and may have recognised pages."
    silent = [arm.name for arm in design.arms if arm.name not in grids]
    if tables.protocol and tables.protocol.tasks.page and silent:
        yield f"No solo page has an answer that counts in: {', '.join(silent)}."
    shown = {row["item"] for row in tables.items if row["task"] == "page" and row["purpose"] == "main"}
    rated = {unit.item for grid in grids.values() for unit in grid.units}
    if shown and len(rated) < len(shown):
        yield f"{len(shown) - len(rated)} of {len(shown)} solo pages have no answer that counts."
    short = (
        sum(int(((grid.score >= 0).sum(1) < tables.protocol.raters_per_item).sum()) for grid in grids.values())
        if (tables.protocol)
        else 0
    )
    if short and tables.protocol:
        yield f"{short} of {len(rated)} solo pages have fewer than the {tables.protocol.raters_per_item} ratings asked for."
