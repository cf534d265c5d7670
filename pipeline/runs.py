"""Runs of equal keys in an array."""

import numpy as np
from numpy.typing import NDArray


def firsts(keys: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each run begins."""
    begins = np.ones(len(keys), bool)
    begins[1:] = keys[1:] != keys[:-1]
    return np.flatnonzero(begins)


def ranks(keys: NDArray[np.integer]) -> NDArray[np.int64]:
    """The place of each entry within its run, from 0."""
    first = firsts(keys)
    return np.arange(len(keys)) - np.repeat(first, np.diff(first, append=len(keys)))
