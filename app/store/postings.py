"""Features by what they are looked up by (a context, a token), packed: one blob a context or token. Little-endian.

A blob begins with a byte for each of its columns, features first: how many bytes a number of the column takes, 1, 2 or 4.
The columns follow, one after the other. Features ascend and are stored as gaps, the first as it is, so that some hundred
features of one dictionary take a byte or two each.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

WIDTHS = (1, 2, 4)


def pack_postings(
    group: NDArray[np.integer], feature: NDArray[np.integer], columns: Sequence[NDArray[np.integer]]
) -> Iterator[tuple[int, bytes]]:
    """Each group with its blob. `group[n]` ascends, `feature[n]` within it; `columns`: what else is held, `[n]` each."""
    if not len(group):
        return
    first = np.flatnonzero(np.diff(group, prepend=group[:1] - 1) != 0)
    gaps = feature.astype(np.int64)
    gaps[1:] -= feature[:-1]
    gaps[first] = feature[first]
    every: list[NDArray[np.integer]] = [gaps, *columns]
    widths = np.stack([_widths(values, first) for values in every], axis=1)
    heads, size = widths.tobytes(), len(every)
    data = [
        ({width: np.ascontiguousarray(values, f"<u{width}").tobytes() for width in set(column)}, column)
        for values, column in zip(every, widths.T.tolist(), strict=True)
    ]
    ends = [*first[1:].tolist(), len(group)]
    for number, (one, begin, end) in enumerate(zip(group[first].tolist(), first.tolist(), ends, strict=True)):
        parts = [heads[number * size : (number + 1) * size]]
        for packed, width in data:
            wide = width[number]
            parts.append(packed[wide][begin * wide : end * wide])
        yield one, b"".join(parts)


def _widths(values: NDArray[np.integer], first: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Bytes that the largest number of each group takes."""
    largest = np.maximum.reduceat(values, first)
    return np.where(largest < 2**8, 1, np.where(largest < 2**16, 2, 4)).astype(np.uint8)


def unpack_postings(blob: bytes, columns: int) -> tuple[NDArray[np.int64], ...]:
    """Features and `columns` columns more, `[n]` each. Raises ValueError where the blob's length does not fit its widths."""
    widths = blob[: columns + 1]
    count, rest = divmod(len(blob) - len(widths), sum(widths) or 1)
    if rest or len(widths) <= columns or not set(widths) <= set(WIDTHS):
        raise ValueError(f"{len(blob)} bytes are no postings of {columns} columns beside the features")
    starts = accumulate((count * width for width in widths[:-1]), initial=len(widths))
    found = [
        np.frombuffer(blob, f"<u{width}", count, start).astype(np.int64)
        for width, start in zip(widths, starts, strict=True)
    ]
    return np.cumsum(found[0]), *found[1:]
