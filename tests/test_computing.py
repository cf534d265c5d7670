"""Computations in a child process: done once a key, progress told, failures told for a while, a killed child noticed."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.computing import KEPT, RETRY, Computing, Done, Failed, Outcome, Running
from app.errors import Conflict


def double(report: Callable[[str, float], None], value: int) -> tuple[int, int]:
    report("Doubling", 0.5)
    return 2 * value, os.getpid()


def refuse(report: Callable[[str, float], None]) -> None:
    raise Conflict("not now; later")


def die(report: Callable[[str, float], None]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait(report: Callable[[str, float], None]) -> None:
    report("Waiting", 0.25)
    threading.Event().wait()


class Timer:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def computing() -> Iterator[Computing]:
    made = Computing(timer=Timer())
    yield made
    made.close()


def outcome(computing: Computing, key: Any, work: Any, *arguments: Any, until: str = "") -> Outcome:
    """The outcome; or, with `until`, what is told while that is being done."""
    give_up = time.monotonic() + 60
    while isinstance(found := computing.ask(key, work, arguments), Running) and found.doing != (until or None):
        assert time.monotonic() < give_up, found
        threading.Event().wait(0.02)
    return found


def test_it_is_done_once_and_in_another_process(computing: Computing) -> None:
    first = outcome(computing, ("a", 1), double, 4)
    assert isinstance(first, Done)
    assert first.value[0] == 8
    assert first.value[1] != os.getpid()
    assert computing.ask(("a", 1), double, (5,)) is first
    assert computing.ask(("a", 2), double, (5,)) == Running(), "another key, another computation"


def test_a_failure_is_told_for_a_while_and_then_tried_again(computing: Computing) -> None:
    failed = outcome(computing, "b", refuse)
    assert isinstance(failed, Failed)
    assert (type(failed.error), str(failed.error)) == (Conflict, "not now; later")
    assert computing.ask("b", double, (1,)) is failed
    computing.timer.now = RETRY + 1
    killed = outcome(computing, "b", die)
    assert isinstance(killed, Failed)
    assert "ended before it was done" in str(killed.error)


def test_progress_is_told_and_closing_ends_what_runs(computing: Computing) -> None:
    assert outcome(computing, "d", wait, until="Waiting") == Running("Waiting", 0.25)
    assert computing.ask("e", double, (1,)) == Running()
    computing.close()
    ended = outcome(computing, "d", wait)
    assert isinstance(ended, Failed)


def test_only_the_last_ones_are_kept() -> None:
    computing = Computing(timer=Timer())
    for number in range(KEPT + 3):
        computing._note(number, Done(number))
    computing._forget()
    assert sorted(computing._outcomes) == list(range(3, KEPT + 3))
