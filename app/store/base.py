"""What the parts of the study store share: an engine, a clock, a source of random tokens, and the audit log."""

import hashlib
import secrets
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert

from app.store import study_schema as t
from app.store.engine import reading, writing

Clock = Callable[[], datetime]  # aware, UTC
TokenSource = Callable[[], str]  # 43 characters, URL-safe, 256 random bits


def utc_now() -> datetime:
    return datetime.now(UTC)


def random_token() -> str:
    return secrets.token_urlsafe(32)


def sha256(text: str) -> str:
    """Hex SHA-256: what is stored in place of a token."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class StoreBase:
    def __init__(self, engine: Engine, clock: Clock = utc_now, token: TokenSource = random_token) -> None:
        self.engine = engine
        self.clock = clock
        self.token = token
        self._known: dict[int, Any] = {}  # by study: its rules, which never change
        self._orders: dict[int, Any] = {}  # by rater: the items in this rater's order, which follows from the seed
        self._orders_lock = threading.Lock()

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _reading(self) -> AbstractContextManager[Connection]:
        return reading(self.engine)

    def _writing(self) -> AbstractContextManager[Connection]:
        return writing(self.engine)

    def _audit(self, connection: Connection, who: str, what: str, study_id: int | None = None, **detail: Any) -> None:
        connection.execute(
            insert(t.audit).values(at=self.clock(), who=who, what=what, study_id=study_id, detail=detail)
        )
