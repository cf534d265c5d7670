"""The machine scores beside a feature store, as they are now: scored once more or for the first time, they are read anew."""

from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from app.browse.kept import kept
from app.errors import UserError
from app.files import Stamp, file_stamp
from app.store.features import FeatureStore
from app.store.scores import FILE, Measure, Scores

UNREADABLE = f"{FILE} cannot be read; make it anew with `dartboard scores`."


@dataclass(frozen=True, slots=True)
class Beside:
    """`problem`: why there are none, where there is a file."""

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


def scores_beside(store: FeatureStore) -> Beside:
    """The scores, with which lists of the store's features can be narrowed and sorted from here on."""
    return kept(store, ("scores beside", scores_stamp(store)), lambda: read(store))


def scores_stamp(store: FeatureStore) -> Stamp | None:
    """What tells one file of scores from another; None where there is none."""
    return file_stamp(store.path.with_name(FILE))


def read(store: FeatureStore) -> Beside:
    try:
        scores = Scores.beside(store)
        measures = scores.measures() if scores else ()
    except UserError as error:
        scores, found = None, Beside(problem=str(error))
    except SQLAlchemyError:
        scores, found = None, Beside(problem=UNREADABLE)
    else:
        found = Beside(scores, measures)
    store.attach(scores.uri if scores else None)
    return found
