"""What a dictionary's features are listed by, as columns in memory: any filter and order of 100,000 takes some milliseconds.

Some 80 bytes a feature, read once from an index that holds nothing else; the file never changes.
"""

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from sys import intern
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.store import feature_schema as t

READ = (
    "SELECT state, single_token, frequency, max, mean, peak_entropy, top_token "
    f'FROM feature INDEXED BY {t.FEATURE_FIGURES} WHERE dictionary_id = ? ORDER BY "index"'
)
NUMBERS = ("frequency", "max", "mean", "entropy")


class Wanted(Protocol):
    """What a list is narrowed to: `app.store.features.FeatureFilter`, whose fields say what each means."""

    @property
    def state(self) -> str | None: ...
    @property
    def single_token(self) -> bool | None: ...
    @property
    def token(self) -> str | None: ...
    @property
    def among(self) -> frozenset[int] | None: ...
    @property
    def score(self) -> str | None: ...
    def bounds(self) -> "Iterable[tuple[str, float | None, float | None]]": ...


@dataclass(frozen=True, slots=True)
class Columns:
    """`[m]` each. `token[feature]` is a place among `tokens`, which are in lower case; `states` and `top`, the
    tokens as they are, are for other features' pages, which name a few features each.
    """

    state: NDArray[np.str_]
    single: NDArray[np.bool_]
    figures: dict[str, NDArray[np.float64]]
    token: NDArray[np.int64]
    tokens: list[str]
    states: list[str]
    top: list[str]

    @classmethod
    def read(cls, connection: sqlite3.Connection, dictionary_id: int) -> "Columns":
        rows = connection.execute(READ, (dictionary_id,)).fetchall()
        state, single, *numbers, token = zip(*rows, strict=True) if rows else [()] * 7
        figures = {name: np.array(column, np.float64) for name, column in zip(NUMBERS, numbers, strict=True)}
        known: dict[str, int] = {}
        places = np.array([known.setdefault(name.casefold(), len(known)) for name in token], np.int64)
        texts = list(map(intern, state)), list(map(intern, token))
        return cls(np.array(state, np.str_), np.array(single, bool), figures, places, list(known), *texts)

    def order(
        self, where: Wanted, sort: str, descending: bool, scores: Callable[[str], NDArray[np.float64]]
    ) -> NDArray[np.int64]:
        """The numbers of the features that pass, in order; of equals the smaller number first, or last where descending.

        `scores`: a measure's value of every feature, NaN where it has none.
        """
        found = np.flatnonzero(self.passing(where, scores))
        if sort != "index":
            keys = scores(where.score or "") if sort == "score" else self.figures[sort]
            found = found[np.argsort(keys[found], kind="stable")]
        return found[::-1] if descending else found

    def passing(self, where: Wanted, scores: Callable[[str], NDArray[np.float64]]) -> NDArray[np.bool_]:
        passes = np.ones(len(self.state), bool)
        if where.state is not None:
            passes &= self.state == where.state
        if where.single_token is not None:
            passes &= self.single == where.single_token
        if where.token:
            part = where.token.casefold()
            passes &= np.array([part in name for name in self.tokens], bool)[self.token]
        if where.among is not None:
            some = np.zeros(len(passes), bool)
            some[[number for number in where.among if 0 <= number < len(passes)]] = True
            passes &= some
        if where.score is not None:
            passes &= ~np.isnan(scores(where.score))
        for name, low, high in where.bounds():
            if low is not None or high is not None:
                values = scores(where.score or "") if name == "score" else self.figures[name]
                passes &= values >= (-np.inf if low is None else low)
                passes &= values <= (np.inf if high is None else high)
        return passes
