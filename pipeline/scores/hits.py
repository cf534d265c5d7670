"""Where some features of a dictionary fire, as columns, and the null: random contexts in their place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.hashing import derive, mix
from pipeline.scores.kernels import draw_alike
from pipeline.scores.text import SiteText

TOP, SECOND = 0, 6  # groups; 1 to 5 are the fifths of a feature's range, strongest first
FIFTHS = 5
THIRDS = 3


@dataclass(frozen=True, slots=True)
class FeatureHits:
    """One feature's distinct hits, and those of each group by place, strongest first."""

    context: NDArray[np.integer]  # ids
    peak: NDArray[np.integer]
    groups: Sequence[NDArray[np.integer]]


@dataclass(frozen=True, eq=False)
class BlockHits:
    """Distinct hits `[h]` of some features, `[start[f], start[f + 1])` of each; rows of a site's text.

    `member[i]` is a hit of group `group[i]` of feature `owner[i]`, and `rank[i]` its place there: by feature, group, rank.
    """

    key: NDArray[np.uint64]  # of each feature, for what is drawn
    start: NDArray[np.int64]
    context: NDArray[np.int64]
    peak: NDArray[np.int64]
    member: NDArray[np.int64]
    owner: NDArray[np.int64]
    group: NDArray[np.int64]
    rank: NDArray[np.int64]

    @classmethod
    def of(
        cls, features: Sequence[int], hits: Sequence[FeatureHits], text: SiteText, seed: int, dictionary: str
    ) -> "BlockHits":
        start = np.r_[0, np.cumsum([len(one.context) for one in hits], dtype=np.int64)]
        groups = [(f, g, places) for f, one in enumerate(hits) for g, places in enumerate(one.groups) if len(places)]
        sizes = np.array([len(places) for _, _, places in groups], np.int64)
        none = np.zeros(0, np.int64)
        owner = np.repeat(np.array([f for f, _, _ in groups], np.int64), sizes)
        return cls(
            key=mix(derive(seed, "scores", dictionary), np.array(features, np.uint64)),
            start=start,
            context=text.rows(np.concatenate([none, *(one.context for one in hits)]).astype(np.int64)),
            peak=np.concatenate([none, *(one.peak for one in hits)]).astype(np.int64),
            member=np.concatenate([none, *(places for _, _, places in groups)]).astype(np.int64) + start[owner],
            owner=owner,
            group=np.repeat(np.array([g for _, g, _ in groups], np.int64), sizes),
            rank=np.concatenate([none, *(np.arange(size) for size in sizes.tolist())]).astype(np.int64),
        )

    def __len__(self) -> int:
        """Features."""
        return len(self.key)

    @cached_property
    def feature(self) -> NDArray[np.int64]:
        """Of each hit."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    @cached_property
    def sampled(self) -> NDArray[np.bool_]:
        """Which hits are of the fifths, a uniform sample of those on which the feature fires."""
        return self.third >= 0

    @cached_property
    def third(self) -> NDArray[np.int8]:
        """The third of its feature's range that a hit of the fifths stands in, strongest first; −1 for the others.

        Hit i of the n of a fifth stands at (i + ½)/n of it.
        """
        fifths = (self.group > TOP) & (self.group <= FIFTHS)
        cell = self.owner[fifths] * FIFTHS + self.group[fifths] - 1
        size = np.bincount(cell, minlength=len(self) * FIFTHS)[cell]
        place = (self.group[fifths] - 1 + (self.rank[fifths] + 0.5) / size) / FIFTHS
        third = np.full(len(self.context), -1, np.int8)
        third[self.member[fifths]] = np.minimum((place * THIRDS).astype(np.int8), THIRDS - 1)
        return third

    def of_group(self, group: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Feature and hit of a group's members, by feature and strength."""
        mine = self.group == group
        return self.owner[mine], self.member[mine]

    @cached_property
    def first_text(self) -> NDArray[np.bool_]:
        """Which hits are of the first text: of any group but the second text's."""
        own = np.zeros(len(self.context), bool)
        own[self.member[self.group != SECOND]] = True
        return own

    def null(self, text: SiteText) -> "BlockHits":
        """The same hits with each context replaced by a random one, open at the same position, one a document.

        Contexts of the second text are replaced by others of it that the store holds.
        """
        context = self.context.copy()
        for number, (rows, mine) in enumerate(((text.pool, self.first_text), (text.second, ~self.first_text))):
            if not mine.any() or not len(rows):
                continue
            start = np.searchsorted(np.flatnonzero(mine), self.start)
            none = np.zeros(0, np.int64), np.zeros(len(self) + 1, np.int64)
            key = mix(derive(number, "null"), self.key)
            drawn = draw_alike(key, start, self.peak[mine], rows, text.open, text.document, *none, 1, True)[:, 0]
            again = draw_alike(key, start, self.peak[mine], rows, text.open, text.document, *none, 1, False)[:, 0]
            found = np.where(drawn >= 0, drawn, again)
            context[mine] = np.where(found >= 0, found, context[mine])
        return replace(self, context=context, key=mix(derive(2, "null"), self.key))

    def against(self, text: SiteText, each: int, purpose: str, hit: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each of some hits, by feature, `each` contexts of the pool of documents in which the feature is not known to fire.

        Each is open at the hit's own peak, so that places in the context are matched. −1 for none.
        """
        start = np.searchsorted(hit, self.start)
        key = mix(derive(0, purpose), self.key)
        known = text.document[self.context]
        found = draw_alike(
            key, start, self.peak[hit], text.pool, text.open, text.document, known, self.start, each, False
        )
        return found
