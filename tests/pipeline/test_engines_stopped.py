"""A Ray cluster that loses a node, and programs that are stopped while theirs is at work."""

import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.engines.ray import RayEngine
from tests.pipeline import pieces
from tests.pipeline.clusters import ray_cluster
from tests.pipeline.test_engines import wait_until_gone
from tests.serving import ROOT

pytestmark = pytest.mark.slow


def test_a_node_that_is_lost_changes_nothing(tmp_path: Path) -> None:
    """Its pieces are done elsewhere, those too that it had handed over and that were to be merged."""
    with ray_cluster(nodes=3) as cluster, RayEngine(cluster.address) as engine:
        told = list[int]()

        def tell(units: int) -> None:
            told.append(units)
            if sum(told) == 100:
                cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

        found = list(engine.gather(functools.partial(pieces.make_slowly, tmp_path), pieces.join, range(30), tell))
        assert sum(told) == 10 * 30
        assert sorted(number for some, _ in found for number in some) == list(range(30))
        assert sorted(pieces.join([result for _, result in found])) == list(range(30))


DRIVER = """
import functools, sys
from pathlib import Path
from app.errors import UserError
from pipeline.engines.ray import RayEngine
from tests.pipeline import pieces

folder = Path(sys.argv[1])
with RayEngine(None, 2) as engine:
    for number, _ in engine.run(functools.partial(pieces.wait_for, folder), range(4)):
        print(number)
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def start_driver(folder: Path, temporary: Path) -> "subprocess.Popen[str]":
    """A program that starts a cluster of its own; its workers wait."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(list(folder.glob("pid-*"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process


def test_a_cluster_of_its_own_is_quiet_and_cleans_up(tmp_path: Path, temporary: Path) -> None:
    pytest.importorskip("ray")
    process = start_driver(tmp_path, temporary)
    (tmp_path / "go").touch()
    output, errors = process.communicate()
    assert (process.returncode, sorted(output.split()), errors) == (0, ["0", "1", "2", "3"], "")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_program_leaves_no_worker(how: signal.Signals, tmp_path: Path, temporary: Path) -> None:
    pytest.importorskip("ray")
    process = start_driver(tmp_path, temporary)
    (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)  # as a terminal does it, or another program
    process.communicate()
    assert process.returncode != 0
    for path in tmp_path.glob("pid-*"):
        wait_until_gone(int(path.name.removeprefix("pid-")))
    if how != signal.SIGKILL:
        assert list(temporary.iterdir()) == []
