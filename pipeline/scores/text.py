"""A site's stored contexts as arrays, and the grid of windows in which an embedder reads them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.hashing import mix

WINDOW, STEP = 32, 16  # tokens of a window, and from one window to the next
UNSEEN = 0.5  # occurrences that every token is given, so that none is impossible


@dataclass(frozen=True, slots=True)
class StoredContext:
    """`tokens` are strings, empty where one is joined to the one before; nothing fires at the `masked` positions."""

    id: int
    document: int
    pool: bool
    second: bool  # of the second text
    tokens: list[str]
    masked: list[int]


@dataclass(frozen=True, eq=False)
class SiteText:
    """`token[context, position]`: a number of what stands there, −1 for nothing; `open`: where a feature may fire.

    Contexts are rows, in order of `id`. `half` splits documents by lot in two, the same for all features.
    """

    id: NDArray[np.int64]
    token: NDArray[np.int32]
    open: NDArray[np.bool_]
    document: NDArray[np.int64]
    half: NDArray[np.int8]
    pool: NDArray[np.int64]  # rows of the arm-neutral contexts
    second: NDArray[np.int64]  # rows of the second text
    words: list[str]

    @classmethod
    def of(cls, contexts: Iterable[StoredContext], seed: int) -> "SiteText":
        rows = sorted(contexts, key=lambda one: one.id)
        length = max((len(one.tokens) for one in rows), default=0)
        numbers: dict[str, int] = {}
        token = np.full((len(rows), length), -1, np.int32)
        open_ = np.zeros((len(rows), length), bool)
        for row, one in enumerate(rows):
            token[row, : len(one.tokens)] = [numbers.setdefault(t, len(numbers)) if t else -1 for t in one.tokens]
            open_[row] = token[row] >= 0
            open_[row, one.masked] = False
        document = np.array([one.document for one in rows], np.int64)
        return cls(
            id=np.array([one.id for one in rows], np.int64),
            token=token,
            open=open_,
            document=document,
            half=(mix(seed, document) & np.uint64(1)).astype(np.int8),
            pool=np.flatnonzero([one.pool for one in rows]),
            second=np.flatnonzero([one.second for one in rows]),
            words=list(numbers),
        )

    def rows(self, ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """Where contexts stand."""
        return np.searchsorted(self.id, ids)

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """Of each token in the pool."""
        some = self.token[self.pool]
        count = np.bincount(some[some >= 0], minlength=len(self.words)) + UNSEEN
        shares: NDArray[np.float64] = count / count.sum()
        return shares

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where the windows of a context begin; the last one ends with it."""
        last = max(self.token.shape[1] - WINDOW, 0)
        return np.unique(np.r_[np.arange(0, last, STEP), last])

    def window(self, context: NDArray[np.int64], peak: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the window in whose middle a peak stands most nearly."""
        middle = self.starts + min(WINDOW, self.token.shape[1]) / 2
        edges = (middle[1:] + middle[:-1]) / 2
        return context * len(self.starts) + np.searchsorted(edges, peak)

    def read(self, windows: Iterable[int]) -> list[str]:
        """What windows say."""
        found = []
        for window in windows:
            context, place = divmod(window, len(self.starts))
            first = int(self.starts[place])
            some = self.token[context, first : first + WINDOW]
            found.append("".join([self.words[token] for token in some[some >= 0].tolist()]))
        return found
