"""What a rater sees of a feature: a page of blocks of snippets, each a fixed number of tokens with highlight levels.

Nothing here names an arm, a dictionary or a feature, and every page of a study has the same shape, so that no count,
width or scale tells one arm from another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

T = TypeVar("T")
VERSION = 1  # of the stored JSON
LABELS = {
    "top": "Strongest",
    "q1": "Strong",
    "q2": "Above the middle",
    "q3": "Middle",
    "q4": "Below the middle",
    "q5": "Weakest",
}  # of blocks, by the part of a feature's contexts that they show
LEVELS = 4  # highlight levels 1…4; 0 is "does not fire"


@dataclass(frozen=True, slots=True)
class Snippet:
    """`tokens[w]` with `levels[w]` (0…4) and the position of the peak in them."""

    tokens: tuple[str, ...]
    levels: tuple[int, ...]
    peak: int


@dataclass(frozen=True, slots=True)
class Block:
    label: str
    snippets: tuple[Snippet, ...]


@dataclass(frozen=True, slots=True)
class Page:
    blocks: tuple[Block, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "blocks": [
                {
                    "label": block.label,
                    "snippets": [
                        {"tokens": list(s.tokens), "levels": list(s.levels), "peak": s.peak} for s in block.snippets
                    ],
                }
                for block in self.blocks
            ],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Page":
        if value["version"] != VERSION:
            raise ValueError(f"page content has version {value['version']}, this dartboard reads {VERSION}")
        return Page(
            tuple(
                Block(
                    block["label"],
                    tuple(Snippet(tuple(s["tokens"]), tuple(s["levels"]), s["peak"]) for s in block["snippets"]),
                )
                for block in value["blocks"]
            )
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """A slice of one context, before it has any text: where it starts, its `levels[width]`, its peak in the slice."""

    start: int
    levels: tuple[int, ...]
    peak: int

    def snippet(self, tokens: Sequence[str]) -> Snippet:
        """The slice of a context's tokens, shown with these levels."""
        return Snippet(tuple(tokens[self.start : self.start + len(self.levels)]), self.levels, self.peak)

    def fits(self, tokens: Sequence[str], masked: Sequence[int]) -> bool:
        """Whether the slice lies in a context with no level on a masked position or on a token that shows nothing
        (the later parts of tokens that were joined into one).
        """
        lit = {self.start + place for place, level in enumerate(self.levels) if level}
        return self.start + len(self.levels) <= len(tokens) and lit.isdisjoint(masked) and all(tokens[p] for p in lit)


def level(value: float, maximum: float) -> int:
    """Highlight level 1…4 of an activation, on the feature's own scale from 0 to its maximum."""
    return min(LEVELS, max(1, ceil(LEVELS * value / maximum))) if maximum > 0 else 1


def cut(length: int, peak: int, positions: Sequence[int], values: Sequence[float], maximum: float, width: int) -> Cut:
    """The slice of `width` tokens centred on the peak, pushed inwards at a context's ends.

    `positions` and `values` are the tokens of the context on which the feature fires. Raises ValueError where the
    context is shorter than the slice.
    """
    if length < width:
        raise ValueError(f"a context of {length} tokens cannot show {width}")
    start = min(max(0, peak - width // 2), length - width)
    levels = [0] * width
    for position, value in zip(positions, values, strict=True):
        if start <= position < start + width:
            levels[position - start] = level(value, maximum)
    return Cut(start, tuple(levels), peak - start)


def choose(groups: Sequence[Sequence[T]], counts: Sequence[int], document: Callable[[T], int]) -> list[list[T]] | None:
    """The first of each group, as many as its count, at most one a document on the whole page; None where one falls short.

    The smaller groups choose first: the large one, of top contexts, has others to put forward.
    """
    taken: set[int] = set()
    chosen: list[list[T]] = [[] for _ in groups]
    for place in sorted(range(len(groups)), key=lambda place: len(groups[place])):
        for value in groups[place]:
            if len(chosen[place]) == counts[place]:
                break
            if document(value) not in taken:
                taken.add(document(value))
                chosen[place].append(value)
    fits = all(len(block) == count for block, count in zip(chosen, counts, strict=True))
    return chosen if fits else None


def page(snippets: Sequence[Sequence[Snippet]], quantiles: Sequence[str] = ("top", "q3", "q5")) -> Page:
    """A page of its blocks' snippets, strongest block first."""
    return Page(tuple(Block(LABELS[part], tuple(block)) for part, block in zip(quantiles, snippets, strict=True)))


@dataclass(frozen=True, slots=True)
class PoolContext:
    """A context that any page may use: its document, `tokens[n]`, and the positions where nothing may fire."""

    document: int
    tokens: Sequence[str]
    masked: Sequence[int]


def null_page(
    cuts: Sequence[Sequence[tuple[int, Cut]]], pools: Sequence[Sequence[PoolContext]], quantiles: Sequence[str]
) -> Page | None:
    """A control: a real page's slices, levels and peaks laid over contexts of a pool, taken in order.

    Beside each slice stands the number of its text, and so of its pool. One context a document, as on a real page. None
    where a pool runs out.
    """
    taken: set[int] = set()
    blocks: list[list[Snippet]] = []
    for block in cuts:
        snippets = []
        for text, cut in block:
            fitting = (c for c in pools[text] if c.document not in taken and cut.fits(c.tokens, c.masked))
            context = next(fitting, None)
            if context is None:
                return None
            taken.add(context.document)
            snippets.append(cut.snippet(context.tokens))
        blocks.append(snippets)
    return page(blocks, quantiles)
