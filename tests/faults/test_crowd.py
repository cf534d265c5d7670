"""A crowd of 300 over real HTTP, on SQLite and on PostgreSQL: exact counts, with dropouts, returns, retries and kills.

    pytest -s -m slow tests/faults/test_crowd.py

prints what came of it, and how fast.
"""

import asyncio
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.store.study import StudyStore
from app.study.content import Page, Snippet, page
from tests.crowd import Audit, Fleet, Person, Record, audit, everybody, invites
from tests.faults.conftest import url_of
from tests.studies import frozen_study

PEOPLE, PAGES, PAIRS, CATCH, K, EACH = 300, 120, 30, 2, 10, 7
KILLS = 5
WORKERS_AT_ONCE = 60
RATERS_AT_ONCE, THINK, QUESTIONS = 50, 2.0, 12

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def real_page(seed: str) -> Page:
    """A page as large as a real one: three blocks of four contexts of 32 tokens."""
    chance = random.Random(seed)

    def snippet() -> Snippet:
        tokens = tuple(f" {seed}{chance.randrange(1000)}" for _ in range(32))
        return Snippet(tokens, tuple(4 if place == 16 else chance.choice((0, 0, 0, 1)) for place in range(32)), 16)

    return page([[snippet() for _ in range(4)] for _ in range(3)])


def study_of(**kinds: int | tuple[float, int]):
    """A frozen study whose pages have the size of real ones."""
    frozen = frozen_study(**kinds)  # type: ignore[arg-type]
    items = tuple(
        replace(item, pages={name: real_page(f"{item.public_id[:4]}{name}") for name in item.pages})
        for item in frozen.items
    )
    return replace(frozen, items=items)


def report(capsys: pytest.CaptureFixture[str], title: str, record: Record, found: Audit, seconds: float) -> None:
    count = len(record.saved)
    lines = [
        f"{title}: {count} answers saved in {seconds:.0f} s ({count / seconds:.0f} a second)",
        f"  accepted {found.accepted}, surplus {found.surplus}, over k {found.over}, doubled {found.doubled}, "
        f"lost {found.lost}, raters withdrawn {found.withdrawn}, requests tried again {record.tries}",
    ]
    for kind in ("screen", "submit"):
        lines.append(f"  {kind}: {len(record.seconds[kind])} requests, p99 {record.p99(kind):.0f} ms")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


def test_three_hundred_raters(store: StudyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = study_of(pages=PAGES, pairs=PAIRS, catch=CATCH, raters_per_item=K, items_per_rater=EACH, repeats=(0.1, 3))
    store.freeze(study, "ada")
    record = Record()
    doors = invites(store, "small", PEOPLE // 3)
    doors += [f"/join/{store.make_link('small', 'open', PEOPLE, 30, 'ada')}"] * (PEOPLE // 3)
    crowd = store.make_link("small", "crowd", PEOPLE, 30, "ada")
    ids = "/join/{}?PROLIFIC_PID=p{}&STUDY_ID=s&SESSION_ID=x{}"
    doors += [ids.format(crowd, number, number) for number in range(PEOPLE - len(doors))]
    began = time.monotonic()
    with Fleet(tmp_path, url_of(store), 2) as fleet:
        step = (PAGES + PAIRS) * K // (KILLS + 1)
        record.on_saved = lambda count: fleet.kill(count // step % 2) if count % step == 0 else None

        async def live(person: Person, door: str) -> None:
            """One in seven drops out, one in seven goes away and comes back, one in fifty withdraws."""
            await person.enter(door)
            fate = person.chance.random()
            if fate < 1 / 7:
                await person.rate(person.chance.randint(0, 4))
                await person.ask("GET", "/rate")  # and leaves with a question open
            elif fate < 2 / 7:
                await person.rate(3)
                returning.append(person)
                return
            else:
                await person.rate()
                if person.chance.random() < 1 / 50:
                    await person.withdraw()
            await person.leave()

        async def come_back(person: Person) -> None:
            await person.rate()
            await person.leave()

        async def everything() -> None:
            people = [Person(fleet, number, record) for number in range(PEOPLE)]
            await everybody([live(*pair) for pair in zip(people, doors, strict=True)], WORKERS_AT_ONCE)
            await everybody([come_back(person) for person in returning], WORKERS_AT_ONCE)
            for row in store.raters("small"):  # the places of those who dropped out
                store.release(row.rater.id, "ada")
            number = PEOPLE
            while any(row.ratings < K for row in store.item_progress("small")):
                (door,) = invites(store, "small", 1)
                person = Person(fleet, number, record)
                await person.enter(door)
                await person.rate()  # to the end: one who dropped out would hold the last places for half an hour
                await person.leave()
                number += 1

        returning: list[Person] = []
        asyncio.run(everything())
        assert fleet.kills >= KILLS
    found = audit(store, "small", record)
    report(
        capsys,
        f"{PEOPLE} raters, {store.engine.dialect.name}, {fleet.kills} kills",
        record,
        found,
        time.monotonic() - began,
    )
    assert (found.accepted, found.over, found.doubled, found.lost) == ((PAGES + PAIRS) * K, 0, 0, 0)
    assert found.faults == ()
    assert record.refused.total() == 0


def test_fifty_raters_at_once(store: StudyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts alone are asserted; docs/running-a-study.md says what the times should be on a quiet machine."""
    store.freeze(study_of(pages=500, pairs=0, raters_per_item=3), "ada")
    record = Record()
    with Fleet(tmp_path, url_of(store), 1) as fleet:

        async def live(person: Person, door: str) -> None:
            await person.enter(door)
            await asyncio.sleep(THINK * person.chance.random())  # nobody starts on the same second
            await person.rate(QUESTIONS)
            await person.leave()

        async def everything() -> None:
            doors = invites(store, "small", RATERS_AT_ONCE)
            people = [Person(fleet, number, record, THINK) for number in range(RATERS_AT_ONCE)]
            await asyncio.gather(*(live(*pair) for pair in zip(people, doors, strict=True)))

        began = time.monotonic()
        asyncio.run(everything())
        seconds = time.monotonic() - began
    found = audit(store, "small", record)
    title = f"{RATERS_AT_ONCE} raters at once, {THINK:.0f} to {2 * THINK:.0f} s a question, {store.engine.dialect.name}"
    report(capsys, title, record, found, seconds)
    assert found.accepted == len({key for key, _ in record.saved})
    assert (found.over, found.doubled, found.lost) == (0, 0, 0)
