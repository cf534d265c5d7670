"""Engines spread independent pieces of work over workers. What they have in common; one file for each engine.

A worker runs one piece at a time on one thread, so that results don't depend on how many workers there are.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Piece = TypeVar("Piece")
Result = TypeVar("Result")
Progress = Callable[[int], None]


class Shared(Protocol[T_co]):
    """A value that was given to the engine once: picklable, and cheap to send with every piece."""

    def get(self) -> T_co:
        """The value; a worker fetches it once and keeps it. It must not be changed."""
        ...

    def __hash__(self) -> int: ...


class Engine(Protocol):
    @property
    def workers(self) -> int: ...

    def share(self, value: T) -> Shared[T]:
        """Make a picklable value known to all workers."""
        ...

    def run(
        self, work: Callable[[Piece], Result], pieces: Sequence[Piece], progress: Progress
    ) -> Iterator[tuple[Piece, Result]]:
        """Do every piece and yield each with its result as it is done, in any order.

        `work` must be picklable (a function of a module, or a `functools.partial` of one). `progress` is called with
        what workers `tell`. Raises what `work` raises, DartboardError where workers are lost for good.
        """
        ...


def silent(_units: int) -> None:
    """For pieces that tell nothing."""


_listener: Progress = silent


def tell(units: int) -> None:
    """Report units of progress, from inside a piece of work."""
    _listener(units)


def listen(listener: Progress) -> Progress:
    """Say where this process's `tell` goes; gives the listener that it replaces. For engines."""
    global _listener
    before, _listener = _listener, listener
    return before
