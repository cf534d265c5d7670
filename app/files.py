"""Files that others replace or may have damaged: which file it is, and whose."""

import sqlite3
from contextlib import closing
from pathlib import Path

Stamp = tuple[int, int, int]


def file_stamp(path: Path) -> Stamp | None:
    """What tells a file from the one that stands there after it; None where there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def read_only(path: Path) -> str:
    """The SQLite URI of a file that does not change while it is read."""
    return f"{path.resolve().as_uri()}?mode=ro&immutable=1"


def database_marks(path: Path) -> tuple[int, int]:
    """SQLite's `application_id` and `user_version`. Raises sqlite3.DatabaseError where the file is no database."""
    with closing(sqlite3.connect(read_only(path), uri=True)) as connection:
        application_id, version = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
        )
    return application_id, version
