"""Small studies for tests of the study store: real pages of made-up words, a clock that is set by hand."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any

from app.store.study import Rater, Screen, StudyStore
from app.study import blinding
from app.study.answers import PIECES, Answer, GuessAnswer, IntruderAnswer, PageAnswer, PairAnswer, Task
from app.study.content import Block, Page, Snippet, page
from app.study.frozen import FrozenItem, FrozenStudy, KeyRow, Purpose
from app.study.protocol import Protocol

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ARMS = ("trained", "random")


class SetClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


def counted_tokens(seed: str = "") -> Callable[[], str]:
    """A source of tokens that gives the same ones in each run."""
    numbers = count()
    return lambda: sha256(f"{seed}{next(numbers)}".encode()).hexdigest()[:43]


def open_store(url: str, clock: SetClock | None = None) -> StudyStore:
    return StudyStore.open(url, clock=clock or SetClock(), token=counted_tokens())


def pieces(word: str) -> Page:
    """The five pieces of an intruder trial."""
    snippet = Snippet(tokens=("the", " ", word, " of"), levels=(0, 0, 4, 0), peak=2)
    return Page((Block("", (snippet,) * PIECES),))


def word_page(word: str) -> Page:
    snippet = Snippet(tokens=("the", " ", word, " of"), levels=(0, 0, 4, 1), peak=2)
    return page([[snippet, snippet]] * 3)


def frozen_study(
    *,
    name: str = "small",
    pages: int = 3,
    pairs: int = 4,
    intruders: int = 0,
    catch: int = 0,
    practice: int = 0,
    practice_intruders: int = 0,
    guess: int = 0,
    raters_per_item: int = 2,
    lease_minutes: int = 30,
    seed: int = 7,
    repeats: tuple[float, int] = (0.0, 30),
    asks: bool = False,
    **top: Any,
) -> FrozenStudy:
    """A study of made-up pages: so many main items of each task, catch and practice pages, pages to guess on.

    Every second pair is of the group of compared arms, the others of the rest. Catch and practice pages want a 4 or 5, trials for
    practice the last piece.
    `repeats` are share and distance; `asks`: pages ask for an explanation and a confidence; `top` goes into the protocol.
    """
    protocol = Protocol.model_validate(
        {
            "name": name,
            "title": "Which is clearer?",
            "seed": seed,
            "raters_per_item": raters_per_item,
            "lease_minutes": lease_minutes,
            "arm": [{"name": arm, "dictionaries": [f"of-{arm}"]} for arm in ARMS],
            "repeats": {"share": repeats[0], "distance": repeats[1]},
            "tasks": {"page": {"features": max(1, pages), "explanation": asks, "confidence": asks}},
            "texts": {"instructions": "Rate **each** page."},
            **top,
        }
    ).canonical("a digest")
    kinds: list[tuple[Task, Purpose, int]] = [
        ("page", "main", pages),
        ("pair", "main", pairs),
        ("intruder", "main", intruders),
        ("page", "catch", catch),
        ("page", "practice", practice),
        ("intruder", "practice", practice_intruders),
        ("page", "guess", guess),
    ]
    made = [kind for *kind, many in kinds for _ in range(many)]
    items = sorted(
        (_item(name, number, task, purpose) for number, (task, purpose) in enumerate(made)), key=lambda i: i.public_id
    )
    return FrozenStudy(
        name=name,
        title="Which is clearer?",
        instructions="Rate **each** page.",
        protocol=protocol,
        protocol_hash=blinding.sha256_hex(protocol),
        secret="a secret",
        key_salt="a salt",
        key_commitment=blinding.commitment("a salt", blinding.key_rows(items)),
        report={"arms": {}, "dictionaries": {}},
        items=tuple(items),
    )


def _item(study: str, number: int, task: Task, purpose: Purpose) -> FrozenItem:
    names = "ab" if task == "pair" else "a"
    known = purpose in ("catch", "practice")
    right = {"pick": PIECES} if task == "intruder" else {"lowest": 4, "highest": 5}
    return FrozenItem(
        public_id=blinding.item_id(f"secret of {study}", number),
        task=task,
        pages={
            name: pieces(f"word{number}") if task == "intruder" else word_page(f"word{number}{name}") for name in names
        },
        turns=number % 2,
        key=tuple(
            KeyRow(
                name,
                purpose if known else ARMS[(number + place) % 2],
                None if known else f"canary-{ARMS[(number + place) % 2]}",
                None if known else 10 * number + place,
                {"third": "low", "intruder": 1 + number % PIECES} if task == "intruder" else {},
            )
            for place, name in enumerate(names)
        ),
        purpose=purpose,
        expected={**right, "feedback": f"It is word{number}."} if known else None,
    )


def with_key_swapped(frozen: FrozenStudy) -> FrozenStudy:
    """The same study, but that every page is said to be another one."""
    other = {"trained": "random", "random": "trained"}
    items = tuple(
        replace(
            item,
            key=tuple(
                replace(row, arm=other[row.arm], dictionary=f"canary-{other[row.arm]}") if row.arm in other else row
                for row in item.key
            ),
        )
        for item in frozen.items
    )
    return replace(frozen, items=items)


def any_answer(screen: Screen, number: int = 0) -> Answer:
    score = number % 5 + 1
    if screen.task == "page":
        return PageAnswer(
            score,
            confidence=score if screen.ask_confidence else None,
            explanation=f"pattern {number}" if screen.ask_explanation else None,
        )
    if screen.task == "intruder":
        return IntruderAnswer(score)
    if screen.task == "guess":
        return GuessAnswer(([None, *screen.choices])[number % (len(screen.choices) + 1)], score)
    return PairAnswer(score, (number + 2) % 5 + 1, ("left", "tie", "right", "neither")[number % 4])


def answer(store: StudyStore, rater: Rater, number: int = 0) -> Screen | None:
    """Answer the rater's current screen; returns it, or None where there is none."""
    screen = store.screen(rater)
    if screen is not None:
        store.submit(rater, screen.public_id, screen.revision, any_answer(screen, number), 1500, False)
    return screen


def answer_all(store: StudyStore, rater: Rater) -> Iterator[Screen]:
    number = 0
    while (screen := answer(store, rater, number)) is not None:
        number += 1
        yield screen
