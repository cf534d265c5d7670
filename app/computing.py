"""What takes seconds, done once and away from those who rate: in a child process, one at a time, its outcome kept.

    computing = Computing()
    match computing.ask(key, work, arguments):
        case Running(): …   # ask again in a moment
        case Done(value): …

`work(report, *arguments)` runs in the child and returns what can be pickled; it calls `report(text, share)` as it goes on. A
computation with an equal key is the same one. What failed is told for a while; who asks after that starts it anew.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from app.errors import DartboardError

KEPT = 8  # outcomes; the one that was asked for longest ago goes first
RETRY = 10.0  # seconds for which a failure is told
NICE = 10  # whoever rates comes first
ENDED = "The computation ended before it was done; try again, and look at the server's memory if it ends again."
Report = Callable[[str, float], None]
Work = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Running:
    """`doing` says what, `share` how much is done, from 0 to 1."""

    doing: str = "Waiting for its turn"
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Done:
    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """`error` is a DartboardError whose message says what to do; `at`: when, by the timer."""

    error: DartboardError
    at: float = 0.0


Outcome = Running | Done | Failed


class Computing:
    """Safe among threads. `timer` counts seconds."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self.timer = timer
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._outcomes: OrderedDict[Hashable, Outcome] = OrderedDict()
        self._process: BaseProcess | None = None
        self._closed = False

    def ask(self, key: Hashable, work: Work, arguments: tuple[Any, ...]) -> Outcome:
        """How far it is; starts it where it was not asked for before, or failed some time ago."""
        with self._lock:
            found = self._outcomes.get(key)
            if found is not None and not (isinstance(found, Failed) and self.timer() - found.at > RETRY):
                self._outcomes.move_to_end(key)
                return found
            self._outcomes[key] = Running()
            self._forget()
        threading.Thread(target=self._run, args=(key, work, arguments), daemon=True).start()
        return Running()

    def close(self) -> None:
        """End what is running; nothing starts any more."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.terminate()

    def _run(self, key: Hashable, work: Work, arguments: tuple[Any, ...]) -> None:
        with self._turn:
            ours, theirs = get_context("spawn").Pipe(duplex=False)
            process = get_context("spawn").Process(target=_child, args=(theirs, work, arguments), daemon=True)
            with self._lock:
                if self._closed:
                    return
                self._process = process
                process.start()
            theirs.close()
            outcome: Outcome = Running("Starting", 0.0)
            while isinstance(outcome, Running):
                self._note(key, outcome)
                try:
                    outcome = ours.recv()
                except EOFError:  # it was killed, or ran out of memory
                    outcome = Failed(DartboardError(ENDED))
            if isinstance(outcome, Failed):
                outcome = replace(outcome, at=self.timer())
            process.join()
            ours.close()
            self._note(key, outcome)

    def _note(self, key: Hashable, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes[key] = outcome

    def _forget(self) -> None:
        done = [key for key, outcome in self._outcomes.items() if not isinstance(outcome, Running)]
        for key in done[: max(len(self._outcomes) - KEPT, 0)]:
            del self._outcomes[key]


def _child(pipe: Connection, work: Work, arguments: tuple[Any, ...]) -> None:
    with suppress(OSError):
        os.nice(NICE)
    last = Running()

    def report(doing: str, share: float) -> None:
        nonlocal last
        if (doing, round(share, 2)) != (last.doing, last.share):
            last = replace(last, doing=doing, share=round(share, 2))
            pipe.send(last)

    try:
        pipe.send(Done(work(report, *arguments)))
    except DartboardError as error:
        pipe.send(Failed(error))
