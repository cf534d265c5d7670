"""Score a block of features: every measure of their hits, and of random contexts in place of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipeline.hashing import derive, mix
from pipeline.scores.hits import BlockHits
from pipeline.scores.meaning import Asked, Embedded, asked, meaning_scores
from pipeline.scores.measures import CONTEXTS
from pipeline.scores.peaks import null_slope, peak_scores, stability
from pipeline.scores.store import Entry, Facts, ScoreRow, Source
from pipeline.scores.text import SiteText
from pipeline.scores.words import word_scores

WIDTH = 512  # features of a block
DECILES = 10
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A piece of work: some features of a dictionary, ascending."""

    dictionary: Entry
    number: int
    facts: Facts  # of these features

    @property
    def name(self) -> str:
        return f"{self.dictionary.id}-{self.number}"


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """A block's hits and the null's, and what an embedder is asked of either; None without one."""

    hits: BlockHits
    null: BlockHits
    asked: tuple[Asked, Asked] | None

    @classmethod
    def of(cls, block: Block, source: Source, text: SiteText, seed: int, embedder: bool) -> "Sides":
        hits = source.hits(block.dictionary, block.facts.index.tolist(), text, seed)
        null = hits.null(text)
        return cls(hits, null, (asked(hits, text), asked(null, text)) if embedder else None)


def blocks(dictionary: Entry, facts: Facts, most: int | None, seed: int) -> list[Block]:
    """The features that have hits, WIDTH at a time; of the live ones `most`, drawn evenly over the tenths of frequency."""
    places = (
        np.arange(len(facts.index)) if most is None else _drawn(facts, most, derive(seed, "drawn", dictionary.name))
    )
    pieces = [places[first : first + WIDTH] for first in range(0, len(places), WIDTH)]
    return [Block(dictionary, number, _some(facts, piece)) for number, piece in enumerate(pieces)]


def _some(facts: Facts, places: NDArray[np.int64]) -> Facts:
    return Facts(**{column.name: getattr(facts, column.name)[places] for column in fields(Facts)})


def _drawn(facts: Facts, most: int, seed: int) -> NDArray[np.int64]:
    """Places of `most` live features, ascending: equally many, to within one, of each tenth of their frequencies."""
    live = np.flatnonzero(facts.live)
    ranked = live[np.lexsort((facts.index[live], facts.frequency[live]))]
    bounds = [len(ranked) * tenth // DECILES for tenth in range(DECILES + 1)]
    wanted = [min(most, len(ranked)) * (tenth + 1) // DECILES for tenth in range(DECILES)]
    chosen = [np.zeros(0, np.int64)]
    taken = 0
    for first, last, until in zip(bounds[:-1], bounds[1:], wanted, strict=True):
        part = ranked[first:last]
        lot = np.argsort(mix(seed, facts.index[part]), kind="stable")
        chosen.append(part[lot[: until - taken]])
        taken += len(chosen[-1])
    return np.sort(np.concatenate(chosen))


def block_scores(
    block: Block, sides: Sides, text: SiteText, embedded: Embedded | None, sampled: int
) -> dict[str, tuple[Values, Values]]:
    """By measure, `value[feature]` and that of the null; NaN where there is none.

    `sampled`: hits that a decile slope is measured on, at most.
    """
    found = [_scores(hits, text) for hits in (sides.hits, sides.null)]
    if sides.asked is not None and embedded is not None:
        for side, wanted in enumerate(sides.asked):
            found[side] |= meaning_scores(wanted, embedded)
    slope, alike = block.facts.decile_slope, block.facts.second_stability
    number = np.minimum(block.facts.count, sampled)
    found[0] |= {"decile_slope": slope, "second_stability": alike}
    found[1] |= {
        "decile_slope": np.where(np.isnan(slope), np.nan, null_slope(sides.null, text, number)),
        "second_stability": np.where(np.isnan(alike), np.nan, stability(sides.null, text)),
    }
    return {name: (found[0][name], found[1][name]) for name in found[0]}


def _scores(hits: BlockHits, text: SiteText) -> dict[str, Values]:
    return peak_scores(hits, text) | word_scores(hits, text)


def rows(block: Block, scores: dict[str, tuple[Values, Values]]) -> Iterator[ScoreRow]:
    """In order of feature and measure; what is NaN is left out."""
    names: Sequence[str] = sorted(one.name for one in CONTEXTS if one.name in scores)
    columns = [(name, scores[name][0].tolist(), scores[name][1].tolist()) for name in names]
    for place, index in enumerate(block.facts.index.tolist()):
        for name, values, nulls in columns:
            value, null = values[place], nulls[place]
            if value == value:  # noqa: PLR0124 (NaN alone differs from itself)
                yield block.dictionary.id, index, name, value, null if null == null else None  # noqa: PLR0124
