"""Do pieces and merge their results: on the workers where the engine can, so that few results travel to the caller.

`merge` must be associative and commutative: then the shape of the tree, and the order in which results come, changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from pipeline.engines import Engine, Piece, Progress, Result, silent


@runtime_checkable
class Gathers(Protocol):
    """An engine whose workers merge what they have."""

    def gather(
        self,
        work: Callable[[Piece], Result],
        merge: Callable[[Sequence[Result]], Result],
        pieces: Sequence[Piece],
        progress: Progress = silent,
    ) -> Iterator[tuple[list[Piece], Result]]:
        """Like `Engine.run`, but yields merged results, each with the pieces that it is of."""
        ...


def gathered(
    engine: Engine,
    work: Callable[[Piece], Result],
    merge: Callable[[Sequence[Result]], Result],
    pieces: Sequence[Piece],
    progress: Progress = silent,
) -> Iterator[tuple[list[Piece], Result]]:
    """Results, each with the pieces that it is of, as they come; those of single pieces where the engine merges nothing."""
    if isinstance(engine, Gathers):
        yield from engine.gather(work, merge, pieces, progress)
    else:
        for piece, result in engine.run(work, pieces, progress):
            yield [piece], result
