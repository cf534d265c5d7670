"""Whole studies by simulated raters: as the tables of an export, or in a study store, rated, closed, guessed and revealed.

tables = simulated_tables(protocol, Truth({"trained": 0.5, "random": 0.42, "null-pages": 0.12}), raters=3, seed=0)
study = fill(url, prepare(as_simulated(protocol), features, tokens(seed)), truth, raters=3, seed=0)

What a study store gives is what people's answers would give, through the same methods; its clock is the raters' own.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from app.codebook import RATERS, Cell
from app.errors import UserError
from app.export import answer_rows
from app.store.sealed import FinalAnswer
from app.store.study import Rater, Screen, Study, StudyStore, TokenSource
from app.study import blinding
from app.study.analysis.tables import Row, Tables
from app.study.answers import Answer, PageAnswer, Task
from app.study.assignment import TASK_ORDER
from app.study.frozen import FrozenItem, FrozenStudy
from app.study.protocol import Protocol
from app.study.simulated import SOURCE, as_simulated
from app.study.simulated.items import made_up
from app.study.simulated.people import Given, People
from app.study.simulated.truth import Guessing, Truth

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
ACTOR = "simulation"
DIGEST = "simulated"  # in place of a feature store's
PRACTICE_MS = 10_000  # that a practice answer takes
SUPPOSED = {"trained": 0.55, "other": 0.45, "null": 0.12, "planted": 0.95}  # shares of interpretable pages


def tokens(seed: int) -> TokenSource:
    """Secrets that follow from a seed, so that the study does too: nothing simulated needs a real one."""
    made = iter(range(1 << 62))
    return lambda: blinding.keyed(seed, "simulated secret", next(made)).hex()[:43]


class Clock:
    """Time as it passes for simulated raters."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, milliseconds: int) -> None:
        self.now += timedelta(milliseconds=milliseconds)


def fill(url: str, frozen: FrozenStudy, truth: Truth, raters: int, seed: int, start: datetime = START) -> Study:
    """Freeze a study into the store at `url`, and have it rated, closed, guessed and revealed. Raises Conflict, UserError."""
    clock = Clock(start)
    store = StudyStore.open(url, clock=clock, token=tokens(seed))
    try:
        store.freeze(frozen, ACTOR)
        people = People(truth, frozen.items, raters, seed)
        session = _Session(store, clock, frozen, people)
        who = [store.add_rater(frozen.name, f"simulated {number + 1}", ACTOR, SOURCE) for number in range(raters)]
        for rater in who:
            session.enter(rater)
        session.rate(who)
        for rater in who:
            store.finish(rater)
        store.close(frozen.name, ACTOR)
        if any(item.purpose == "guess" for item in frozen.items):
            store.open_guessing(frozen.name, ACTOR)
            session.rate(who)
            for rater in who:
                store.start_guessing(rater)
            session.rate(who)
        return store.reveal(frozen.name, ACTOR)
    finally:
        store.dispose()


class _Session:
    """Simulated raters before their screens."""

    def __init__(self, store: StudyStore, clock: Clock, frozen: FrozenStudy, people: People) -> None:
        self.store, self.clock, self.frozen, self.people = store, clock, frozen, people

    def enter(self, rater: Rater) -> None:
        """Consent, instructions, practice with its right answers."""
        self.store.consent(rater)
        self.store.start(rater)
        items = self._items(rater)
        while (question := self.store.practice(rater).question) is not None:
            right = self.people.right(items[question.public_id])
            spent = max(PRACTICE_MS, round(1000 * question.wait_seconds))
            self.clock.forward(spent)
            self.store.answer_practice(rater, question.public_id, question.revision, right, spent, False)
        self.store.pass_practice(rater)

    def rate(self, raters: Sequence[Rater]) -> None:
        """Answer everything that is asked now, one question each in turn: no rater takes the others' places."""
        waiting = [(number, rater, self._items(rater)) for number, rater in enumerate(raters)]
        while waiting:
            waiting = [one for one in waiting if self._one(*one)]

    def _one(self, number: int, rater: Rater, items: dict[str, FrozenItem]) -> bool:
        """Answer one question; False where nothing is left."""
        screen = self.store.screen(rater)
        if screen is None:
            return False
        item = items[screen.public_id]
        given = self.people.answer(number, item, flip=_is_flipped(item, screen), guessing=screen.task == "guess")
        spent = max(given.milliseconds, round(1000 * screen.wait_seconds))  # an answer under the least dwell is refused
        answer = _as_asked(given.answer, screen.ask_explanation, screen.ask_confidence)
        self.clock.forward(spent)
        self.store.submit(rater, screen.public_id, screen.revision, answer, spent, False)
        return True

    def _items(self, rater: Rater) -> dict[str, FrozenItem]:
        """By the ids that this rater sees, of first showings and repeats."""
        return {
            blinding.public_id(self.frozen.secret, rater.pseudonym, name): item
            for item in self.frozen.items
            for name in (item.public_id, f"{item.public_id} again")
        }


