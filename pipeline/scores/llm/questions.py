"""What a language model is asked about a feature: pieces to explain, and pieces with known answers from other documents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.hashing import derive, mix
from pipeline.scores.hits import THIRDS, TOP, BlockHits
from pipeline.scores.kernels import draw_trials
from pipeline.scores.measures import PIECES
from pipeline.scores.text import SiteText

WIDTH = 32  # tokens of a piece
STRONGEST, SAMPLED = 5, 5  # pieces that are explained: of the top contexts, and of the feature's range
JUDGED = 10  # pieces of the feature to be told from as many others, at most
BATCH = 5  # pieces in one question
LEAST = 3  # pieces of the feature, to judge by
TRIALS = 2  # intruder trials of each third
OPEN, CLOSE = "<<", ">>"
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Question:
    """Pieces, and what is right: a digit a piece, or the number of one of them."""

    pieces: tuple[str, ...]
    right: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """All about one feature; a part is empty where its contexts don't suffice."""

    explained: tuple[str, ...]
    detection: tuple[Question, ...]
    fuzzing: tuple[Question, ...]
    intruder: tuple[Question, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """The hits of one feature, and the positions that are marked in each, `marks[hit]`."""

    hits: BlockHits
    marks: Sequence[Sequence[int]]
    text: SiteText

    def asking(self) -> Asking:
        """Explained is what stands in one half of the documents; judged, what stands in the other."""
        hits, text = self.hits, self.text
        half = text.half[hits.context]
        _, top = hits.of_group(TOP)
        strongest = top[half[top] == 0][:STRONGEST]
        sampled = np.flatnonzero(hits.sampled & ~np.isin(np.arange(len(half)), strongest))
        explained = np.r_[strongest, self._lot(sampled[half[sampled] == 0], "explained")[:SAMPLED]]
        judged = self._lot(sampled[half[sampled] == 1], "judged")
        return Asking(
            explained=tuple(self._piece(hit) for hit in explained.tolist()),
            detection=self._detection(judged[:JUDGED]) if len(judged) >= LEAST else (),
            fuzzing=self._fuzzing(judged[: 2 * (JUDGED // 2)]) if len(judged) >= 2 * LEAST else (),
            intruder=self._intruder(),
        )

    def _detection(self, judged: Ints) -> tuple[Question, ...]:
        """Pieces of the feature, and as many of documents in which it is not known to fire; nothing is marked."""
        order = np.sort(judged)
        other = self.hits.against(self.text, 1, "detection", order)[:, 0]
        pieces = [(self._piece(hit, marked=False), 1) for hit in order.tolist()]
        pieces += [
            (show(self.text, context, int(self.hits.peak[hit])), 0)
            for hit, context in zip(order.tolist(), other.tolist(), strict=True)
            if context >= 0
        ]
        return self._batches(pieces, "detection")

    def _fuzzing(self, judged: Ints) -> tuple[Question, ...]:
        """Half of the pieces are marked where the feature fires, half where it does not, at as many places."""
        pieces = []
        for place, hit in enumerate(judged.tolist()):
            right = place % 2 == 0
            pieces.append((self._piece(hit, moved=not right), int(right)))
        return self._batches(pieces, "fuzzing")

    def _intruder(self) -> tuple[Question, ...]:
        """Four pieces of one third, and at the place of a fifth one a piece of the pool; each with one token marked."""
        hits, text = self.hits, self.text
        key = mix(derive(0, "llm trials"), hits.key)
        found = draw_trials(key, hits.start, hits.third, text.document[hits.context], TRIALS, PIECES)
        questions = []
        for number, trial in enumerate(found.reshape(THIRDS * TRIALS, PIECES)):
            if trial[-1] < 0:
                continue
            replaced = trial[-1:]
            context = int(hits.against(text, 1, f"llm intruder {number}", replaced)[0, 0])
            if context < 0:
                continue
            shown = [show(text, int(hits.context[hit]), p, [p]) for hit in trial[:-1] for p in [int(hits.peak[hit])]]
            peak = int(hits.peak[replaced[0]])
            shown.append(show(text, context, peak, [peak]))
            order = self._lot(np.arange(PIECES), f"intruder {number}").tolist()
            questions.append(Question(tuple(shown[place] for place in order), (1 + order.index(PIECES - 1),)))
        return tuple(questions)

    def _piece(self, hit: int, marked: bool = True, moved: bool = False) -> str:
        context, peak, marks = int(self.hits.context[hit]), int(self.hits.peak[hit]), self.marks[hit]
        if moved:
            first = start(self.text, peak)
            inside = [place for place in marks if first <= place < first + WIDTH]
            free = [p for p in range(first, first + WIDTH) if p not in marks and self.text.open[context, p]]
            marks = sorted(self._lot(np.array(free, np.int64), f"moved {context}")[: max(len(inside), 1)].tolist())
        return show(self.text, context, peak, marks if marked else ())

    def _batches(self, pieces: Sequence[tuple[str, int]], purpose: str) -> tuple[Question, ...]:
        lot = [pieces[place] for place in self._lot(np.arange(len(pieces)), purpose).tolist()]
        parts = [lot[first : first + BATCH] for first in range(0, len(lot), BATCH)]
        return tuple(Question(tuple(p for p, _ in part), tuple(right for _, right in part)) for part in parts)

    def _lot(self, values: Ints, purpose: str) -> Ints:
        """In an order drawn by the feature's own key."""
        order = np.argsort(mix(derive(0, "llm", purpose), self.hits.key[0], values), kind="stable")
        return values[order]


def start(text: SiteText, peak: int) -> int:
    """Where a piece around a peak begins, pushed inwards at a context's ends."""
    return max(0, min(peak - WIDTH // 2, int(text.token.shape[1]) - WIDTH))


def show(text: SiteText, context: int, peak: int, marks: Sequence[int] = ()) -> str:
    """A piece on one line; runs of marked tokens stand between << and >>, spaces before them outside."""
    first, parts, inside = start(text, peak), [], False
    for place in range(first, min(first + WIDTH, text.token.shape[1])):
        token = int(text.token[context, place])
        if token < 0:
            continue
        word = text.words[token]
        if (place in marks) != inside:
            bare = word.lstrip()
            parts.append(f"{word[: len(word) - len(bare)]}{OPEN}{bare}" if not inside else f"{CLOSE}{word}")
            inside = not inside
        else:
            parts.append(word)
    return " ".join(("".join(parts) + (CLOSE if inside else "")).split())
