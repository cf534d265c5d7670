"""Files are whole or not there, and a full disk is told as an OSError, whichever library writes."""

import errno
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.files import write_array, write_json, write_state, write_tensors


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 10 kB."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_tensors(path, {"x": torch.zeros(10_000)}),
        lambda path: write_state(path, {"x": torch.zeros(10_000)}),
        lambda path: write_array(path, np.zeros(10_000)),
        lambda path: write_json(path, list(range(10_000))),
    ],
    ids=["tensors", "state", "array", "json"],
)
@pytest.mark.usefixtures("full_disk")
def test_what_does_not_fit_leaves_what_was_there(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match=r"File too large|No space left") as caught:
        write(path)
    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("it", b"before")]
