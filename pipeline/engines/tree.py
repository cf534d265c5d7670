"""Merge the results of all pieces into one, on the workers where the engine can, so that one result travels to the caller.

`merge` must be associative and commutative: then the shape of the tree, and the order in which results come, changes nothing.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from pipeline.engines import Engine, Piece, Progress, Result, Shared, silent

AT_A_TIME = 8


@runtime_checkable
class Keeps(Protocol):
    """An engine that can leave results where they were made."""

    def keep(
        self, work: Callable[[Piece], Result], pieces: Sequence[Piece], progress: Progress = silent
    ) -> Iterator[tuple[Piece, Shared[Result]]]:
        """Like `Engine.run`, but yields handles of results, which pieces may hold; a result that is lost is made again."""
        ...


def merge_tree(
    engine: Engine,
    work: Callable[[Piece], Result],
    merge: Callable[[Sequence[Result]], Result],
    pieces: Sequence[Piece],
    progress: Progress = silent,
) -> Result:
    """The merged results of all pieces, of which there must be one at least. Raises what `Engine.run` raises.

    Never more than AT_A_TIME + 1 results are in one place. With an engine that can't keep results they are merged here.
    """
    if not pieces:
        raise ValueError("there is nothing to merge")
    if not isinstance(engine, Keeps):
        return _merge_here(merge, (result for _, result in engine.run(work, pieces, progress)))
    level = [kept for _, kept in engine.keep(work, pieces, progress)]
    while len(level) > 1:
        groups = [tuple(level[start : start + AT_A_TIME]) for start in range(0, len(level), AT_A_TIME)]
        level = [kept for _, kept in engine.keep(functools.partial(_merge_kept, merge), groups)]
    return level[0].get()


def _merge_here(merge: Callable[[Sequence[Result]], Result], results: Iterator[Result]) -> Result:
    held: list[Result] = []
    for result in results:
        held.append(result)
        if len(held) > AT_A_TIME:
            held = [merge(held)]
    return merge(held)


def _merge_kept(merge: Callable[[Sequence[Result]], Result], kept: tuple[Shared[Result], ...]) -> Result:
    return merge([one.get() for one in kept])
