"""Intruder trials: four pieces of text of one detector, and one of none, told apart by what they say and nothing else.

A trial draws five contexts of one third of a feature's range. One of them, by lot, is taken out, and a context of the
arm-neutral pool takes its place: the underlined token at the same offset in the piece, as long, with as much text before
and after it, to the character where the pool is large enough. So the intruder is to the eye what the fifth context would have been:
whoever sees lengths and highlights alone finds it one time in five. (Copying one of the four that stay would give it
away: two pieces would look alike.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.study.answers import PIECES
from app.study.blinding import keyed, shuffled
from app.study.content import LEVELS, Block, Page, PoolContext, Snippet

T = TypeVar("T")
Third = Literal["top", "middle", "low"]
THIRDS: tuple[Third, ...] = ("top", "middle", "low")
FIFTHS = ("q1", "q2", "q3", "q4", "q5")
UNDERLINED = 8  # a character more or less of the underlined token counts as so many of the text around it


def thirds(groups: Sequence[Sequence[T]]) -> dict[Third, list[T]]:
    """A feature's sampled hits, given by fifths of their rank (strongest first), by thirds of it.

    Hit i of the n of a fifth stands at (i + ½)/n of it.
    """
    found: dict[Third, list[T]] = {third: [] for third in THIRDS}
    for fifth, group in enumerate(groups):
        for place, hit in enumerate(group):
            rank = (fifth + (place + 0.5) / len(group)) / len(groups)
            found[THIRDS[min(int(rank * 3), 2)]].append(hit)
    return found


@dataclass(frozen=True, slots=True)
class Piece:
    """A slice of a context with one underlined token: where it starts, and the token's place in the slice."""

    tokens: tuple[str, ...]
    peak: int

    def snippet(self) -> Snippet:
        return Snippet(self.tokens, tuple(LEVELS if p == self.peak else 0 for p in range(len(self.tokens))), self.peak)


