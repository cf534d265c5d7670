"""The Ray cluster that an engine works on: one that stands, or one of this computer alone that ends with the block."""

import contextlib
import importlib
import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from app.errors import DartboardError, UserError

KNOCK_SECONDS = 5.0  # at a cluster's door
START_SECONDS = 120.0  # until a node has started; Ray itself gives up after 30, which a busy computer may need
LONGEST_FOLDER = 30  # characters: Ray's sockets are below it, and a socket's path has 107 at most
QUIET = {"log_to_driver": False, "logging_level": logging.CRITICAL}


def import_ray() -> Any:
    """The library. Raises UserError where it isn't installed."""
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise UserError(
            "The ray engine needs Ray, which is not installed: pip install 'dartboard[pipeline,ray]' on every node."
        ) from error


@contextlib.contextmanager
def connected(address: str | None, cpus: int | None) -> Iterator[None]:
    """Joined to the cluster at `address`; None: to one of this computer alone, with so many CPUs, its own if None.

    Nothing is done where this process is connected already. Raises UserError where no cluster answers, DartboardError
    where none can be started here.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    with contextlib.ExitStack() as stack:
        # It prints what its daemons say of lost workers, whatever it is told.
        mouth = importlib.import_module("ray._private.worker")
        stack.enter_context(_set(mouth, "_worker_logs_enabled", False))
        if address is None:
            # Where there is no dashboard Ray still starts a process that reports its use.
            importlib.import_module("ray._common.usage.usage_lib").set_usage_stats_enabled_via_env_var(False)
            folder = stack.enter_context(_folder())
            stack.callback(ray.shutdown)
            _start(ray, folder, cpus or os.cpu_count() or 1)
        else:
            stack.callback(ray.shutdown)
            _join(ray, address)
        yield


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Nodes that start in this block may take START_SECONDS."""
    services = importlib.import_module("ray._private.services")
    with _set(services, "get_node", _waiting(services.get_node)):
        yield


def first_line(error: Exception) -> str:
    """Of what Ray says, for a sentence to quote."""
    return str(error).strip().partition("\n")[0].rstrip(".")


def _start(ray: Any, folder: str, cpus: int) -> None:
    try:
        with patient():
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, _temp_dir=folder, **QUIET)
    except Exception as error:  # Ray has no class of its own for it
        raise DartboardError(
            f"Ray can't start a cluster on this computer ({first_line(error)}); is it too busy? Run again, or leave "
            "--engine ray out."
        ) from error


def _join(ray: Any, address: str) -> None:
    try:
        _knock(address)
        ray.init(address=address, **QUIET)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"No Ray cluster can be joined at {address!r} ({first_line(error)}); start one with "
            "`ray start --head`, or leave --address out."
        ) from error


def _waiting(get_node: Callable[..., Any]) -> Callable[..., Any]:
    def get(*given: Any) -> Any:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return get_node(*given)
            except RuntimeError:  # it isn't there yet
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    return get


@contextlib.contextmanager
def _set(module: ModuleType, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _knock(address: str) -> None:
    """Raise OSError or ValueError where nobody answers at HOST:PORT; Ray itself would try for many minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


def _folder() -> "tempfile.TemporaryDirectory[str]":
    place = None if len(tempfile.gettempdir()) <= LONGEST_FOLDER else "/tmp"
    return tempfile.TemporaryDirectory(prefix="dartboard-", dir=place, ignore_cleanup_errors=True)
