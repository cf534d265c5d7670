"""The client of the live worker: a process of the pipeline that reads typed texts, so that this one loads no model.

    live = Live(Path("data/features.sqlite"))
    live.start()
    live.nearest("a train is late")   # waits for its turn, and for the answer

One worker answers one question at a time. It is started with the server and ends with it, by the end of its input even where
the server is killed; it is started again where it dies, where an answer takes too long, and where the store was replaced.
"""

import contextlib
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.errors import DartboardError, NotFound, TooSlow, Unavailable, UserError
from app.files import Stamp, file_stamp
from app.live_answers import Near, Read, Reading

WAITING = 8  # questions that may wait for their turn
START_SECONDS = 180.0  # a large model takes its time, the first time most of all
ANSWER_SECONDS = 30.0  # for one answer
PATIENCE_SECONDS = 45.0  # for a turn and the answer
LOADING_SECONDS = 5.0  # the same while the model is loaded, which may take far longer
RETRY_SECONDS = 10.0  # between two starts, where the first one failed
OFF = "No worker reads texts here; start the server with `dartboard serve --live`."
STARTING = "The model is being loaded, which takes a while the first time; try again in a moment."
BUSY = "Too many texts are waiting to be read; try again in a moment."
DIED = "The worker ended while it read this; it is started again: try once more, and look at the server's log if it ends again."
SLOW = "This took too long and was stopped; try a shorter text, or try again when less is waiting."


@dataclass(frozen=True, slots=True)
class Limits:
    waiting: int = WAITING
    start_seconds: float = START_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    loading_seconds: float = LOADING_SECONDS
    retry_seconds: float = RETRY_SECONDS


@dataclass(frozen=True, slots=True)
class Status:
    """`message` is for the reader of a page, where the worker is not ready; `meaning`: the contexts have embeddings."""

    state: Literal["starting", "ready", "failed", "stopped"]
    message: str
    meaning: bool


@dataclass(slots=True)
class _Asked:
    """A question and its place for the answer."""

    question: dict[str, Any]
    future: "Future[dict[str, Any]]" = field(default_factory=Future)


class _Process:
    """A worker process; a thread of its own puts its lines into `lines`, then None."""

    def __init__(self, command: Sequence[str]) -> None:
        # A session of its own: Ctrl+C on the server's terminal is not for it.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii", start_new_session=True
        )
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._saying = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def say(self, message: dict[str, Any]) -> None:
        """A worker that is gone hears nothing: its lines say so."""
        assert self.process.stdin is not None
        with self._saying, contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def hear(self, seconds: float) -> dict[str, Any] | None:
        """The next line; None where the process has ended. Raises queue.Empty where none comes in time."""
        line = self.lines.get(timeout=max(seconds, 0.0))
        try:
            found: dict[str, Any] | None = None if line is None else json.loads(line)
        except ValueError:  # cut off where it died
            return None
        return found

    def end(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)


