"""What the study store said a moment ago, for as long as nothing was committed to it: who a cookie is, whether a study is open.

A page that is read a thousand times a second cannot ask the database at each; SQLite tells in microseconds whether anything
changed. PostgreSQL has no such number, and is asked.
"""

import sqlite3
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from app.store.study import StudyStore

T = TypeVar("T")
MOST = 10_000  # answers kept; cookies are sent by anybody


class Memo:
    """Answers of one study store. Safe among threads; `fast` says whether it keeps any."""

    def __init__(self, engine: Engine) -> None:
        path = engine.url.database or ""
        self.fast = engine.dialect.name == "sqlite" and not path.startswith("file:")
        self._watch = sqlite3.connect(path, check_same_thread=False) if self.fast else None
        self._lock = threading.Lock()
        self._version: Any = None
        self._known: dict[Hashable, Any] = {}

    def ask(self, key: Hashable, question: Callable[[], T]) -> T:
        """What `question` answered, if that was since the last commit of anybody, or else what it answers now."""
        known = self._now()
        if known is None:
            return question()
        if key not in known:
            if len(known) >= MOST:
                known.clear()
            known[key] = question()
        found: T = known[key]
        return found

    @property
    def version(self) -> Hashable:
        """Another value after each commit; None where that cannot be told."""
        return None if self._now() is None else self._version

    def _now(self) -> dict[Hashable, Any] | None:
        if self._watch is None:
            return None
        with self._lock:
            version = self._watch.execute("PRAGMA data_version").fetchone()
            if version != self._version:
                self._version, self._known = version, {}
            return self._known


_MEMOS: WeakKeyDictionary[Engine, Memo] = WeakKeyDictionary()


def memo(study: StudyStore) -> Memo:
    found = _MEMOS.get(study.engine)
    return found if found is not None else _MEMOS.setdefault(study.engine, Memo(study.engine))
