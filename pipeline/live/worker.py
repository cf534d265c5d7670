"""The worker's loop: questions come in by one thread, and are answered in order by another, one at a time."""

import json
import os
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from app.errors import DartboardError, NotFound, UserError
from pipeline.live.meaning import Meaning
from pipeline.live.reading import Question, Reader
from pipeline.live.sites import differences, live_sites
from pipeline.live.work import Cancelled, Going
from pipeline.published import stored

Say = Callable[[dict[str, Any]], None]


class Worker:
    """Loads the first site of a store and answers questions of it.

    Raises NotFound and UserError where something that the store was built with is not there, or is not the same.
    """

    def __init__(self, store: Path) -> None:
        torch.set_num_threads(1)  # as the build's workers: sums depend on it
        build = stored(store)
        sites = live_sites(build, store.parent)
        self.store = store
        self.differences = differences(build)
        self.reader = Reader(sites)
        self._meaning: Meaning | None = None
        next(iter(sites.values())).load()

    def answer(self, asked: dict[str, Any], going: Going) -> dict[str, Any]:
        """Raises NotFound for what there is not, UserError for what can't be done here, Cancelled."""
        match asked.get("do"):
            case "read":
                return {**self.reader.read(Question.of(asked), going), "differences": self.differences}
            case "nearest":
                self._meaning = self._meaning or Meaning(self.store)
                return self._meaning.nearest(str(asked["text"]), int(asked["limit"]))
        raise NotFound(f"A worker can read and find what is nearest, not {asked.get('do')!r}.")


class Questions:
    """Lines as they come in. `{"cancel": id}` calls a question off, waiting or at work; the end of the lines ends the process."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[Any] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self) -> tuple[dict[str, Any], Going]:
        asked = self._waiting.get()
        return asked, Going(lambda: asked.get("id") in self._cancelled)

    def done(self, asked: dict[str, Any]) -> None:
        self._cancelled.discard(asked.get("id"))

    def _listen(self) -> None:
        for line in self._lines:
            asked = json.loads(line)
            if "cancel" in asked:
                self._cancelled.add(asked["cancel"])
            else:
                self._waiting.put(asked)
        os._exit(0)  # the server is gone: whatever is at work is of no use to anybody


def work(store: Path, lines: Iterable[str], say: Say) -> None:
    """Answer until the lines end; says first that it is ready, or why it can't be."""
    questions = Questions(lines)
    try:
        worker = Worker(store)
    except UserError as error:
        say({"failed": str(error)})
        return
    say({"ready": True})
    while True:
        asked, going = questions.next()
        try:
            say({"id": asked.get("id"), "answer": worker.answer(asked, going)})
        except Cancelled:
            say({"id": asked.get("id"), "cancelled": True})
        except DartboardError as error:
            say({"id": asked.get("id"), "error": str(error), "status": error.status})
        questions.done(asked)
