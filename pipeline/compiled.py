"""Functions compiled by numba, which has no types of its own.

What is compiled is kept on disk until its own file changes: a compiled function may call others of its file alone.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiled when first called, then kept in numba's cache on disk. Its sums are done in the order they are written in."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def reordered(function: Function) -> Function:
    """The same, but for sums, which are done in the order that suits the processor: equal bytes on equal processors alone."""
    flags = {"reassoc", "contract", "nsz", "arcp"}
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=flags)(function))
