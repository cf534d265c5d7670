"""Small studies for tests of the study store: real pages of made-up words, a clock that is set by hand."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count

from app.store.study import Rater, Screen, StudyStore
from app.study import blinding
from app.study.answers import Answer, PageAnswer, PairAnswer
from app.study.content import Page, Snippet, page
from app.study.frozen import FrozenItem, FrozenStudy, KeyRow

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


def word_page(word: str) -> Page:
    snippet = Snippet(tokens=("the", " ", word, " of"), levels=(0, 0, 4, 1), peak=2)
    return page([[snippet, snippet]] * 3)


def frozen_study(
    *,
    name: str = "small",
    pages: int = 3,
    pairs: int = 4,
    raters_per_item: int = 2,
    lease_minutes: int = 30,
    seed: int = 7,
) -> FrozenStudy:
    """Every second pair is of the group of compared arms, the others of the rest."""
    protocol = blinding.canonical_json(
        {"name": name, "seed": seed, "raters_per_item": raters_per_item, "lease_minutes": lease_minutes}
    )
    items = sorted((_item(name, number, number >= pages) for number in range(pages + pairs)), key=lambda i: i.public_id)
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


def _item(study: str, number: int, pair: bool) -> FrozenItem:
    names = "ab" if pair else "a"
    return FrozenItem(
        public_id=blinding.item_id(f"secret of {study}", number),
        task="pair" if pair else "page",
        pages={name: word_page(f"word{number}{name}") for name in names},
        turns=number % 2,
        key=tuple(
            KeyRow(name, ARMS[(number + place) % 2], f"canary-{ARMS[(number + place) % 2]}", 10 * number + place, {})
            for place, name in enumerate(names)
        ),
    )


def with_key_swapped(frozen: FrozenStudy) -> FrozenStudy:
    """The same study, but that every page is said to be another one."""
    other = {"trained": "random", "random": "trained"}
    items = tuple(
        replace(
            item,
            key=tuple(replace(row, arm=other[row.arm], dictionary=f"canary-{other[row.arm]}") for row in item.key),
        )
        for item in frozen.items
    )
    return replace(frozen, items=items)


def any_answer(screen: Screen, number: int = 0) -> Answer:
    if screen.task == "page":
        return PageAnswer(number % 5 + 1)
    return PairAnswer(number % 5 + 1, (number + 2) % 5 + 1, ("left", "tie", "right", "neither")[number % 4])


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
