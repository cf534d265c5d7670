"""From a revealed study in the store to its report: read, verify, analyse, write up. Runs in a process of its own.

compute(report, url, "demo", feature_path, seed)
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from app import verify
from app.computing import Report as Tell
from app.errors import Conflict, UserError
from app.feature_table import feature_table
from app.results.build import Check, Circumstances, report
from app.results.records import Report
from app.store.features import FeatureStore
from app.store.study import Study, StudyStore
from app.study.analysis.tables import Tables
from app.study.blinding import canonical_json
from app.study.protocol import Protocol
from app.tables import table_rows

SEED = 0
SEALED = "The results of “{}” are computed after the reveal; until then nobody sees an effect, nor does the server work one out."

UNSCORED = "Machine scores are not compared: the feature store that the study was drawn from is not here, or none of it was rated."


def compute(tell: Tell, url: str, name: str, feature_path: Path, seed: int = SEED, redraw: bool = False) -> Report:
    """The report of a study in the store at `url`; `tell` hears what is done and how far it is.

    With `redraw`, every item is drawn anew from the feature store, which may take minutes.

    Raises NotFound, Conflict before the reveal, UserError where the analysis refuses.
    """
    store = StudyStore.open(url)
    try:
        study = store.study(name)
        check_revealed(study)
        from app.study.analysis.run import analyse  # statistics take a second to import

        tell("Reading the ratings", 0.02)
        protocol = Protocol.from_canonical(canonical_json(study.protocol))
        features = FeatureStore(feature_path) if feature_path.exists() else None
        tables = read(store, name, protocol, features)
        tell("Deriving every hash again", 0.1)
        checks, unchecked = verified(store, name, features if redraw else None)
        if not tables.features:
            unchecked = (*unchecked, UNSCORED)
        tell("Resampling features and raters", 0.25)
        analysis = analyse(tables, seed=seed)
        tell("Simulating the power", 0.6)
        around = Circumstances(
            title=study.title,
            frozen=day(study.created_at),
            closed=day(study.closed_at),
            revealed=day(study.revealed_at),
            checks=checks,
            unchecked=unchecked,
        )
        return report(analysis, protocol, around, _within(tell, "Simulating the power", 0.6, 1.0))
    finally:
        store.dispose()


def check_revealed(study: Study) -> None:
    """Raises Conflict before the reveal: nothing of a study's effects is computed until then."""
    if study.state != "revealed":
        raise Conflict(SEALED.format(study.name))


def read(store: StudyStore, name: str, protocol: Protocol, features: FeatureStore | None) -> Tables:
    """The exported tables, as an analysis takes them; of the features, those that were rated."""
    ratings = list(table_rows(store, name, "ratings"))
    rated: dict[str, set[int]] = defaultdict(set)
    for row in ratings:
        if isinstance(row["dictionary"], str) and isinstance(row["feature"], int):
            rated[row["dictionary"]].add(row["feature"])
    table = feature_table(store, name, features) if features else None
    return Tables(
        ratings=ratings,
        items=list(table_rows(store, name, "items")),
        raters=list(table_rows(store, name, "raters")),
        features=list(table.rows(rated)) if table else [],
        protocol=protocol,
    )


def verified(store: StudyStore, name: str, features: FeatureStore | None) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """What `dartboard study verify` derives again, and what is not; items are drawn anew where there are `features`."""
    try:
        checks = [Check("protocol, items, key and chain of ratings", tuple(verify.verify_store(store, name)))]
    except UserError as error:
        return (), (str(error),)
    if features is None:
        return tuple(checks), (
            f"The items were not drawn anew from the feature store, which may take minutes: “dartboard study verify {name}” does.",
        )
    if not verify.drawn_from(store, name, features):
        return tuple(checks), ("The items were not drawn anew: the feature store here is another one.",)
    checks.append(Check("items, drawn anew from the feature store", tuple(verify.redraw(store, name, features))))
    return tuple(checks), ()


def day(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC") if at else "–"


def _within(tell: Tell, doing: str, start: float, end: float) -> Callable[[float], None]:
    return lambda share: tell(doing, start + (end - start) * share)