class Live:
    """Safe to use from several threads. `command`: of the worker, without its store."""

    def __init__(self, store: Path, command: Sequence[str] | None = None, limits: Limits = Limits()) -> None:
        self.store = store
        self.limits = limits
        self._command = command or (sys.executable, "-m", "pipeline.live")
        self._changed = threading.Condition()
        self._waiting: deque[_Asked] = deque()
        self._stopped = True
        self._state: Literal["starting", "ready", "failed", "stopped"] = "stopped"
        self._message = ""
        self._process: _Process | None = None
        self._numbers = itertools.count()
        self._again = 0.0  # when a worker that failed may be started again
        self._stamp: Stamp | None = None
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> Status:
        with self._changed:
            meaning = self._state != "failed" and self.store.with_name("embeddings.safetensors").is_file()
            return Status(self._state, STARTING if self._state == "starting" else self._message, meaning)

    def start(self) -> None:
        """Begin to load the model; returns at once."""
        with self._changed:
            if self._stopped:
                self._stopped, self._state = False, "starting"
                self._thread = threading.Thread(target=self._run, name="live", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the worker; what waits is refused. Returns once it is gone."""
        with self._changed:
            self._stopped = True
            process, thread = self._process, self._thread
            self._changed.notify_all()
        if process is not None:
            process.end()
        if thread is not None:
            thread.join()

    def read(self, reading: Reading) -> Read:
        """What a text does to the dictionaries of a site. Raises as `wait` does."""
        return Read.of(self.wait(self.submit(reading.question())))

    def nearest(self, query: str, limit: int = 200) -> tuple[Near, ...]:
        """The store's contexts nearest to a query in meaning, best first. Raises as `wait` does; NotFound without embeddings."""
        answer = self.wait(self.submit({"do": "nearest", "text": query, "limit": limit}))
        return tuple(Near(*pair) for pair in zip(answer["contexts"], answer["cosines"], strict=True))

    def submit(self, question: dict[str, Any]) -> "Future[dict[str, Any]]":
        """Queue a question; `cancel` of what comes back calls it off, waiting or at work. Raises Unavailable if too many wait."""
        asked = _Asked(question)
        with self._changed:
            if self._stopped:
                raise Unavailable(OFF)
            if len(self._waiting) >= self.limits.waiting:
                raise Unavailable(BUSY)
            self._waiting.append(asked)
            self._changed.notify_all()
        return asked.future

    def wait(self, future: "Future[dict[str, Any]]") -> dict[str, Any]:
        """The answer. Raises Unavailable, TooSlow, and what the worker says: NotFound, UserError."""
        loading = self.status.state == "starting"
        try:
            return future.result(self.limits.loading_seconds if loading else self.limits.patience_seconds)
        except TimeoutError as error:
            future.cancel()
            raise self.late() from error

    def late(self) -> UserError:
        """What to tell somebody who has waited long enough."""
        return Unavailable(STARTING) if self.status.state == "starting" else TooSlow(SLOW)

    # In the thread.

    def _run(self) -> None:
        try:
            self._ensure()
            while (asked := self._next()) is not None:
                self._answer(asked)
        finally:
            with self._changed:
                self._state, self._stopped = "stopped", True
                left = list(self._waiting)
                self._waiting.clear()
            for asked in left:
                _fail(asked, Unavailable(OFF))
            self._end()

    def _next(self) -> _Asked | None:
        """The next question that is still wanted; None once stopped."""
        with self._changed:
            while not self._stopped:
                while self._waiting:
                    asked = self._waiting.popleft()
                    if not asked.future.cancelled():
                        return asked
                self._changed.wait()
        return None

    def _answer(self, asked: _Asked) -> None:
        if not self._ensure():
            _fail(asked, Unavailable(self._message))
            return
        process = self._process
        assert process is not None
        number = next(self._numbers)
        asked.future.add_done_callback(lambda future: process.say({"cancel": number}) if future.cancelled() else None)
        process.say({**asked.question, "id": number})
        try:
            found = process.hear(self.limits.answer_seconds)
        except queue.Empty:
            self._begin_anew(asked, TooSlow(SLOW))
            return
        if found is None or found.get("id") != number:
            self._begin_anew(asked, Unavailable(OFF if self._stopped else DIED))
        elif "answer" in found:
            with contextlib.suppress(InvalidStateError):  # called off meanwhile
                asked.future.set_result(found["answer"])
        elif "error" in found:
            _fail(asked, NotFound(found["error"]) if found["status"] == 404 else UserError(found["error"]))

    def _begin_anew(self, asked: _Asked, error: UserError) -> None:
        _fail(asked, error)
        self._end()
        self._ensure()

    def _ensure(self) -> bool:
        """Whether a worker is ready for the store as it is now; starts one where there is none."""
        if self._stopped:
            return False
        stamp = self._stamp_now()
        if self._state == "failed" and stamp == self._stamp and time.monotonic() < self._again:
            return False
        if self._process is not None and stamp == self._stamp and self._process.process.poll() is None:
            return True
        self._end()
        self._set("starting", "")
        self._stamp = stamp
        found = self._begin()
        if found.get("ready"):
            self._set("ready", "")
            return True
        self._end()
        why = found.get("failed", "The worker ended as it started; the server's log says more.")
        self._again = time.monotonic() + self.limits.retry_seconds
        self._set("failed", f"Texts can't be read here. {why}")
        return False

    def _begin(self) -> dict[str, Any]:
        """What a new worker says first; nothing where it says nothing."""
        try:
            process = _Process([*self._command, "--store", str(self.store)])
        except OSError as error:
            return {"failed": f"No process can be started ({error.strerror})."}
        with self._changed:
            self._process = process
            if self._stopped:
                return {}
        try:
            return process.hear(self.limits.start_seconds) or {}
        except queue.Empty:
            return {"failed": f"The model was not loaded within {self.limits.start_seconds:.0f} seconds."}

    def _set(self, state: Literal["starting", "ready", "failed"], message: str) -> None:
        with self._changed:
            self._state, self._message = state, message

    def _end(self) -> None:
        with self._changed:
            process, self._process = self._process, None
        if process is not None:
            process.end()

    def _stamp_now(self) -> Stamp | None:
        try:
            return file_stamp(self.store)
        except OSError:
            return None


def _fail(asked: _Asked, error: DartboardError) -> None:
    with contextlib.suppress(InvalidStateError):  # called off meanwhile
        asked.future.set_exception(error)
