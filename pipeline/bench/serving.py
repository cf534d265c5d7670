"""Real servers on this machine, and how many requests a second they answer: `dartboard serve`, and Datasette beside it."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.errors import DartboardError, UserError

DARTBOARD = [sys.executable, "-c", "from app.cli import main; main()"]
SCRIPT = Path(__file__).with_name("paths.lua")
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk reached: requests a second, and the time, in milliseconds, within which 99 of 100 were answered."""

    rate: float
    p99: float


@dataclass(frozen=True, slots=True)
class Client:
    """A place to ask, and what to send along."""

    base: str
    headers: dict[str, str]

    def get(self, path: str) -> bytes:
        """Raises DartboardError where the answer is no page."""
        try:
            with urllib.request.urlopen(urllib.request.Request(self.base + path, headers=self.headers)) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            raise DartboardError(
                f"{path} answered {error.code}: {error.read()[:200].decode(errors='replace')}"
            ) from error

    def load(self, paths: Sequence[str], connections: int, seconds: int) -> Load:
        """Ask for `paths` in turn over so many connections. Raises UserError without wrk, DartboardError where a request fails."""
        if shutil.which("wrk") is None:
            raise UserError("Page benchmarks need wrk on PATH; install it (Debian and Ubuntu: apt install wrk).")
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write("\n".join(paths))
            file.flush()
            headers = [word for name, value in self.headers.items() for word in ("-H", f"{name}: {value}")]
            options = ["-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT)]
            command = ["wrk", *options, *headers, self.base, "--", file.name]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = json.loads(said.strip().splitlines()[-1])
        if found["failed"] or not found["requests"]:
            raise DartboardError(f"{found['failed']} of {found['requests']} requests to {self.base} failed")
        return Load(found["requests"] / found["seconds"], found["p99"] * 1e3)


@contextlib.contextmanager
def dartboard(data: Path) -> Iterator[Client]:
    """`dartboard serve` on the data folder, and a client whom an analyst's login has let in."""
    link = subprocess.run(
        [*DARTBOARD, "login", "--role", "analyst", "--data", str(data)], capture_output=True, text=True, check=True
    ).stdout
    port = _free_port()
    with _running([*DARTBOARD, "serve", "--port", str(port), "--data", str(data)], port) as base:
        ask = urllib.request.Request(
            base + "/login/" + link.strip().rpartition("/")[2], b"", {"Origin": base, "Sec-Fetch-Site": "same-origin"}
        )
        try:
            answer = urllib.request.build_opener(_Stay).open(ask)
        except urllib.error.HTTPError as error:  # a redirect that is not followed
            answer = error
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        yield Client(base, {"Cookie": cookie})


@contextlib.contextmanager
def datasette(python: Path, database: Path) -> Iterator[Client]:
    """`datasette serve` of one database, from the environment of that Python."""
    port = _free_port()
    command = [str(python), "-m", "datasette", "serve", str(database), "--port", str(port), "--host", "127.0.0.1"]
    with _running(command, port) as base:
        yield Client(base, {})


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: its cookie is what is wanted."""

    def redirect_request(self, *_: object) -> None:
        return None


@contextlib.contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[str]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    give_up = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    log.seek(0)
    raise DartboardError(f"{process.args!r} does not serve:\n{log.read()[-2000:].decode(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
