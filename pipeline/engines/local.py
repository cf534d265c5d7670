"""Worker processes of one computer."""

import contextlib
import functools
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, Generic

import torch

from app.errors import DartboardError
from pipeline.engines import Piece, Progress, Result, Shared, T, listen, silent

LISTEN_SECONDS = 0.1
SHARED_KEPT = 4  # values that a worker holds at a time
SHARED = "dartboard-"  # how the folder of values to share begins


class Local:
    """Processes that are started when first needed and live until the block ends; with one worker, this process."""

    def __init__(self, workers: int, place: Path | None = None) -> None:
        """`place`: the folder where values to share are left while it lives; the system's own for such, if not given."""
        self.workers = workers
        self._place = place
        self._pool: ProcessPoolExecutor | None = None
        self._told: SimpleQueue[int] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._values = 0

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._folder is not None:
            self._folder.cleanup()

    def share(self, value: T) -> Shared[T]:
        """See Engine."""
        if self.workers == 1:
            return _Here(value)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix=SHARED, dir=self._place)
        path = Path(self._folder.name) / f"{self._values}.pickle"
        self._values += 1
        with path.open("wb") as file:
            pickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)
        return _InFile(path)

    def run(
        self, work: Callable[[Piece], Result], pieces: Sequence[Piece], progress: Progress = silent
    ) -> Iterator[tuple[Piece, Result]]:
        """See Engine. A worker that is killed ends the run with a DartboardError."""
        if self.workers == 1:
            yield from _here(work, pieces, progress)
            return
        pool, told = self._start()
        try:
            with _interrupts_held():  # this is where processes are started
                waiting: dict[Future[Result], Piece] = {pool.submit(work, piece): piece for piece in pieces}
            while waiting:
                done, _ = wait(waiting, LISTEN_SECONDS, FIRST_COMPLETED)
                while not told.empty():
                    progress(told.get())
                for future in done:
                    yield waiting.pop(future), future.result()
        except BrokenProcessPool as error:
            self._pool = None
            raise DartboardError(
                "A worker process died (out of memory?); try fewer --workers, or a lower m, `sample` or "
                "context_length: run again, it goes on from here."
            ) from error

    def _start(self) -> "tuple[ProcessPoolExecutor, SimpleQueue[int]]":
        if self._pool is None or self._told is None:
            context = multiprocessing.get_context("spawn")
            self._told = context.SimpleQueue()
            self._pool = ProcessPoolExecutor(self.workers, context, _start_worker, (self._told,))
        return self._pool, self._told


@dataclass(frozen=True, slots=True)
class _Here(Generic[T]):
    value: T

    def get(self) -> T:
        return self.value


@dataclass(frozen=True, slots=True)
class _InFile(Generic[T]):
    path: Path

    def get(self) -> T:
        value: T = _read(self.path)
        return value


@functools.lru_cache(maxsize=SHARED_KEPT)
def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)  # written by this engine, in a folder of its own


def _here(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], progress: Progress
) -> Iterator[tuple[Piece, Result]]:
    threads, before = torch.get_num_threads(), listen(progress)
    torch.set_num_threads(1)
    try:
        for piece in pieces:
            yield piece, work(piece)
    finally:
        torch.set_num_threads(threads)
        listen(before)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C, which a terminal sends to all processes, comes after this block; to one that is started in it, when it asks."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(told: "SimpleQueue[int]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it leaves without a word: the caller has one
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    torch.set_num_threads(1)
    listen(told.put)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: multiprocessing.process.BaseProcess) -> None:
    """Leave with the parent, even when it is killed outright: a build that starts anew must have the folder to itself."""
    parent.join()
    os._exit(1)
