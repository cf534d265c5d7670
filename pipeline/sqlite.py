"""Write an SQLite file that takes its place only when it is whole: until then nobody reads it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, create_engine, text


@contextlib.contextmanager
def unread(path: Path, application_id: int, version: int, page_size: int | None = None) -> Iterator[Connection]:
    """A connection to a new file at `path`, marked as ours once the block has ended; SQLite need not guard it."""
    path.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            if page_size is not None:
                connection.execute(text(f"PRAGMA page_size = {page_size}"))
            connection.execute(text("PRAGMA journal_mode = OFF"))
            connection.execute(text("PRAGMA synchronous = OFF"))
            yield connection
            connection.execute(text("ANALYZE"))
            connection.commit()
            connection.execute(text(f"PRAGMA user_version = {version}"))
            connection.execute(text(f"PRAGMA application_id = {application_id}"))
            connection.commit()
    finally:
        engine.dispose()
