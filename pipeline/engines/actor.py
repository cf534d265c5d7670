"""The actor that works for the Ray engine, how the engine sees it, and handles of values in the cluster's object store.

Ray is imported inside functions: these classes are looked at where it may not be installed.
"""

import functools
import importlib
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic

import torch

from pipeline.engines import Progress, T, listen
from pipeline.engines.buffers import Packed, pack, unpack
from pipeline.plan import library_versions

LISTEN_SECONDS = 0.5
SHARED_KEPT = 4  # values that a worker holds at a time
AT_A_TIME = 8  # results that are merged together
TALK = "talk"  # the group of an actor's threads that answers while a piece is at work


class Actor:
    """A worker. It does one piece at a time, on one thread, while another thread answers how far it is."""

    def __init__(self) -> None:
        self._ticket = 0
        self._told = 0
        self._held: list[Any] = []

    def greet(self) -> tuple[str, dict[str, str]]:
        """The node's address, and the versions there."""
        ray = importlib.import_module("ray")
        return ray.util.get_node_ip_address(), versions()

    def do(self, ticket: int, job: tuple[Callable[[Any], Any], Any]) -> tuple[int, Packed]:
        """The units that the piece told, and its result."""
        self._begin(ticket)
        work, piece = job
        with _one_thread(self._hear):
            result = work(piece)
        return self._told, pack(result)

    def hold(
        self,
        ticket: int,
        job: tuple[Callable[[Any], Any], Any] | None,
        merge: Callable[[Sequence[Any]], Any],
        hand_over: bool,
    ) -> tuple[int, Packed | None]:
        """The same, but what the piece gives, if there is one, stays here until all that is held is handed over, merged."""
        self._begin(ticket)
        with _one_thread(self._hear):
            if job is not None:
                work, piece = job
                self._held.append(work(piece))
            if len(self._held) > AT_A_TIME or (hand_over and len(self._held) > 1):
                self._held = [merge(self._held)]
        return self._told, pack(self._held.pop()) if hand_over else None

    def told(self) -> tuple[int, int]:
        """The ticket of the piece that is at work, and the units it has told so far."""
        return self._ticket, self._told

    def _begin(self, ticket: int) -> None:
        self._told = 0
        self._ticket = ticket

    def _hear(self, units: int) -> None:
        self._told += units


@dataclass(slots=True, eq=False)
class Job:
    """A piece on its way: where it is stored, how much of its progress is shown, and how many workers it has cost.

    Without a number it is no piece: results to be merged, `inputs`, or nothing but that a worker hands over what it has.
    """

    number: int = -1
    inputs: Sequence[Any] = ()
    stored: Any = None
    shown: int = 0
    losses: int = 0

    def show(self, units: int, progress: Progress) -> None:
        """Pass progress on; what an earlier attempt told already isn't counted again."""
        if units > self.shown:
            progress(units - self.shown)
            self.shown = units


@dataclass(slots=True, eq=False)
class Hand:
    """A worker, as seen from here, and the answers that are awaited from it."""

    actor: Any
    greeting: Any = None  # until it has come
    job: Job | None = None
    ticket: int = 0
    finished: Any = None
    result: Any = None
    told: Any = None
    asked: float = 0.0
    held: list[Job] = field(default_factory=list)  # pieces whose results are there
    handing: bool = False

    @property
    def doing(self) -> Job:
        if self.job is None:
            raise RuntimeError("an actor without a piece has finished one")
        return self.job

    @property
    def idle(self) -> bool:
        return self.greeting is None and self.job is None

    def greet(self) -> None:
        """Wait for a sign of life before it gets work."""
        self.greeting = self.actor.greet.remote()

    def do(self, job: Job) -> None:
        self._begin(job)
        self.finished, self.result = self.actor.do.options(num_returns=2).remote(self.ticket, job.stored)

    def hold(self, job: Job | None, merge: Any, hand_over: bool) -> None:
        self._begin(job or Job())
        self.handing = hand_over
        asked = self.actor.hold.options(num_returns=2)
        self.finished, self.result = asked.remote(self.ticket, self.doing.stored, merge, hand_over)

    def _begin(self, job: Job) -> None:
        self.job = job
        self.ticket += 1
        self.asked = time.monotonic()

    def ask(self) -> None:
        """Ask how far it is, now and then."""
        if self.job is not None and self.told is None and time.monotonic() - self.asked > LISTEN_SECONDS:
            self.told = self.actor.told.options(concurrency_group=TALK).remote()
            self.asked = time.monotonic()

    def finish(self) -> None:
        self.job = self.finished = self.result = None


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A value in the object store. Its arrays and tensors lie there, shared by the workers of a node."""

    packed: Any

    def get(self) -> T:
        value: T = _read(self.packed)
        return value


def join(job: tuple[Callable[[Sequence[Any]], Any], Sequence[Any]]) -> Any:
    """A piece of work: merge results that lie in the object store. Raises Ray's ObjectLostError."""
    merge, results = job
    ray = importlib.import_module("ray")
    return merge([unpack(packed, copy=False) for packed in ray.get(list(results))])


def versions() -> dict[str, str]:
    """What must be the same on all nodes."""
    return {"Python": platform.python_version(), **library_versions()}


@functools.lru_cache(maxsize=SHARED_KEPT)
def _read(packed: Any) -> Any:
    return unpack(importlib.import_module("ray").get(packed), copy=False)


@contextmanager
def _one_thread(listener: Progress) -> Iterator[None]:
    threads, before = torch.get_num_threads(), listen(listener)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        listen(before)
