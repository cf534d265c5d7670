"""Items of made-up words for a simulated study that no feature store stands behind: one for each question of a protocol."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from app.study import blinding
from app.study.answers import PIECES
from app.study.content import LEVELS, Block, Page, Snippet, page
from app.study.frozen import FrozenItem, KeyRow
from app.study.intruders import THIRDS
from app.study.plan import Question, items, questions
from app.study.planted import CLEAR, instructed_score
from app.study.protocol import Protocol
from app.study.simulated.truth import Truth

WORDS = tuple(f" word{number}" for number in range(400))
WIDTH = 8  # tokens of a snippet
SNIPPETS = 4  # of a page


def made_up(protocol: Protocol, truth: Truth, seed: int) -> tuple[FrozenItem, ...]:
    """Every item of a study, in order of public_id, its key filled in with features that are numbered as they come.

    Features are spread evenly over an arm's dictionaries and the strata of firing frequency; how many are of one single
    token is `truth.single_token`, on average.
    """
    maker = _Maker(protocol, truth, seed)
    found = [item for question in questions(protocol) for item in maker.items(question)]
    return tuple(sorted(found, key=lambda item: item.public_id))


def as_drawn(truth: Truth, items: Iterable[FrozenItem]) -> Truth:
    """The truth with the shares of single-token features that a study drew, so that arms' shares come out as they are said."""
    flags: dict[str, list[bool]] = defaultdict(list)
    for item in items:
        for row in item.key:
            if "single_token" in row.stratum:
                flags[row.arm].append(bool(row.stratum["single_token"]))
    return replace(truth, single_token={arm: sum(own) / len(own) for arm, own in flags.items()})


class _Maker:
    def __init__(self, protocol: Protocol, truth: Truth, seed: int) -> None:
        self.protocol, self.truth, self.seed = protocol, truth, seed
        self.rng = np.random.default_rng([seed, 2])
        self.dictionaries = {arm.name: arm.dictionaries for arm in protocol.arms}
        self.nulls = {arm.name for arm in protocol.controls if arm.control == "null"}
        self.hands = 0
        self.used = dict.fromkeys(self.dictionaries, 0)
        self.made = 0
        self.instructed = 0

    def items(self, question: Question) -> Iterator[FrozenItem]:
        """The items of one question: all of a feature's trials where it is an intruder's."""
        pages = [self._feature(arm, question) for arm in question.arms]
        number = items(self.protocol, question)
        for trial in range(number):
            key, expected = [], None
            for name, row in zip("ab", pages, strict=False):
                extra: dict[str, Any] = {}
                if question.task == "intruder":
                    extra = {
                        "third": THIRDS[trial * len(THIRDS) // number],
                        "intruder": int(self.rng.integers(PIECES)) + 1,
                    }
                key.append(KeyRow(name, *row[:3], {**row[3], **extra}))
            if question.purpose in ("catch", "practice"):
                expected = self._expected(question, key[0])
            yield FrozenItem(
                public_id=blinding.item_id(f"simulated {self.seed}", self.made),
                task=question.task,
                pages={row.page: self._page(question) for row in key},
                turns=question.turns,
                key=tuple(key),
                purpose=question.purpose,
                expected=expected,
            )
            self.made += 1

    def _feature(self, arm: str, question: Question) -> tuple[str, str | None, int | None, dict[str, Any]]:
        """Arm, dictionary, feature and stratum of one page."""
        names = self.dictionaries.get(arm, [])
        if not names:
            if question.instructed:
                self.instructed += 1
                return arm, None, None, {"instructed": self.instructed - 1}
            what = "copies" if arm in self.nulls else "planted"
            self.hands += 1
            return arm, None, None, {what: f"simulated/{self.hands}"}
        place = self.used[arm]
        self.used[arm] += 1
        strata = self.protocol.sampling.strata
        single = bool(self.rng.random() < self.truth.single_token.get(arm, 0.0))
        stratum = {"decile": place // len(names) % strata, "single_token": single}
        return arm, names[place % len(names)], place // len(names), stratum

    def _expected(self, question: Question, row: KeyRow) -> dict[str, Any]:
        if question.task == "intruder":
            return {"pick": row.stratum["intruder"]}
        if question.instructed:
            score = instructed_score(self.seed, row.stratum["instructed"])
            return {"lowest": score, "highest": score}
        return dict(CLEAR)

    def _page(self, question: Question) -> Page:
        snippets = PIECES if question.task == "intruder" else SNIPPETS
        words = self.rng.integers(len(WORDS), size=(snippets, WIDTH)).tolist()
        levels = self.rng.integers(LEVELS, size=(snippets, WIDTH)).tolist()
        peaks = self.rng.integers(WIDTH, size=snippets).tolist()
        made = []
        for line, row, peak in zip(words, levels, peaks, strict=True):
            row[peak] = LEVELS
            made.append(Snippet(tuple(WORDS[word] for word in line), tuple(row), peak))
        return Page((Block("", tuple(made)),)) if question.task == "intruder" else page([made], ["top"])
