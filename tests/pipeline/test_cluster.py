"""Where no Ray cluster can be joined, and none started: one sentence, and nothing is left running."""

import subprocess
from pathlib import Path

import pytest

from app.errors import DartboardError, UserError
from pipeline.engines.ray import RayEngine
from tests.serving import ROOT, command_line


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_where_no_cluster_is_it_says_so_soon(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match="No Ray cluster can be joined at") as caught:
        RayEngine(address).__enter__()
    assert "\n" not in str(caught.value)


def test_a_cluster_that_cannot_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own server is given no time to open its port."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "0")
    with pytest.raises(
        DartboardError, match=r"Ray can't start a cluster on this computer \(.+\); is it too busy\?"
    ) as caught:
        RayEngine(None, 1).__enter__()
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("leave --engine ray out.")
    assert not ray.is_initialized()


@pytest.mark.slow
def test_the_command_says_the_same(build_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    options = [
        "build",
        str(build_file),
        "--data",
        str(tmp_path / "data"),
        "--engine",
        "ray",
        "--address",
        "127.0.0.1:1",
    ]
    done = subprocess.run([*command_line(), *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("No Ray cluster can be joined at '127.0.0.1:1'")
