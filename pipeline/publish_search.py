"""What searches need, written beside the rows that it follows from: the full text of contexts, and features by context and token.

Everything is written in order of its key, whatever the order in which workers bring it: equal builds make equal tables.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from app.store import feature_schema as t
from app.store.matching import plain, token_key
from app.store.postings import pack_postings
from pipeline.rows import Places
from pipeline.tables import Outputs

Rows = Iterator[tuple[int | str | bytes, ...]]


def create_full_text(connection: Connection) -> None:
    connection.execute(text(t.CONTEXT_TEXT))


def add_full_text(connection: Connection, ids: Sequence[int], texts: Sequence[str]) -> None:
    """Contexts with their text, in order of id."""
    rows = [(number, plain(words)) for number, words in zip(ids, texts, strict=True)]
    connection.exec_driver_sql("INSERT INTO context_text (rowid, text) VALUES (?, ?)", rows)


def finish_full_text(connection: Connection) -> None:
    """One segment is the smallest and the fastest to search."""
    connection.execute(text("INSERT INTO context_text (context_text) VALUES ('optimize')"))


def write_context_features(connection: Connection, dictionary: int, parts: Sequence[Places]) -> None:
    """The features of every context, from the hits of a dictionary's blocks."""
    _insert(connection, t.context_feature.name, 3, _context_rows(dictionary, Places.concatenate(parts)))


def _context_rows(dictionary: int, places: Places) -> Rows:
    order = np.lexsort((places.peak, places.feature, places.context))
    columns: list[NDArray[np.integer]] = [places.peak[order], places.strength[order]]
    for context, blob in pack_postings(places.context[order], places.feature[order], columns):
        yield dictionary, context, blob


def write_output_tokens(
    connection: Connection, dictionary: int, outputs: Outputs | None, shown: Callable[[int], str]
) -> None:
    """The features that raise and lower each token most; `shown`: a token's text by its id."""
    if outputs is not None:
        _insert(connection, t.output_token.name, 5, _token_rows(dictionary, outputs, shown))


@dataclass(frozen=True, slots=True)
class _Side:
    """Of one side of the logit lens, by token: the numbers of the strings that occur, and the blob of each."""

    blobs: dict[int, bytes]

    @classmethod
    def of(cls, string: NDArray[np.int64]) -> "_Side":
        """`string[m, n]`: the number of each listed token's text."""
        m, n = string.shape
        feature, place = np.divmod(np.arange(m * n), max(n, 1))
        order = np.argsort(string.reshape(-1), kind="stable")
        return cls(dict(pack_postings(string.reshape(-1)[order], feature[order], [place[order]])))


def _token_rows(dictionary: int, outputs: Outputs, shown: Callable[[int], str]) -> Rows:
    ids = np.unique(np.concatenate([outputs.top_token.reshape(-1), outputs.bottom_token.reshape(-1)]))
    names = [shown(token) for token in ids.tolist()]
    strings = sorted({(token_key(name), name) for name in names})
    number = {name: place for place, (_, name) in enumerate(strings)}
    of_id = np.array([number[name] for name in names], np.int64)
    raises, lowers = (
        _Side.of(of_id[np.searchsorted(ids, tokens)]).blobs for tokens in (outputs.top_token, outputs.bottom_token)
    )
    for place, (key, name) in enumerate(strings):
        yield dictionary, key, name, raises.get(place, b""), lowers.get(place, b"")


def _insert(connection: Connection, table: str, columns: int, rows: Rows) -> None:
    values = list(rows)
    if values:
        connection.exec_driver_sql(f'INSERT INTO "{table}" VALUES ({", ".join("?" * columns)})', values)
