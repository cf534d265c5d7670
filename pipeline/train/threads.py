"""Threads for work whose parts do not depend on each other: compiled functions, and torch on one thread in each."""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

PARTS = 4  # a thread, so that none waits long for another


class Threads:
    """A pool of `count` threads, on each of which torch computes by itself; one needs no pool."""

    def __init__(self, count: int) -> None:
        self.count = count
        if count == 1:
            return
        before, all_there = torch.get_num_threads(), threading.Barrier(count + 1)
        self._pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
        for _ in range(count):
            self._pool.submit(all_there.wait)
        all_there.wait()
        torch.set_num_threads(before)  # which the new threads have set for all that come after them

    def split(self, total: int, work: Callable[[int, int], None], step: int = 1) -> None:
        """Call `work(first, last)` for ranges, multiples of `step` long, that cover `total`; raises what one of them raises."""
        if self.count == 1:
            work(0, total)
            return
        size = max(step, -(-total // (self.count * PARTS * step)) * step)
        parts = [self._pool.submit(work, first, min(first + size, total)) for first in range(0, total, size)]
        for part in parts:
            part.result()


@functools.cache
def threads(count: int) -> Threads:
    """The process's pool of so many threads."""
    return Threads(count)
