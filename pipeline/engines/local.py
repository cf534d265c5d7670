"""Spread independent pieces of work over processes of one computer, one thread each, so that results don't depend on how many."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch

from app.errors import DartboardError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Local:
    """Worker processes that are started when first needed and live until the block ends."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Result]]:
        """Do every piece and yield each with its result as it is done, in any order.

        `work` must be picklable (a function of a module, or a `functools.partial` of one). With one worker the work is
        done in this process. Raises what `work` raises, DartboardError where a worker is killed.
        """
        if self.workers == 1:
            yield from _here(work, pieces)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), _start_worker)
        try:
            waiting: dict[Future[Result], Piece] = {self._pool.submit(work, piece): piece for piece in pieces}
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield waiting.pop(future), future.result()
        except BrokenProcessPool as error:
            raise DartboardError(
                "A worker process died (out of memory?); try fewer --workers: run again, it goes on from here."
            ) from error


def _here(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Result]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for piece in pieces:
            yield piece, work(piece)
    finally:
        torch.set_num_threads(threads)


def _start_worker() -> None:
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: multiprocessing.process.BaseProcess) -> None:
    """Leave with the parent, even when it is killed outright: a build that starts anew must have the folder to itself."""
    parent.join()
    os._exit(1)
