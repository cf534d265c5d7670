"""Simulated raters over real HTTP against real server processes, which may be killed at any moment.

Each person holds a cookie, reads the pages as a browser without JavaScript does, answers by a seeded chance, and sends an
answer again until some server says that it has it. What was said to be saved is written down, and compared with the store.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from app.store import study_schema as t
from app.store.study import StudyStore
from app.study import chain
from tests.serving import ROOT, command_line, end, free_port
from tests.test_study_machine import stored_links
from tests.web import Form, answer_form

PATIENCE = 120  # seconds that a person keeps trying while no server answers
FORGOTTEN = 429, 500, 502, 503  # answers after which a browser would try again


class Fleet:
    """Server processes over one data folder and study store, each on a port of its own."""

    def __init__(self, data: Path, study_url: str, count: int) -> None:
        self.data, self.study_url = data, study_url
        self.ports = [free_port() for _ in range(count)]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.kills = 0

    def __enter__(self) -> "Fleet":
        self.processes = [self._start(port) for port in self.ports]
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            end(process)

    @property
    def bases(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def kill(self, number: int) -> None:
        """SIGKILL, in the middle of whatever it does; then a new process on the same port."""
        process = self.processes[number]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.processes[number] = self._start(self.ports[number])
        self.kills += 1

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        line = [*command_line(sys.executable), "serve", "--port", str(port), "--data", str(self.data)]
        with (self.data / f"server-{port}.log").open("ab") as log:
            return subprocess.Popen(
                line,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "DARTBOARD_STUDY_URL": self.study_url},
            )


@dataclass
class Record:
    """What was said to be saved, by question and revision; how long requests took; what was refused."""

    saved: dict[tuple[str, int], dict[str, str]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: Counter[int] = field(default_factory=Counter)
    tries: int = 0  # requests that got no answer, or one of a server in trouble
    withdrawn: set[str] = field(default_factory=set)  # questions whose answers were erased
    on_saved: Callable[[int], None] = lambda count: None

    def note(self, form: Form, values: dict[str, str]) -> None:
        key = form.action.rsplit("/", 1)[1], int(form.revision)
        if key not in self.saved:
            self.saved[key] = values
            self.on_saved(len(self.saved))

    def p99(self, kind: str) -> float:
        """Milliseconds under which 99 of 100 requests of a kind stayed."""
        found = sorted(self.seconds[kind])
        return 1000 * found[min(len(found) - 1, int(0.99 * len(found)))] if found else float("nan")


class Person:
    def __init__(self, fleet: Fleet, number: int, record: Record, think: float = 0.0) -> None:
        self.fleet, self.number, self.record, self.think = fleet, number, record, think
        self.chance = random.Random(number)
        self.client = httpx.AsyncClient(timeout=60, follow_redirects=False)
        self.asked: list[str] = []  # ids of the questions answered

    async def enter(self, link: str) -> None:
        """Open an invite, or join by a link; agree, and leave the instructions."""
        joined = await self.ask("POST" if link.startswith("/join/") else "GET", link)
        assert joined.status_code == 303, joined.text
        for step in ("/rate/consent", "/rate/start"):
            assert (await self.ask("POST", step)).status_code == 303

    async def rate(self, most: int | None = None) -> int:
        """Answer what comes, until nothing does or so many answers were given; returns how many were."""
        count = 0
        while most is None or count < most:
            began = time.perf_counter()
            page = await self.ask("GET", "/rate")
            if page.status_code == 303:  # a place became free while the page was made
                continue
            form = answer_form(httpx_page(page))
            if form is None:
                break
            self.record.seconds["screen"].append(time.perf_counter() - began)
            if self.think:
                await asyncio.sleep(self.think * (1 + self.chance.random()))
            await self.answer(form)
            count += 1
        return count

    async def answer(self, form: Form) -> None:
        values = self.values(form)
        began = time.perf_counter()
        if self.chance.random() < 0.05:  # a double click
            first, second = await asyncio.gather(self.send(form, values), self.send(form, values))
            assert first.status_code == second.status_code == 303, (first.text, second.text)
        else:
            sent = await self.send(form, values)
            if sent.status_code != 303:
                self.record.refused[sent.status_code] += 1
                return
        self.record.seconds["submit"].append(time.perf_counter() - began)
        self.record.note(form, values)
        self.asked.append(form.action.rsplit("/", 1)[1])
        if self.chance.random() < 0.05:
            await self.ask("POST", "/rate/undo")

    async def send(self, form: Form, values: dict[str, str]) -> httpx.Response:
        return await self.ask("POST", form.action, values)

    def values(self, form: Form) -> dict[str, str]:
        if self.chance.random() < 0.03:
            return {"task": form.task, "revision": form.revision, "skip": "unclear"}
        scores = {name: self.chance.randint(1, 5) for name in ("score", "confidence", "left", "right", "pick")}
        return form.filled(**scores, choice=self.chance.choice(["left", "tie", "right", "neither"]))

    async def withdraw(self) -> None:
        assert (await self.ask("POST", "/rate/withdraw", {"sure": "yes"})).status_code in (200, 303)
        self.record.withdrawn.update(self.asked)

    async def ask(self, method: str, path: str, data: dict[str, str] | None = None) -> httpx.Response:
        """The answer of the first server that gives one; a server that is down is tried again, as are its brothers."""
        give_up = time.monotonic() + PATIENCE
        turn = self.number
        while True:
            base = self.fleet.bases[turn % len(self.fleet.bases)]
            try:
                response = await self.client.request(method, base + path, data=data)
                if response.status_code not in FORGOTTEN:
                    return response
            except httpx.TransportError:
                pass
            if time.monotonic() > give_up:
                raise AssertionError(f"no server answered {method} {path}")
            self.record.tries += 1
            turn += 1
            await asyncio.sleep(0.05)

    async def leave(self) -> None:
        await self.client.aclose()


def httpx_page(response: httpx.Response) -> Any:
    assert response.status_code == 200, (response.status_code, response.text[:500])
    return response


@dataclass(frozen=True)
class Audit:
    """What the store holds in the end."""

    accepted: int
    surplus: int
    withdrawn: int
    over: int  # items with more than k
    doubled: int  # raters with two places of one item
    lost: int  # answers that were said to be saved and are not there as they were sent
    faults: tuple[str, ...]  # of the chain


def audit(store: StudyStore, study: str, record: Record) -> Audit:
    """Compare the store with what the servers said, and with itself."""
    found = store.study(study)
    a, r, i = t.assignment.c, t.rating.c, t.item.c
    with store.engine.connect() as connection:
        rows = connection.execute(
            select(a.item_id, a.rater_id, a.state)
            .join(t.item, i.id == a.item_id)
            .where(i.study_id == found.id, i.purpose == "main", a.repeat == 0)
        ).all()
        counted = {
            row.id: row.accepted for row in connection.execute(select(i.id, i.accepted).where(i.study_id == found.id))
        }
        ratings = connection.execute(
            select(a.public_id, r.revision, r.answer, r.withdrawn_at).join(t.assignment, a.id == r.assignment_id)
        ).all()
        withdrawn = connection.execute(select(func.count()).where(t.rater.c.withdrawn_at.is_not(None))).scalar_one()
    accepted = [(row.item_id, row.rater_id) for row in rows if row.state == "accepted"]
    held = Counter(item for item, _ in accepted)
    assert all(counted[item] == held[item] for item in counted if item in held), "an item's count is off"
    stored = {(row.public_id, row.revision): row for row in ratings}
    assert len(stored) == len(ratings)
    k = int(found.protocol["raters_per_item"])
    return Audit(
        accepted=len(accepted),
        surplus=sum(row.state == "surplus" for row in rows),
        withdrawn=withdrawn,
        over=sum(count > k for count in held.values()),
        doubled=len(accepted) - len(set(accepted)),
        lost=sum(
            not _is_there(stored.get(key), values, key[0] in record.withdrawn) for key, values in record.saved.items()
        ),
        faults=tuple(chain.faults(found.protocol_hash, stored_links(store))),
    )


def _is_there(row: Any, values: dict[str, str], withdrawn: bool) -> bool:
    if row is None:
        return False
    if withdrawn:
        return row.answer is None and row.withdrawn_at is not None
    return row.answer is not None and all(
        str(value) == values.get(name) for name, value in row.answer.items() if value is not None
    )


def invites(store: StudyStore, study: str, count: int) -> list[str]:
    made = [store.add_rater(study, f"rater {number}", "test") for number in range(count)]
    return [f"/invite/{store.invite(study, rater.id, 1, 'test')}" for rater in made]


async def everybody(people: Sequence[Any], at_once: int) -> None:
    """Run coroutines, so many of them at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(person: Any) -> None:
        async with gate:
            await person

    await asyncio.gather(*(one(person) for person in people))
