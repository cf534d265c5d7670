"""Read the machine scores that stand beside a feature store. Opened read-only; every query returns frozen dataclasses.

scores = Scores.beside(store)  # None where the features have not been scored
scores.of(dictionary.id, feature.index)
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.pool import QueuePool

from app.errors import NotFound, UserError
from app.files import database_marks, read_only
from app.store import score_schema as t
from app.store.features import FeatureStore

FILE = "scores.sqlite"
AGAIN = "make them anew with `dartboard scores`"


@dataclass(frozen=True, slots=True)
class Measure:
    """`chance`: what knows nothing scores. `low` and `high`: the smallest and the largest value that there can be."""

    name: str
    place: int
    source: str
    title: str
    meaning: str
    chance: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """One measure of one feature; `null`: the same of random contexts in place of the feature's own."""

    measure: str
    value: float
    null: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """In a language model's words. Of the `answers` in its scoring, `unreadable` ones count as chance."""

    text: str
    model: str
    prompt_version: str
    unreadable: int
    answers: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Mean:
    """A measure's mean over the features of a dictionary that have it, and that of its null."""

    dictionary_id: int
    measure: str
    features: int
    mean: float
    null: float | None


class Scores:
    """A file of scores. Raises NotFound where there is none, UserError where it is another file, or of other features."""

    def __init__(self, path: Path, store: FeatureStore) -> None:
        _check(path)
        self.path = path
        self.engine: Engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(self.uri, uri=True, check_same_thread=False),
            poolclass=QueuePool,
        )
        mine, theirs = self.provenance().get("feature_store", {}), store.provenance().get("build_key")
        if mine.get("build_key") != theirs:
            self.close()
            raise UserError(f"{path} holds scores of another feature store than {store.path}; {AGAIN}.")

    @classmethod
    def beside(cls, store: FeatureStore) -> "Scores | None":
        """The scores of a feature store's own folder; None where it has not been scored. Raises as the class does."""
        path = store.path.with_name(FILE)
        return cls(path, store) if path.is_file() else None

    @property
    def uri(self) -> str:
        """To connect to, or to ATTACH: read-only."""
        return read_only(self.path)

    def close(self) -> None:
        self.engine.dispose()

    def provenance(self) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return {row.key: row.value for row in connection.execute(select(t.provenance).order_by(t.provenance.c.key))}

    def measures(self) -> tuple[Measure, ...]:
        """In the order in which they are shown."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(t.measure).order_by(t.measure.c.place))
            return tuple(Measure(**row._mapping) for row in rows)

    def of(self, dictionary_id: int, index: int) -> tuple[Score, ...]:
        """A feature's scores in the order in which they are shown; empty where it has none."""
        return self.some(dictionary_id, [index]).get(index, ())

    def some(self, dictionary_id: int, indices: list[int] | None = None) -> dict[int, tuple[Score, ...]]:
        """The scores of these features of a dictionary, or of all that have any, by index."""
        s = t.score.c
        query = (
            select(s.feature, s.measure, s.value, s.null_value)
            .join(t.measure, t.measure.c.name == s.measure)
            .where(s.dictionary_id == dictionary_id, *([] if indices is None else [s.feature.in_(indices)]))
            .order_by(s.feature, t.measure.c.place)
        )
        found: dict[int, list[Score]] = {}
        with self.engine.connect() as connection:
            for feature, measure, value, null in connection.execute(query):
                found.setdefault(feature, []).append(Score(measure, value, null))
        return {feature: tuple(scores) for feature, scores in found.items()}

    def means(self) -> tuple[Mean, ...]:
        """Of every dictionary and measure, in the order in which measures are shown."""
        s = t.score.c
        columns = func.count(), func.avg(s.value), func.avg(s.null_value)
        query = (
            select(s.dictionary_id, s.measure, *columns)
            .join(t.measure, t.measure.c.name == s.measure)
            .group_by(s.dictionary_id, s.measure)
            .order_by(s.dictionary_id, t.measure.c.place)
        )
        with self.engine.connect() as connection:
            return tuple(Mean(*row) for row in connection.execute(query))

    def explanation(self, dictionary_id: int, index: int) -> Explanation | None:
        """None where no language model was asked about this feature."""
        return next((text for _, text in self._explanations(dictionary_id, index)), None)

    def explanations(self, dictionary_id: int) -> dict[int, Explanation]:
        """Those of a dictionary, by feature."""
        return dict(self._explanations(dictionary_id))

    def _explanations(self, dictionary_id: int, index: int | None = None) -> Iterator[tuple[int, Explanation]]:
        e = t.explanation.c
        columns = e.text, e.model, e.prompt_version, e.unreadable, e.answers, e.prompt_tokens, e.completion_tokens
        where = [e.dictionary_id == dictionary_id, *([] if index is None else [e.feature == index])]
        with self.engine.connect() as connection:
            for feature, *rest in connection.execute(select(e.feature, *columns).where(*where).order_by(e.feature)):
                yield feature, Explanation(*rest)


def _check(path: Path) -> None:
    if not path.is_file():
        raise NotFound(f"There are no scores at {path}; make them with `dartboard scores`.")
    try:
        application_id, version = database_marks(path)
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path} is not a file of dartboard's scores ({error}); {AGAIN}.") from error
    if application_id != t.APPLICATION_ID:
        raise UserError(f"{path} is a database, but not one of dartboard's scores; {AGAIN}.")
    if version != t.SCHEMA_VERSION:
        raise UserError(f"{path} has schema {version}, but this dartboard reads {t.SCHEMA_VERSION}; {AGAIN}.")
