"""The live worker as the server sees it: queued with a cap, timed out, called off, started again, ended with the server.

The workers here are real processes that speak the worker's lines and load no model; tests/pipeline/test_live.py has the real one.
"""

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.errors import NotFound, TooMany, TooSlow, Unavailable, UserError
from app.live import Limits, Live, Near, Reading
from app.security import RateLimit

# Answers at once; "hang" never; "crash" ends it; "wait" answers when it is called off; "count": questions so far.
WORKER = """
import json, os, sys
say = lambda answer: print(json.dumps(answer), flush=True)
say({"ready": True})
count = 0
for line in sys.stdin:
    asked = json.loads(line)
    text, number = asked.get("text"), asked.get("id")
    if "cancel" in asked:
        continue
    count += 1
    if text == "crash":
        os._exit(3)
    elif text == "hang":
        pass
    elif text == "wait":
        called_off = json.loads(sys.stdin.readline())
        say({"id": number, "cancelled": called_off == {"cancel": number}})
    elif text == "missing":
        say({"id": number, "error": "There is no such thing.", "status": 404})
    elif text == "refused":
        say({"id": number, "error": "That can't be done.", "status": 400})
    else:
        say({"id": number, "answer": {"contexts": [os.getpid(), count], "cosines": [0.5, 0.25]}})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "features.sqlite").write_bytes(b"one")
    return tmp_path


@contextmanager
def running(folder: Path, code: str = WORKER, **limits: float) -> Iterator[Live]:
    script = folder / "worker.py"
    script.write_text(textwrap.dedent(code), "utf-8")
    limits = {"loading_seconds": 45, **limits}  # a process takes its time to start where others want the machine
    live = Live(folder / "features.sqlite", [sys.executable, str(script)], Limits(**limits))
    live.start()
    try:
        yield live
    finally:
        live.stop()


def worker_of(live: Live) -> int:
    """The process that answers now."""
    return live.nearest("hello")[0].context


def until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not true():
        assert time.monotonic() < give_up
        threading.Event().wait(0.01)


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}/cmdline").exists() or not Path(f"/proc/{process}/cmdline").read_bytes()


def test_questions_are_answered_and_refusals_are_told_as_they_are(folder: Path) -> None:
    with running(folder) as live:
        assert live.nearest("hello")[1] == Near(1, 0.25)
        assert live.status.state == "ready"
        with pytest.raises(NotFound, match="There is no such thing"):
            live.nearest("missing")
        with pytest.raises(UserError, match="can't be done"):
            live.nearest("refused")
        assert live.nearest("again")[1].context == 4, "one process answered all of them"
        process = worker_of(live)
    assert gone(process)
    assert live.status.state == "stopped"
    with pytest.raises(Unavailable, match="serve --live"):
        live.nearest("too late")


def test_a_worker_that_dies_is_started_again(folder: Path) -> None:
    with running(folder) as live:
        before = worker_of(live)
        with pytest.raises(Unavailable, match="started again"):
            live.nearest("crash")
        assert worker_of(live) != before


def test_an_answer_that_takes_too_long_costs_the_worker_its_place(folder: Path) -> None:
    with running(folder, answer_seconds=0.5) as live:
        before = worker_of(live)
        with pytest.raises(TooSlow, match="took too long"):
            live.nearest("hang")
        assert worker_of(live) != before
        assert gone(before)


def test_only_so_many_questions_wait(folder: Path) -> None:
    with running(folder, waiting=2, patience_seconds=0.5) as live:
        process = worker_of(live)
        at_work = live.submit(Reading("wait").question())
        until(lambda: not live._waiting)
        waiting = [live.submit(Reading("hello").question()) for _ in range(2)]
        with pytest.raises(Unavailable, match="Too many texts are waiting"):
            live.submit(Reading("hello").question())
        with pytest.raises(TooSlow):
            live.wait(waiting[0])
        assert waiting[0].cancelled(), "whoever has waited long enough is not answered any more"
        at_work.cancel()
        assert waiting[1].result(10)["contexts"] == [process, 3], "called off at work, and the next one has its turn"


def test_who_comes_while_the_model_is_loaded_is_told_so(folder: Path) -> None:
    with running(folder, "import sys\nsys.stdin.read()", loading_seconds=0.1) as live:
        with pytest.raises(Unavailable, match="being loaded"):
            live.nearest("hello")
        assert live.status.state == "starting"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("""print('{"failed": "Its weights are gone."}')""", "Its weights are gone"),
        ("raise SystemExit(1)", "the server's log says more"),
        ("print('{\"rea', end='')", "the server's log says more"),
        ("import sys\nsys.stdin.read()", "not loaded within"),
    ],
)
def test_a_worker_that_can_not_start_says_why_and_is_tried_again(folder: Path, code: str, words: str) -> None:
    with running(folder, code, start_seconds=2, retry_seconds=1000) as live:
        with pytest.raises(Unavailable, match=words):
            live.nearest("hello")
        assert live.status.state == "failed"
        assert words in live.status.message
        (folder / "worker.py").write_text(WORKER, "utf-8")
        with pytest.raises(Unavailable, match=words):
            live.nearest("hello")
        (folder / "features.sqlite").write_bytes(b"another")
        assert live.nearest("hello"), "a new store is a new chance, whenever it comes"


def test_a_store_that_is_replaced_has_a_worker_of_its_own(folder: Path) -> None:
    with running(folder) as live:
        before = worker_of(live)
        (folder / "new").write_bytes(b"two")
        (folder / "new").replace(folder / "features.sqlite")
        assert worker_of(live) != before
        assert gone(before)


def test_the_worker_ends_where_the_server_is_killed(folder: Path) -> None:
    (folder / "worker.py").write_text(WORKER, "utf-8")
    code = (
        "import sys, time; from pathlib import Path; from app.live import Live\n"
        f"live = Live(Path({str(folder / 'features.sqlite')!r}), [sys.executable, {str(folder / 'worker.py')!r}])\n"
        "live.start(); print(live.nearest('hello')[0].context, flush=True); time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    worker = int(server.stdout.readline())
    assert not gone(worker)
    server.kill()
    server.wait()
    until(lambda: gone(worker))


def test_a_client_asks_so_often_and_no_more() -> None:
    now = 0.0
    limit = RateLimit(2, 60, timer=lambda: now)
    limit.take("one")
    limit.take("one")
    limit.take("two")
    with pytest.raises(TooMany, match="in 61 seconds"):
        limit.take("one")
    now = 60.0
    limit.take("one")
    limit.take("one")
    with pytest.raises(TooMany):
        limit.take("one")
