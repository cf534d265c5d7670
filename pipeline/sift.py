"""The largest values of every column of a matrix that is seen some rows at a time: those above a running bound are held.

For rows in random order a column takes in about n + n·ln(rows / n) values, so that nearly all of the work is comparing.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

LANES = 64


@compiled
def sift(
    values: NDArray[np.float32],
    first: int,
    n: int,
    least: NDArray[np.float32],
    filled: NDArray[np.int32],
    index: NDArray[np.int32],
    value: NDArray[np.float32],
) -> None:
    """Take in `values[row, column]`, whose first row has number `first`; every row comes once, in order.

    `least[column]` (at first −∞) is what a value must exceed; `filled[column]` (0) are held in `index` and `value`, both
    `[column, 2n]`.
    """
    columns = values.shape[1]
    for row in range(len(values)):
        for begin in range(0, columns, LANES):
            end = min(begin + LANES, columns)
            above = np.int32(0)
            for column in range(begin, end):
                above += np.int32(values[row, column] > least[column])
            if above == 0:
                continue
            for column in range(begin, end):
                if values[row, column] > least[column]:
                    place = filled[column]
                    index[column, place] = first + row
                    value[column, place] = values[row, column]
                    filled[column] = place + 1
                    if place + 1 == 2 * n:
                        _halve(index[column], value[column], place + 1, n)
                        filled[column] = n
                        least[column] = value[column, :n].min()


@compiled
def keep_largest(filled: NDArray[np.int32], index: NDArray[np.int32], value: NDArray[np.float32], n: int) -> None:
    """Leave the n largest of each column, in the first n places; there must be as many."""
    for column in range(len(filled)):
        _halve(index[column], value[column], filled[column], n)


@compiled
def _halve(index: NDArray[np.int32], value: NDArray[np.float32], filled: int, n: int) -> None:
    """The n largest of the first `filled` come first, in the order they came in; of equal ones those that came first."""
    if filled <= n:
        return
    bound = np.sort(value[:filled])[filled - n]
    room = n
    for place in range(filled):
        room -= int(value[place] > bound)
    kept = 0
    for place in range(filled):
        equal = value[place] == bound
        if value[place] > bound or (equal and room > 0):
            room -= int(equal)
            index[kept] = index[place]
            value[kept] = value[place]
            kept += 1
