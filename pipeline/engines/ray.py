"""Workers on the nodes of a Ray cluster, or on this computer where no cluster is named.

    with RayEngine("auto", workers=None, gpus=0.25) as engine:
        for piece, result in engine.run(work, pieces, progress): …

Each worker is an actor with one CPU and `gpus` of a GPU, and holds one piece at a time. A piece whose worker is lost goes
to another one; a new worker is asked for in its place, and takes part as soon as the cluster has room for it.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from app.errors import DartboardError, UserError
from pipeline.engines import Piece, Progress, Result, Shared, T, silent
from pipeline.engines.actor import LISTEN_SECONDS, TALK, Actor, Hand, Stored, versions
from pipeline.engines.buffers import pack
from pipeline.engines.cluster import connected, first_line, import_ray
from pipeline.engines.tasks import Found, Gathering, Singly, Tasks

ATTEMPTS = 4  # at a piece; as many starts for each worker may fail in succession
STARVED_SECONDS = 300.0  # without any worker


class RayEngine:
    """See Engine and Gathers. Workers are started when first needed and live until the block ends.

    `address` is a cluster's, "auto" that of the cluster that this computer belongs to; None starts one here that ends with
    the block. `workers` None means as many as there is room for. Raises UserError where Ray isn't installed, no cluster
    answers, or it has no room for a single worker.
    """

    def __init__(self, address: str | None = None, workers: int | None = None, gpus: float = 0.0) -> None:
        if address is not None and address.startswith("ray://"):
            raise UserError(
                f"Address {address} is that of a Ray client server, which can't be used here; start the build on a node "
                "of the cluster, with --address auto."
            )
        self._ray = import_ray()
        self._address = address
        self._workers = workers
        self._gpus = gpus
        self._hands: list[Hand] = []
        self._closing = contextlib.ExitStack()
        self._actor: Any = None
        self._starts_lost = 0

    @property
    def workers(self) -> int:
        """As many as were asked for, or as the cluster had room for when the block began."""
        return self._workers or 1

    def __enter__(self) -> "RayEngine":
        try:
            self._closing.enter_context(connected(self._address, self._workers))
            room = self._room()
        except BaseException:
            self._closing.close()
            raise
        self._workers = self._workers or room
        options = {"num_cpus": 1, "num_gpus": self._gpus, "max_restarts": 0, "concurrency_groups": {TALK: 1}}
        self._actor = self._ray.remote(**options)(Actor)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._dismiss(self._hands)
        finally:
            self._closing.close()

    def share(self, value: T) -> Shared[T]:
        """See Engine. Workers of one node read its arrays and tensors in place, from one copy."""
        return Stored(self._ray.put(pack(value)))

    def run(
        self, work: Callable[[Piece], Result], pieces: Sequence[Piece], progress: Progress = silent
    ) -> Iterator[tuple[Piece, Result]]:
        """See Engine. Arrays in a piece must not be changed: workers may share them."""
        for (number,), value in self._do(Singly(len(pieces), self._stores(work, pieces)), progress):
            yield pieces[number], value

    def gather(
        self,
        work: Callable[[Piece], Result],
        merge: Callable[[Sequence[Result]], Result],
        pieces: Sequence[Piece],
        progress: Progress = silent,
    ) -> Iterator[tuple[list[Piece], Result]]:
        """See Gathers, and the module `tasks`."""
        tasks = Gathering(len(pieces), self._stores(work, pieces), self._ray.put, merge, self.workers)
        for numbers, value in self._do(tasks, progress):
            yield [pieces[number] for number in numbers], value

    def _stores(self, work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Callable[[int], Any]:
        return lambda number: self._ray.put((work, pieces[number]))

    # The cluster.

    def _room(self) -> int:
        room = 0
        for node in self._ray.nodes():
            has = node["Resources"] if node["Alive"] else {}
            fits = int(has.get("CPU", 0))
            room += min(fits, int(has.get("GPU", 0) / self._gpus + 1e-9)) if self._gpus else fits
        if not room:
            needs = f"one CPU and {self._gpus:g} of a GPU" if self._gpus else "one CPU"
            raise UserError(
                f"No node of the Ray cluster has {needs}, which a worker needs; add nodes, or ask for less."
            )
        return room

    def _hire(self, count: int) -> None:
        for _ in range(count - len(self._hands)):
            hand = Hand(self._actor.remote())
            hand.greet()
            self._hands.append(hand)

    def _dismiss(self, hands: Sequence[Hand]) -> None:
        for hand in list(hands):
            self._ray.kill(hand.actor)
            self._hands.remove(hand)

    # A run.

    def _do(self, tasks: Tasks, progress: Progress) -> Iterator[Found]:
        fed = time.monotonic()
        for hand in self._hands:
            hand.greet()
        try:
            while (found := tasks.ready()) or tasks.left or self._busy():
                self._hire(min(self.workers, tasks.left + len(self._busy())))
                for hand in self._hands:
                    if hand.idle:
                        tasks.give(hand)
                if found:  # and nobody waits while the caller has it
                    yield found
                    fed = time.monotonic()
                    continue
                self._listen(tasks, progress)
                if any(hand.greeting is None for hand in self._hands):
                    fed = time.monotonic()
                elif time.monotonic() - fed > STARVED_SECONDS:
                    raise DartboardError(
                        f"The Ray cluster has had no room for a worker for {STARVED_SECONDS:.0f} s; see `ray status`, add "
                        "nodes, and run again: it goes on from here."
                    )
        finally:
            self._dismiss(self._busy())

    def _busy(self) -> list[Hand]:
        """Those that are at work, or hold what they have made."""
        return [hand for hand in self._hands if hand.job is not None or hand.held]

    def _listen(self, tasks: Tasks, progress: Progress) -> None:
        """Wait until a worker says something, LISTEN_SECONDS at most."""
        said = {
            ref: hand for hand in self._hands for ref in (hand.greeting, hand.told, hand.finished) if ref is not None
        }
        ready, _ = self._ray.wait(list(said), timeout=LISTEN_SECONDS, fetch_local=False)
        for hand in self._hands:
            hand.ask()
        if not ready:
            return
        (ref,) = ready
        hand = said[ref]
        lost = self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError
        input_lost = False
        try:
            self._hear(hand, ref, tasks, progress)
            return
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if not isinstance(cause, lost):
                if isinstance(cause, Exception) and not isinstance(cause, DartboardError):
                    cause.add_note(str(error))
                raise cause from None
            input_lost = True
        except lost as error:
            if getattr(error, "actor_init_failed", False):
                raise UserError(
                    f"A worker can't start: {_last_line(error)}; install dartboard the same on all nodes."
                ) from error
        except self._ray.exceptions.RayError as error:
            raise DartboardError(
                f"Ray failed ({first_line(error)}); once that is mended, run again: it goes on from here."
            ) from error
        self._lose(hand, tasks, input_lost)

    def _hear(self, hand: Hand, ref: Any, tasks: Tasks, progress: Progress) -> None:
        ray = self._ray
        if ref == hand.greeting:
            _check_versions(*ray.get(ref))
            hand.greeting = None
            self._starts_lost = 0
        elif ref == hand.told:
            ticket, units = ray.get(ref)
            hand.told = None
            if hand.job is not None and ticket == hand.ticket:
                hand.job.show(units, progress)
        else:
            told = ray.get(ref)
            tasks.take(hand)
            hand.doing.show(told, progress)
            hand.finish()

    def _lose(self, hand: Hand, tasks: Tasks, input_lost: bool) -> None:
        self._dismiss([hand])
        tasks.lose(hand, input_lost)
        if hand.job is None:
            self._starts_lost += not hand.held
            if self._starts_lost >= ATTEMPTS * self.workers:
                raise DartboardError("Workers of the Ray cluster die as they start; see its logs, and run again.")
            return
        hand.job.losses += 1
        if hand.job.losses >= ATTEMPTS:
            raise DartboardError(
                f"{ATTEMPTS} workers died on the same piece of work (out of memory?); try fewer workers on a node, or a "
                "lower m, `sample` or context_length: run again, it goes on from here."
            )


def _check_versions(node: str, theirs: dict[str, str]) -> None:
    for name, ours in versions().items():
        if theirs.get(name) != ours:
            raise UserError(
                f"Node {node} has {name} {theirs.get(name)}, this computer {ours}; install the same on all nodes, or results "
                "depend on where they are made."
            )


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2].rstrip(".")
