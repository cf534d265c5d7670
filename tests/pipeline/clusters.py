"""Ray clusters of several nodes for tests: each node is a set of processes of this computer."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.engines.cluster import patient

STORE = 200_000_000


@contextmanager
def ray_cluster(nodes: int) -> Iterator[Any]:
    """A head node without a CPU, and nodes with one each; the first of them has what it calls a GPU, too."""
    pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    from ray.cluster_utils import Cluster

    # A node that is gone is missed after 2 s, not 30; one that is slow to answer is not given up.
    often = {"health_check_period_ms": 500, "health_check_timeout_ms": 10_000, "health_check_failure_threshold": 4}
    with (
        pytest.MonkeyPatch.context() as patch,
        patient(),
        tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder,  # short enough for sockets
    ):
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", folder)
        head = {"num_cpus": 0, "include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
        store = {"object_store_memory": STORE}
        cluster = Cluster(initialize_head=True, head_node_args={**head, **store, "_system_config": often})
        try:
            for number in range(nodes):
                cluster.add_node(num_cpus=1, num_gpus=int(number == 0), **store)
            yield cluster
        finally:
            cluster.shutdown()
