"""The study store's engine: SQLite or PostgreSQL, migrated to the newest schema when opened.

SQLite runs in WAL mode with `synchronous=FULL`, since a rating that was accepted must survive a power cut. Writing
transactions begin with BEGIN IMMEDIATE: a deferred transaction that upgrades to a write ignores the busy timeout.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError, OperationalError

from app.errors import DartboardError, UserError

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "dartboard_version"
BUSY_SECONDS = 30
MIGRATION_LOCK = 0x44415254  # any number that no other program's advisory lock is likely to have


def open_engine(url: str) -> Engine:
    """An engine on the study store at an SQLAlchemy URL; made where there is none, migrated where it is older.

    Raises UserError where the place cannot be written, holds something else, or was written by a newer dartboard.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _make_folder(parsed)
    engine = _create(parsed)
    try:
        upgrade(engine)
        _check_writable(engine)
    except DBAPIError as error:
        engine.dispose()
        raise UserError(
            f"The study store {_shown(parsed)} cannot be opened ({_reason(error)}); check its place and permissions."
        ) from error
    except UserError:
        engine.dispose()
        raise
    return engine


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest version in one transaction; a no-op where it is."""
    with engine.connect() as connection:
        if _version(connection) == _head():
            return
    with _migrating(engine) as connection:
        version = _version(connection)
        _check_ours(connection, version)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A short transaction that sees one state of the store. Raises UserError for what no store can hold."""
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    except DataError as error:
        raise _cannot_be_stored(error) from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A short transaction that may write; it commits at the end of the block, or leaves nothing.

    Raises UserError for what no store can hold, DartboardError where the disk is full, read-only or locked for too long.
    """
    try:
        with engine.connect().execution_options(dartboard_write=True) as connection, connection.begin():
            yield connection
    except DataError as error:
        raise _cannot_be_stored(error) from error
    except OperationalError as error:
        raise DartboardError(
            f"The study store could not be written ({_reason(error)}); nothing of this was saved, so free the disk or "
            "its lock and try again."
        ) from error


def erase_for_good(engine: Engine) -> None:
    """After something was erased: leave nothing of it in SQLite's log, which keeps old pages until it is written over.

    Where others read for longer, until they have done: nobody is kept waiting. PostgreSQL's vacuum does the like by itself.
    """
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA busy_timeout=100")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            driver.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")


def _cannot_be_stored(error: DataError) -> UserError:
    """PostgreSQL alone says so: of NUL in a text, which SQLite takes, and of numbers that are too large."""
    return UserError(f"The study store can't hold what was sent ({_reason(error)}); take it out and send it again.")


def _check_writable(engine: Engine) -> None:
    """Change nothing, and roll it back: better to learn now that the place is read-only than at the first rating."""
    with engine.connect().execution_options(dartboard_write=True) as connection, connection.begin() as transaction:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = version_num"))
        transaction.rollback()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        raise UserError(
            "The study store's URL is not one that SQLAlchemy reads; write sqlite:///folder/study.sqlite or "
            "postgresql+psycopg://user@host/database."
        ) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise UserError(f"The study store can be SQLite or PostgreSQL, not {parsed.get_backend_name()}.")
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _make_folder(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise UserError("The study store must be a file or a PostgreSQL database; memory would lose its ratings.")
    if url.database.startswith("file:"):  # SQLite's own kind of URL: its folder must be there
        return
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder {folder} for the study store cannot be made ({error.strerror}); name one that can be written."
        ) from error


def _create(url: URL) -> Engine:
    try:
        engine = create_engine(url, pool_size=20, max_overflow=20, pool_pre_ping=url.get_backend_name() != "sqlite")
    except ModuleNotFoundError as error:
        raise UserError("PostgreSQL needs a driver: pip install 'dartboard[postgresql]'.") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver would otherwise begin transactions of its own
    pragmas = (f"busy_timeout={BUSY_SECONDS * 1000}", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
    for pragma in pragmas:  # the last: what is erased is overwritten
        connection.execute(f"PRAGMA {pragma}")
    _use_wal(connection)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch a file to WAL, and wait for whoever else does or writes: SQLite's busy timeout does not cover this switch,
    at which processes that make one store at the same moment would otherwise fail.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("dartboard_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    """A writing transaction that one process holds at a time, with SQLite's foreign keys off: batch changes rebuild
    tables, and dropping one that others point to would delete their rows.
    """
    with engine.connect().execution_options(dartboard_write=True) as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            _set_foreign_keys(connection, False)
        try:
            with connection.begin():
                if not sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
                yield connection
        finally:
            if sqlite:
                _set_foreign_keys(connection, True)


def _set_foreign_keys(connection: Connection, on: bool) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(MIGRATIONS))


def _head() -> str | None:
    return _scripts().get_current_head()


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _check_ours(connection: Connection, version: str | None) -> None:
    where = _shown(connection.engine.url)
    if version is None:
        others = set(inspect(connection).get_table_names()) - {VERSION_TABLE}
        if others and (connection.dialect.name == "sqlite" or others & {"study", "item", "rating"}):
            raise UserError(f"{where} is a database of something else; name another place for the study store.")
    elif version not in {script.revision for script in _scripts().walk_revisions()}:
        raise UserError(
            f"The study store {where} has schema {version}, newer than this dartboard knows; upgrade dartboard."
        )


def _shown(url: URL) -> str:
    return url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _reason(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