def piece(tokens: Sequence[str], peak: int, width: int) -> Piece:
    """`width` tokens around a peak, pushed inwards at a context's ends."""
    start = min(max(0, peak - width // 2), len(tokens) - width)
    return Piece(tuple(tokens[start : start + width]), peak - start)


def draw_hits(
    hits: Sequence[T], trials: int, document: Callable[[T], int], order: Callable[[T], bytes]
) -> list[list[T]]:
    """For each trial, PIECES hits of different documents, the last of them to be replaced; [] where they don't suffice.

    No hit is shown in two trials; one that is only replaced may be.
    """
    ranked = sorted(hits, key=order)
    shown: set[int] = set()  # places in ranked
    drawn: list[list[T]] = []
    for _ in range(trials):
        taken: list[int] = []
        free = (place for place in range(len(ranked)) if place not in shown)
        for place in free:
            if len(taken) < PIECES - 1 and document(ranked[place]) not in {document(ranked[p]) for p in taken}:
                taken.append(place)
        shown |= set(taken)
        documents = {document(ranked[p]) for p in taken}
        rest = [p for p in range(len(ranked)) if document(ranked[p]) not in documents]
        if len(taken) < PIECES - 1 or not rest:
            return []
        replaced = min(rest, key=lambda p: (p in shown, p))
        drawn.append([ranked[p] for p in (*taken, replaced)])
    return drawn


class Pool:
    """The arm-neutral contexts, every token of which can be the underlined one of an intruder.

    Arrays over their tokens, one context's after the other's: `position` in the context, whose `size` and `document` stand
    beside it; `word`, a number of what the token says; `ends[token + 1]`, the characters up to and with a token.
    """

    def __init__(self, pool: Sequence[PoolContext]) -> None:
        self.pool = pool
        tokens = [token for context in pool for token in context.tokens]
        sizes = np.array([len(context.tokens) for context in pool], np.int64)
        self.context: NDArray[np.int64] = np.repeat(np.arange(len(pool)), sizes)
        first = np.r_[0, np.cumsum(sizes)]
        self.position = np.arange(len(tokens)) - first[self.context]
        self.size = sizes[self.context]
        self.document: NDArray[np.int64] = np.array([context.document for context in pool], np.int64)[self.context]
        self.length = np.array([len(token) for token in tokens], np.int64)
        self.spaced = np.array([token.startswith(" ") for token in tokens], bool)
        self.ends = np.array([0, *accumulate(len(token) for token in tokens)], np.int64)
        self.words: dict[str, int] = {}
        self.word = np.array([self.words.setdefault(plain(token), len(self.words)) for token in tokens], np.int64)
        self.open = self.length > 0
        for number, context in enumerate(pool):
            self.open[first[number] + np.asarray(context.masked, np.int64)] = False

    def like(
        self, wanted: Piece, documents: set[int], words: set[str], seed: int, label: Sequence[Any]
    ) -> tuple[Piece, int] | None:
        """A piece of another document, and on another word, that looks like `wanted`: the nearest, of equals by seed.

        With the number of its document. None where the pool has no other document.
        """
        width, peak, token = len(wanted.tokens), wanted.peak, wanted.tokens[wanted.peak]
        places = np.flatnonzero(self.open & (self.position >= peak) & (self.position - peak + width <= self.size))
        places = places[~np.isin(self.document[places], list(documents))]
        places = places[~np.isin(self.word[places], [self.words.get(word, -1) for word in words])]
        if not len(places):
            return None
        start = places - peak
        before = self.ends[places] - self.ends[start]
        after = self.ends[start + width] - self.ends[places + 1]
        distance = np.abs(before - sum(len(one) for one in wanted.tokens[:peak]))
        distance += np.abs(after - sum(len(one) for one in wanted.tokens[peak + 1 :]))
        distance += UNDERLINED * np.abs(self.length[places] - len(token))
        distance += UNDERLINED * (self.spaced[places] != token.startswith(" "))
        nearest = places[distance == distance.min()]
        chosen = int(nearest[int.from_bytes(keyed(seed, *label)[:8], "big") % len(nearest)])
        context, at = self.pool[int(self.context[chosen])], int(self.position[chosen]) - peak
        return Piece(tuple(context.tokens[at : at + width]), peak), context.document


def plain(token: str) -> str:
    """A token as a reader takes it: without spaces, in small letters."""
    return token.strip().casefold()


@dataclass(frozen=True, slots=True)
class Trial:
    """What one screen shows, and which piece does not belong, from 1."""

    page: Page
    intruder: int


def trial(pieces: Sequence[Piece], documents: set[int], pool: Pool, seed: int, label: Sequence[Any]) -> Trial | None:
    """A trial of PIECES pieces, the last of which is replaced; None where the pool has nothing that looks like it.

    `documents`: those that the intruder may not be of. The pieces stand in an order drawn by lot, the same for all raters.
    """
    *own, replaced = pieces
    words = {plain(one.tokens[one.peak]) for one in own}
    found = pool.like(replaced, documents, words, seed, ["intruder", *label])
    return None if found is None else _arranged([*own, found[0]], seed, label)


def null_trial(
    pieces: Sequence[Piece], documents: set[int], pool: Pool, seed: int, label: Sequence[Any]
) -> Trial | None:
    """A trial of nothing: every piece is replaced by one that looks like it, and one of them is called the intruder."""
    taken, made = set(documents), []
    for number, one in enumerate(pieces):
        found = pool.like(one, taken, set(), seed, ["null", number, *label])
        if found is None:
            return None
        made.append(found[0])
        taken.add(found[1])
    return _arranged(made, seed, label)


def _arranged(pieces: Sequence[Piece], seed: int, label: Sequence[Any]) -> Trial:
    """The pieces, the last of them the intruder, in an order drawn by lot."""
    order = shuffled(range(PIECES), seed, f"places {list(label)}", lambda place: place)
    shown = tuple(pieces[place].snippet() for place in order)
    return Trial(Page((Block("", shown),)), 1 + order.index(PIECES - 1))
