"""Answers of a language model on disk, by what was asked: asked again, nothing is paid again."""

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import UserError


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and the tokens that it took."""

    text: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Cache:
    """An SQLite file; every answer is kept as it comes. Raises UserError where the file can't be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS reply "
                "(key TEXT PRIMARY KEY, text TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER)"
            )
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{path} can't be used as a cache of answers ({error}); move it away.") from error

    @staticmethod
    def key(url: str, request: dict[str, Any]) -> str:
        """Of a request to an endpoint: SHA-256, hex."""
        return hashlib.sha256(json.dumps([url, request], sort_keys=True).encode()).hexdigest()

    def get(self, key: str) -> Reply | None:
        query = "SELECT text, prompt_tokens, completion_tokens FROM reply WHERE key = ?"
        row = self._connection.execute(query, (key,)).fetchone()
        return Reply(*row) if row else None

    def put(self, key: str, reply: Reply) -> None:
        row = key, reply.text, reply.prompt_tokens, reply.completion_tokens
        self._connection.execute("INSERT OR REPLACE INTO reply VALUES (?, ?, ?, ?)", row)

    def close(self) -> None:
        self._connection.close()