def _as_asked(answer: Answer, explanation: bool, confidence: bool) -> Answer:
    """A page's answer without what the study does not ask for."""
    if not isinstance(answer, PageAnswer):
        return answer
    said, sure = (answer.explanation if explanation else None, answer.confidence if confidence else None)
    return replace(answer, explanation=said, confidence=sure)


def _is_flipped(item: FrozenItem, screen: Screen) -> bool:
    return "b" in item.pages and screen.pages[0] == item.pages["b"] != item.pages["a"]


def simulated_tables(protocol: Protocol, truth: Truth, raters: int, seed: int) -> Tables:
    """The tables of an export of a revealed study by so many raters, of made-up pages, without a store.

    Where there are more raters than an item gets, each gets an equal share. The same arguments give the same rows.
    """
    protocol = as_simulated(protocol)
    items = made_up(protocol, truth, seed)
    stamp = _stamp(protocol, items)
    people = People(truth, items, raters, seed)
    opened = {item.public_id: {row.page: row for row in item.key} for item in items}
    names = [f"r-{blinding.keyed(seed, 'simulated rater', number).hex()[:12]}" for number in range(raters)]
    ratings: list[Row] = []
    rows_of_raters: list[Row] = []
    clock, task = Clock(), protocol.tasks.page
    for number, asked in enumerate(_seats(protocol, items, raters, seed)):
        came = clock()
        for position, seat in enumerate(asked, start=1):
            given = people.answer(number, seat.item, flip=seat.flip, guessing=seat.guessing)
            clock.forward(given.milliseconds)
            if task is not None:
                given = replace(given, answer=_as_asked(given.answer, task.explanation, task.confidence))
            answer = _final(names[number], position, seat, given, clock())
            ratings += answer_rows(stamp, answer, opened[seat.item.public_id])
        rows_of_raters.append(_rater(stamp, names[number], came, clock()))
    return Tables(ratings, _item_rows(stamp, items), rows_of_raters, (), protocol)


@dataclass(frozen=True, slots=True)
class _Seat:
    """One question that a rater is asked."""

    item: FrozenItem
    flip: bool = False
    repeat: int = 0
    guessing: bool = False


def _seats(protocol: Protocol, items: Sequence[FrozenItem], raters: int, seed: int) -> Iterator[list[_Seat]]:
    """What each rater is asked, in order: main items task by task with the checks among them, repeats, the last round."""
    rng = np.random.default_rng([seed, 3])
    most = min(protocol.raters_per_item, raters)
    mine: dict[int, dict[Task, list[FrozenItem]]] = defaultdict(lambda: defaultdict(list))
    main = [item for item in items if item.purpose == "main"]
    for place, index in enumerate(rng.permutation(len(main)).tolist()):
        for turn in range(most):
            mine[(place * most + turn) % raters][main[index].task].append(main[index])
    checks = [item for item in items if item.purpose == "catch"]
    fresh = [item for item in items if item.purpose == "guess"]
    for rater in range(raters):
        asked: list[_Seat] = []
        for task in TASK_ORDER:
            own = mine[rater][task]  # type: ignore[index]
            both = own + [item for item in checks if item.task == task]
            order = [both[place] for place in rng.permutation(len(both)).tolist()]
            sides = rng.permutation(len(order)) % 2 == 1
            asked += [_Seat(item, "b" in item.pages and bool(side)) for item, side in zip(order, sides, strict=True)]
            if len(own) > protocol.repeats.distance:
                again = [item for item in order if item.purpose == "main"][: round(protocol.repeats.share * len(own))]
                asked += [_Seat(item, repeat=1) for item in again]
        asked += [_Seat(item) for item in fresh]
        asked += [_Seat(item, guessing=True) for item in fresh]
        yield asked


