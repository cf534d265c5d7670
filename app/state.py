"""What a request may reach through `request.app.state`: the settings, the two stores, the live worker, counts of
failed links and of questions.
"""

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from starlette.datastructures import State
from starlette.requests import Request

from app.computing import Computing
from app.errors import DartboardError
from app.files import Stamp, file_stamp
from app.live import Live
from app.security import FailureLimit, RateLimit
from app.settings import Settings
from app.store.features import FeatureStore
from app.store.study import StudyStore


class FeatureFile:
    """The feature store of a data folder: opened when first asked for, opened anew once its file was replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._store: FeatureStore | None = None

    def current(self) -> FeatureStore | None:
        """The store, or None where there is no file. Raises UserError where the file is not a feature store."""
        stamp = file_stamp(self.path)
        if stamp is None:
            return None
        with self._lock:
            if self._store is None or stamp != self._stamp:
                # The old store is not closed here: another request may be reading it.
                self._store, self._stamp = FeatureStore(self.path), stamp
            return self._store

    def warm(self) -> None:
        """Read what lists are made of before anybody asks. What can't be read is told to who asks for it."""
        with suppress(DartboardError, sqlite3.Error):
            if (store := self.current()) is not None:
                for dictionary in store.dictionaries():
                    store.columns(dictionary.id)


class AppState(State):
    """Starlette's state with declared names; `features` is looked up afresh at each access."""

    settings: Settings
    study: StudyStore
    feature_file: FeatureFile
    failures: FailureLimit  # of invites and login links
    computing: Computing  # of results
    live: Live | None  # None where the server was started without it
    live_limit: RateLimit  # of questions to it

    @property
    def features(self) -> FeatureStore | None:
        return self.feature_file.current()


def state(request: Request) -> AppState:
    """The application's state, typed."""
    found = request.app.state
    assert isinstance(found, AppState)
    return found
