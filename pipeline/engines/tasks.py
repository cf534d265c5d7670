"""What the Ray engine gives its workers to do, and what becomes of it: piece by piece, or merged as a tree.

Gathering goes in rounds. A worker keeps what its pieces give, merges it, and hands it over once it has done its share of a
round; what is handed over is merged by workers again, AT_A_TIME at a time, until one result stands for as many hand-overs
as there are workers. That one travels to the caller. It is of some pieces, and never of one piece twice: those whose results
are lost on their way are done again.
"""

import importlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.engines.actor import AT_A_TIME, Hand, Job, join
from pipeline.engines.buffers import unpack

ROUNDS = 16  # about as many results come to the caller

Found = tuple[list[int], Any]
"""The numbers of some pieces, and what they gave."""


class Tasks(Protocol):
    @property
    def left(self) -> int:
        """How many workers could begin something."""
        ...

    def give(self, hand: Hand) -> None:
        """Let an idle worker begin something, if there is anything for it."""
        ...

    def take(self, hand: Hand) -> None:
        """The worker has finished. Raises Ray's errors of what is lost."""
        ...

    def ready(self) -> Found | None:
        """What there is for the caller, once."""
        ...

    def lose(self, hand: Hand, input_lost: bool) -> None:
        """The worker is gone, or what it was to work on."""
        ...


class Singly:
    """Every piece gives a result."""

    def __init__(self, pieces: int, store: Callable[[int], Any]) -> None:
        self._left = deque(Job(number) for number in range(pieces))
        self._store = store
        self._found: list[Found] = []

    @property
    def left(self) -> int:
        return len(self._left)

    def give(self, hand: Hand) -> None:
        if self._left:
            job = self._left.popleft()
            job.stored = job.stored or self._store(job.number)
            hand.do(job)

    def take(self, hand: Hand) -> None:
        self._found.append(([hand.doing.number], _fetched(hand.result)))

    def ready(self) -> Found | None:
        return self._found.pop(0) if self._found else None

    def lose(self, hand: Hand, input_lost: bool) -> None:
        if hand.job is not None:
            self._left.appendleft(hand.job)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A result in the object store, the pieces that it is of, and in how many parts workers had handed it over."""

    result: Any
    pieces: list[Job]
    parts: int


class Gathering:
    """Results are merged on their way; see above."""

    def __init__(
        self,
        pieces: int,
        store: Callable[[int], Any],
        put: Callable[[Any], Any],
        merge: Callable[[Sequence[Any]], Any],
        workers: int,
    ) -> None:
        self._left = deque(Job(number) for number in range(pieces))
        self._store, self._put, self._merge = store, put, merge
        self._stored_merge = put(merge)
        self._workers = workers
        self._share = -(-pieces // (ROUNDS * workers))  # of a worker in a round
        self._away = pieces  # those whose results are not handed over yet
        self._batches: list[_Batch] = []
        self._joining = 0

    @property
    def left(self) -> int:
        return len(self._left)

    def give(self, hand: Hand) -> None:
        if self._left:
            job = self._left.popleft()
            if job.inputs:
                refs = [batch.result for batch in job.inputs]
                job.stored = job.stored or self._put((join, (self._merge, refs)))
                hand.do(job)
            else:
                job.stored = job.stored or self._store(job.number)
                hand.hold(job, self._stored_merge, len(hand.held) + 1 >= self._share or not self._left)
        elif hand.held:
            hand.hold(None, self._stored_merge, hand_over=True)

    def take(self, hand: Hand) -> None:
        job = hand.doing
        job.stored = None
        if job.inputs:
            self._joining -= 1
            self._batches.append(_Batch(hand.result, _pieces(job), sum(batch.parts for batch in job.inputs)))
            return
        hand.held += [job] if job.number >= 0 else []
        if hand.handing:
            self._batches.append(_Batch(hand.result, hand.held, 1))
            self._away -= len(hand.held)
            hand.held = []

    def ready(self) -> Found | None:
        """A batch that is a whole round's, or the last one; what else has gathered is sent to be merged."""
        ending = not self._away and not self._joining
        for number, batch in enumerate(self._batches):
            if batch.parts >= self._workers or (ending and len(self._batches) == 1):
                del self._batches[number]
                return self._brought(batch)
        if len(self._batches) >= (max(2, min(AT_A_TIME, self._workers)) if self._away else 2):
            some, self._batches = self._batches[:AT_A_TIME], self._batches[AT_A_TIME:]
            self._left.appendleft(Job(inputs=some))
            self._joining += 1
        return None

    def lose(self, hand: Hand, input_lost: bool) -> None:
        self._again(hand.held)
        job = hand.job
        if job is None:
            return
        if job.inputs and input_lost:
            self._joining -= 1
            self._apart(_pieces(job))
        elif job.inputs or job.number >= 0:
            self._again([job])

    def _again(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.stored = None
        self._left.extendleft(jobs)

    def _apart(self, pieces: Sequence[Job]) -> None:
        """What they gave is lost after it was handed over."""
        self._away += len(pieces)
        self._again(pieces)

    def _brought(self, batch: _Batch) -> Found | None:
        try:
            return [job.number for job in batch.pieces], _fetched(batch.result)
        except importlib.import_module("ray").exceptions.ObjectLostError:
            self._apart(batch.pieces)
            return None


def _pieces(join: Job) -> list[Job]:
    return [piece for batch in join.inputs for piece in batch.pieces]


def _fetched(result: Any) -> Any:
    return unpack(importlib.import_module("ray").get(result), copy=True)