def _final(rater: str, position: int, seat: _Seat, given: Given, at: datetime) -> FinalAnswer:
    return FinalAnswer(
        rater=rater,
        item=seat.item.public_id,
        purpose=seat.item.purpose,
        task="guess" if seat.guessing else seat.item.task,
        position=position,
        repeat=seat.repeat,
        flip=seat.flip,
        revision=1,
        answer=given.answer,
        server_ms=given.milliseconds,
        visible_ms=given.milliseconds,
        staff=False,
        at=at,
        expected=seat.item.expected,
    )


def _stamp(protocol: Protocol, items: Sequence[FrozenItem]) -> dict[str, Cell]:
    canonical = protocol.canonical(DIGEST)
    hashed = blinding.sha256_hex(canonical)
    commitment = blinding.sha256_hex(" ".join([DIGEST, *(item.public_id for item in items)]))
    return {
        "study": protocol.name,
        "protocol_hash": hashed,
        "key_commitment": commitment,
        "chain_head": blinding.sha256_hex(hashed + commitment),
    }


def _item_rows(stamp: dict[str, Cell], items: Sequence[FrozenItem]) -> list[Row]:
    return [
        {
            **stamp,
            "item": item.public_id,
            "purpose": item.purpose,
            "task": item.task,
            "page": row.page,
            "content": blinding.canonical_json(item.pages[row.page].to_json()),
            "content_hash": blinding.content_hash(item.shown()),
            "arm": row.arm,
            "dictionary": row.dictionary,
            "feature": row.feature,
            "stratum": blinding.canonical_json(row.stratum),
        }
        for item in items
        for row in item.key
    ]


def _rater(stamp: dict[str, Cell], name: str, came: datetime, left: datetime) -> Row:
    first, last = (at.isoformat(timespec="microseconds").replace("+00:00", "Z") for at in (came, left))
    times = dict.fromkeys(("created_at", "consented_at", "started_at"), first) | {"finished_at": last}
    none: dict[str, Cell] = dict.fromkeys(column.name for column in RATERS)
    return {**none, **stamp, **times, "rater": name, "source": SOURCE, "practice_tries": 0}


def supposed(protocol: Protocol, shares: dict[str, float], careless: float = 0.0, leak: float = 0.0) -> Truth:
    """A truth for every arm of a protocol: `shares` of interpretable pages where given, else plausible ones by the arm's role.

    Intruders and pairs follow the shares. Raises UserError for an arm that the protocol does not have.
    """
    names = [arm.name for arm in protocol.arms]
    if unknown := [name for name in shares if name not in names]:
        raise UserError(f"There is no arm “{unknown[0]}” in this study; its arms are {', '.join(names)}.")
    trained = protocol.estimand.trained if protocol.estimand else protocol.real_arms[0].name
    usual = {
        arm.name: SUPPOSED[arm.control or ("trained" if arm.name == trained else "other")] for arm in protocol.arms
    }
    every = {name: shares.get(name, usual[name]) for name in sorted(names, key=lambda name: name != trained)}
    controls = {arm.name for arm in protocol.controls if arm.control == "null"}
    return Truth(
        shares=every,
        strengths={name: 2 * (share - 0.5) for name, share in every.items()},
        found={name: 0.2 + 0.6 * share for name, share in every.items() if name not in controls},
        found_sd=0.2,
        rater_by_arm=0.2,
        noise_sd=0.2,
        single_token_effect=0.5,
        skips=dict.fromkeys(controls, 0.02),
        careless=careless,
        guessing=Guessing(leak=leak),
    )
