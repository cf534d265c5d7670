"""Which features fire on the same tokens, counted exactly on the tokens whose codes are kept.

Strength is the Jaccard index of the two sets of tokens: n(both) / (n(a) + n(b) − n(both)), from 0 to 1. It asks for tokens
shared in proportion to both, so that a feature that fires everywhere is no one's partner merely by that. Pairs that
share fewer than LEAST tokens are left out: on so few, a large index is chance. A feature of a signed rule fires on a
token whether its value is above or below 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.dictionaries import Codes
from pipeline.tables import Related

LEAST = 3  # tokens
PAIRS = 2**23  # that may be in memory at a time


def firing(codes: Codes, m: int) -> sparse.csc_array:
    """`[token, m]`: 1 where a feature fires."""
    entries = np.ones(len(codes.index), np.int32)
    return sparse.csr_array((entries, codes.index.numpy(), codes.start.numpy()), shape=(len(codes), m)).tocsc()


def partners(own: sparse.csc_array, other: sparse.csc_array | None, name: str, n: int) -> Related:
    """The n strongest partners of every feature of `own[token, m]` in the dictionary called `name`, `other[token, m']`.

    None is `own` itself; then no feature is its own partner. Of equally strong ones that with the lower index comes first.
    Raises ValueError where the two are not of the same tokens.
    """
    among = own if other is None else other
    if own.shape[0] != among.shape[0]:
        raise ValueError(f"codes of {own.shape[0]} tokens can't be counted against codes of {among.shape[0]}")
    m = own.shape[1]
    totals = np.diff(own.indptr), np.diff(among.indptr)
    by_token = among.tocsr()
    feature = np.full((m, n), -1, np.int32)
    strength = np.zeros((m, n), np.float32)
    at_a_time = max(1, PAIRS // max(among.shape[1], 1))
    for start in range(0, m, at_a_time):
        rows, columns, together = _together(own[:, start : start + at_a_time], by_token)
        rows += start
        if other is None:
            others = rows != columns
            rows, columns, together = rows[others], columns[others], together[others]
        index = (together / (totals[0][rows] + totals[1][columns] - together)).astype(np.float32)
        order = np.lexsort((columns, -index, rows))
        place = np.arange(len(order)) - np.searchsorted(rows[order], rows[order])  # rank within the feature
        order, place = order[place < n], place[place < n]
        feature[rows[order], place] = columns[order]
        strength[rows[order], place] = index[order]
    return Related(name, "cofiring", feature, strength)


def _together(
    block: sparse.csc_array, by_token: sparse.csr_array
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(row, column, count) of each pair that shares LEAST tokens: column of `block`, column of `by_token`, how many."""
    counts = block.T.tocsr() @ by_token
    enough = counts.data >= LEAST
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[enough]
    return rows, counts.indices[enough].astype(np.int64), counts.data[enough].astype(np.int64)
