"""Pages with a known answer, made of the arm-neutral pool: one single token marked throughout, or a score to be given."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from app.study.blinding import keyed, shuffled
from app.study.content import LEVELS, Page, PoolContext, Snippet, page

SHORTEST = 2  # letters of a word that may be planted
CLEAR = {"lowest": 4, "highest": 5}  # the score of a page on which one token is marked throughout
SCORES = (1, 2, 3, 4)  # that an instructed page may ask for: 5 may be what a rater gives unasked
ORDER = (" Rate", " this", " page", " with")  # … and the score; as short as the narrowest snippet


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A token at `position` of the pool's context `place`."""

    place: int
    position: int


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a pool, each with its occurrences, one a document, documents in a seeded order.

    A word is a token of letters alone, after at most one space, where something may fire.
    """

    pool: Sequence[PoolContext]
    found: dict[str, list[Occurrence]]

    @staticmethod
    def of(pool: Sequence[PoolContext], seed: int) -> "Words":
        found: dict[str, dict[int, Occurrence]] = defaultdict(dict)
        for place in shuffled(range(len(pool)), seed, "planted context", lambda place: place):
            context, masked = pool[place], set(pool[place].masked)
            for position, token in enumerate(context.tokens):
                if position not in masked and _is_word(token):
                    found[token].setdefault(context.document, Occurrence(place, position))
        return Words(pool, {token: list(places.values()) for token, places in found.items()})

    def plantable(self, needed: int, seed: int) -> list[str]:
        """The words that occur in so many documents, in a seeded order."""
        enough = (token for token, places in self.found.items() if len(places) >= needed)
        return shuffled(enough, seed, "planted word", lambda token: token)


def _is_word(token: str) -> bool:
    word = token.removeprefix(" ")
    return len(word) >= SHORTEST and word.isalpha()


def mark(context: PoolContext, position: int, level: int, width: int) -> Snippet:
    """`width` tokens of a context around a position, with the token there marked wherever it stands unmasked."""
    tokens, masked = context.tokens, set(context.masked)
    start = min(max(0, position - width // 2), len(tokens) - width)
    shown = range(start, start + width)
    levels = tuple(level if tokens[p] == tokens[position] and p not in masked else 0 for p in shown)
    return Snippet(tuple(tokens[start : start + width]), levels, position - start)


def block_level(block: int, blocks: int) -> int:
    """The level of block `block` of so many: the highest in the first, the lowest in the last."""
    return LEVELS if blocks == 1 else LEVELS - round(block * (LEVELS - 1) / (blocks - 1))


def planted_page(
    words: Sequence[Words], token: str, quantiles: Sequence[str], counts: Sequence[Sequence[int]], width: int
) -> Page:
    """A page of a detector that responds to one token and nothing else.

    `counts[block][text]` says how many contexts come from each text's `words`, which must have the token in so many
    documents.
    """
    occurrences = [iter(text.found.get(token, ())) for text in words]
    blocks = [
        [
            mark(text.pool[one.place], one.position, block_level(number, len(quantiles)), width)
            for text, places, count in zip(words, occurrences, counts[number], strict=False)
            for one in islice(places, count)
        ]
        for number in range(len(quantiles))
    ]
    return page(blocks, quantiles)


def instructed_page(
    pool: Sequence[PoolContext], score: int, quantiles: Sequence[str], contexts: int, width: int, seed: int, label: str
) -> Page:
    """A page whose marked words say which score to give, in the middle of the pool's contexts, one a document."""
    words = (*ORDER, f" {score}")
    chosen: dict[int, PoolContext] = {}
    for place in shuffled(range(len(pool)), seed, label, lambda place: place):
        if len(chosen) < contexts * len(quantiles):
            chosen.setdefault(pool[place].document, pool[place])
    rest = iter(chosen.values())
    blocks = []
    for number in range(len(quantiles)):
        level, snippets = block_level(number, len(quantiles)), []
        for context in islice(rest, contexts):
            before = (width - len(words)) // 2
            after = width - len(words) - before
            tokens = (*context.tokens[:before], *words, *context.tokens[before : before + after])
            levels = (*(0,) * before, *(level,) * len(words), *(0,) * after)
            snippets.append(Snippet(tokens, levels, before + len(words) - 1))
        blocks.append(snippets)
    return page(blocks, quantiles)


def instructed_score(seed: int, number: int) -> int:
    """The score that the study's instructed page `number` asks for."""
    return SCORES[keyed(seed, "instructed", number)[0] % len(SCORES)]
