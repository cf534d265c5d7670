"""What each item of a study shows, made of the feature store's material: pages, intruder trials, controls, known answers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from app.errors import UserError
from app.material import FIRST, SECOND, Material
from app.study import blinding
from app.study.content import Page, null_page, page
from app.study.intruders import Piece, draw_hits, null_trial, piece, trial
from app.study.planted import CLEAR, instructed_page, instructed_score, planted_page
from app.study.sampling import Candidate, Drawn

Kind = Literal["feature", "null", "planted", "instructed"]
CLEAR_FEEDBACK = "On every piece the same word is marked, “{word}”, so this page shows one clear pattern: 4 or 5 fits."
INTRUDER_FEEDBACK = "In four of the five pieces the word “{word}” is marked; piece {place} is the one where it is not."


@dataclass(frozen=True, slots=True)
class Hand:
    """What one page, or one feature's trials, is made of: a feature to show or to copy, a word to plant, a number."""

    kind: Kind
    drawn: Drawn | None = None
    word: str = ""
    number: int = 0

    @property
    def name(self) -> str:
        if self.drawn is None:
            return f"{self.kind} {self.word or self.number}"
        return f"{self.drawn.candidate.dictionary}/{self.drawn.candidate.feature}"

    @property
    def stratum(self) -> dict[str, Any]:
        """What the key says of it."""
        match self.kind, self.drawn:
            case "feature", Drawn(candidate, decile):
                return {"decile": decile, "single_token": candidate.single_token}
            case "null", Drawn():
                return {"copies": self.name}
            case "planted", _:
                return {"planted": self.word}
        return {"instructed": self.number}


@dataclass(frozen=True, slots=True)
class Shown:
    """One screen's page, what the key says of it beyond its arm, and the right answer where it is known."""

    page: Page
    stratum: dict[str, Any]
    expected: dict[str, Any] | None = None


@dataclass(slots=True)
class Screens:
    material: Material
    seed: int = field(init=False)

    def __post_init__(self) -> None:
        self.seed = self.material.protocol.seed

    def page(self, hand: Hand) -> Shown:
        """A page of the hand. Raises UserError where the pool is too small."""
        layout, material = self.material.layout, self.material
        expected: dict[str, Any] | None = None
        shape = (layout.quantiles, layout.contexts, layout.width)
        match hand:
            case Hand("feature", Drawn(candidate, _)):
                made = self._feature_page(candidate)
            case Hand("null", Drawn(candidate, _)):
                made = self._null_page(candidate)
            case Hand("instructed"):
                score = instructed_score(self.seed, hand.number)
                pool = material.pool(material.site)
                made = instructed_page(pool, score, *shape, self.seed, f"instructed {hand.number}")
                expected = {"lowest": score, "highest": score}
            case _:
                made = self._planted_page(hand.word)
                expected = {**CLEAR, "feedback": CLEAR_FEEDBACK.format(word=hand.word.strip())}
        return Shown(made, hand.stratum, expected)

    def trials(self, hand: Hand, count: int) -> Iterator[Shown]:
        """The `count` intruder trials of a hand, third by third. Raises UserError where the pool is too small."""
        one = hand.drawn.candidate if hand.drawn else None
        site = self.material.site_of(one) if one else self.material.site
        pool = self.material.intruder_pool(site)
        found = self._of_feature(one) if one else self._of_word(hand.word, count)
        for number, (third, pieces, documents) in enumerate(found):
            label = [hand.kind, hand.name, number]
            make = null_trial if hand.kind == "null" else trial
            made = make(pieces, documents, pool, self.seed, label)
            if made is None:
                raise UserError(
                    f"The store's pool of {len(pool.pool)} contexts has none that looks like a piece of {hand.name}; "
                    "build with a larger pool."
                )
            stratum = {**hand.stratum, "third": third, "intruder": made.intruder}
            feedback = INTRUDER_FEEDBACK.format(word=hand.word.strip(), place=made.intruder)
            yield Shown(made.page, stratum, {"pick": made.intruder, "feedback": feedback} if hand.word else None)

    def _feature_page(self, one: Candidate) -> Page:
        blocks = self.material.cuts(one)
        tokens = self.material.tokens(context for block in blocks for context, _ in block)
        snippets = [[cut.snippet(tokens[context]) for context, cut in block] for block in blocks]
        return page(snippets, self.material.layout.quantiles)

    def _null_page(self, donor: Candidate) -> Page:
        layout, material = self.material.layout, self.material
        label = f"null {donor.dictionary}/{donor.feature}"
        pools = [material.pool(material.site_of(donor)), material.second_pool if layout.second else []]
        orders = [blinding.shuffled(range(len(pool)), self.seed, label, lambda place: place) for pool in pools]
        in_order = [[pool[place] for place in order] for pool, order in zip(pools, orders, strict=True)]
        of_first = layout.contexts - layout.second  # of the first block's slices, the rest are of the second text
        cuts = [
            [(FIRST if block or place < of_first else SECOND, cut) for place, (_, cut) in enumerate(cuts)]
            for block, cuts in enumerate(material.cuts(donor))
        ]
        made = null_page(cuts, in_order, layout.quantiles)
        if made is None:
            raise UserError(
                f"The store's pool of {len(pools[0])} contexts is too small for a null page; build from more text."
            )
        return made

    def _planted_page(self, word: str) -> Page:
        layout, material = self.material.layout, self.material
        words, second = [material.words], layout.second
        counts = [[layout.contexts, 0]] * len(layout.quantiles)
        if second:
            words.append(material.second_words)
            counts = [[layout.contexts - second, second], *counts[1:]]
        return planted_page(words, word, layout.quantiles, counts, layout.width)

    def _of_feature(self, one: Candidate) -> Iterator[tuple[str, list[Piece], set[int]]]:
        width, known = self._width(), self.material.known(one)
        for third, drawn in self.material.trials(one).items():
            for hits in drawn:
                tokens = self.material.tokens(hit.context for hit in hits)
                yield third, [piece(tokens[hit.context], hit.peak, width) for hit in hits], known

    def _of_word(self, word: str, trials: int) -> Iterator[tuple[str, list[Piece], set[int]]]:
        """Trials of a planted word: it has no range, so they are of the top third."""
        words = self.material.words
        drawn = draw_hits(
            words.found[word],
            trials,
            lambda one: words.pool[one.place].document,
            lambda one: blinding.keyed(self.seed, "trial", word, one.place, one.position),
        )
        for occurrences in drawn:
            pieces = [piece(words.pool[one.place].tokens, one.position, self._width()) for one in occurrences]
            yield "top", pieces, {words.pool[one.place].document for one in occurrences}

    def _width(self) -> int:
        task = self.material.protocol.tasks.intruder
        return task.width if task else self.material.layout.width
