"""Pieces of work for the tests of engines: what workers do must be importable where they run."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import NotFound, UserError
from pipeline.engines import Shared, tell

Found = dict[int, NDArray[np.int64]]


class Traced:
    """A value that leaves a file whenever a process unpickles it."""

    def __init__(self, folder: Path, tensor: Tensor, array: NDArray[np.float64]) -> None:
        self.folder = folder
        self.tensor = tensor
        self.array = array

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _traced, (self.folder, self.tensor, self.array)


def _traced(folder: Path, tensor: Tensor, array: NDArray[np.float64]) -> Traced:
    count = len(list(folder.glob(f"{os.getpid()}-*")))
    (folder / f"{os.getpid()}-{count}").touch()
    return Traced(folder, tensor, array)


def square(number: int) -> int:
    tell(number)
    tell(1)
    return number * number


def scale(shared: Shared[Traced], number: int) -> tuple[float, bool]:
    """A sum over the shared value; and whether this process may write to it."""
    value = shared.get()
    return float(value.tensor.double().sum() + value.array.sum()) * number, value.array.flags.writeable


def arrays(number: int) -> tuple[NDArray[np.int64], Tensor]:
    return np.full(100_000, number), torch.full((100_000,), number, dtype=torch.bfloat16)


def threads(_: int) -> int:
    return torch.get_num_threads()


def visible_gpus(_: int) -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def refuse(number: int) -> int:
    if number == 5:
        raise UserError("k = 9 is more than m = 8; lower k.")
    return number


def lose_way(number: int) -> int:
    raise NotFound("There is no such thing.", nearest=f"/{number}")


def divide(number: int) -> float:
    return 1 / (number - 5)


def die_once(folder: Path, number: int) -> int:
    """Tells 10 units; the first worker that has piece 3 is killed after 6 of them."""
    tell(6)
    if number == 3 and first(folder / "died"):
        time.sleep(1.2)  # so that the 6 are known already
        os.kill(os.getpid(), signal.SIGKILL)
    tell(4)
    return number


def killed_once(folder: Path, work: Callable[[Any], Any], piece: Any) -> Any:
    """The worker that is the first to finish a piece is killed before it can say so."""
    result = work(piece)
    if first(folder / "died"):
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def die(number: int) -> int:
    if number == 2:
        os._exit(1)
    return number


def wait_for(folder: Path, number: int) -> int:
    """Leaves the worker's number in the folder, and goes on when there is a file `go` in it."""
    (folder / f"pid-{os.getpid()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.02)
    return number


def make(folder: Path, number: int) -> Found:
    """A large result, and a file for each time that it is made."""
    (folder / f"{number}-{time.monotonic_ns()}").touch()
    return {number: np.full(50_000, number)}


def make_slowly(folder: Path, number: int) -> Found:
    tell(10)
    time.sleep(0.5)
    return make(folder, number)


def die_late(folder: Path, number: int) -> Found:
    """The worker that is the first to do a fourth piece is killed in it."""
    tell(1)
    (folder / f"made-{number}-{os.getpid()}").touch()
    if len(list(folder.glob(f"made-*-{os.getpid()}"))) == 4 and first(folder / "died"):
        os.kill(os.getpid(), signal.SIGKILL)
    return {number: np.full(10, number)}


def join(results: Sequence[Found]) -> Found:
    merged: Found = {}
    for result in results:
        assert not merged.keys() & result.keys()
        merged.update(result)
    return dict(sorted(merged.items()))


def first(path: Path) -> bool:
    """Whether nobody was here before."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
