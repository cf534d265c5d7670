"""The machine scores beside a feature store, as they are now: scored once more or for the first time, they are read anew."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.exc import SQLAlchemyError

from app.browse.kept import kept
from app.errors import UserError
from app.files import Stamp, file_stamp
from app.render import NOTHING, part
from app.store.features import Feature, FeatureStore
from app.store.scores import FILE, Explanation, Measure, Score, Scores

UNREADABLE = f"{FILE} cannot be read; make it anew with `dartboard scores`."


@dataclass(frozen=True, slots=True)
class Beside:
    """`problem`: why there are none, where there is a file; `stamp`: which file."""

    stamp: Stamp | None = None
    scores: Scores | None = None
    measures: tuple[Measure, ...] = ()
    problem: str | None = None

    @property
    def titles(self) -> dict[str, str]:
        """What each measure is called, by name."""
        return {one.name: one.title for one in self.measures}

    @property
    def meanings(self) -> dict[str, str]:
        """What each measure says, in a sentence, by name."""
        return {one.name: one.meaning for one in self.measures}


@dataclass(frozen=True, slots=True)
class ScoreLine:
    title: str
    meaning: str
    chance: float | None
    score: Score


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """The scores of a feature. `problem`: why there is nothing to show of a file of scores that is there."""

    lines: tuple[ScoreLine, ...]
    explanation: Explanation | None
    problem: str = ""


def scores_beside(store: FeatureStore) -> Beside:
    """The scores, with which lists of the store's features can be narrowed and sorted from here on."""
    stamp = file_stamp(store.path.with_name(FILE))
    return kept(store, ("scores beside", stamp), lambda: read(store, stamp))


def read(store: FeatureStore, stamp: Stamp | None) -> Beside:
    try:
        scores = Scores.beside(store)
        measures = scores.measures() if scores else ()
    except UserError as error:
        scores, found = None, Beside(stamp, problem=str(error))
    except SQLAlchemyError:
        scores, found = None, Beside(stamp, problem=UNREADABLE)
    else:
        found = Beside(stamp, scores, measures)
    store.attach(scores.uri if scores else None)
    return found


def score_table(beside: Beside, feature: Feature) -> ScoreTable | None:
    """None where there is no file of scores."""
    if beside.problem is not None:
        return ScoreTable((), None, beside.problem)
    if beside.scores is None:
        return None
    measures = {one.name: one for one in beside.measures}
    place = feature.dictionary_id, feature.index
    try:
        lines = tuple(
            ScoreLine(measures[one.measure].title, measures[one.measure].meaning, measures[one.measure].chance, one)
            for one in beside.scores.of(*place)
        )
        return ScoreTable(lines, beside.scores.explanation(*place))
    except SQLAlchemyError:
        return ScoreTable((), None, UNREADABLE)


def score_part(beside: Beside, feature: Feature) -> Markup:
    """The section of a feature's page; empty where there is no file of scores."""
    table = score_table(beside, feature)
    return part("browse/_scores.html", table) if table is not None else NOTHING
