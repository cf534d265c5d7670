"""Real servers and a real browser: what the browser tests, the demo's test and the screenshots share."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LONGEST = 1200  # seconds for one command: the small store takes a minute, three where others want the machine too
NO_BROWSER = "no Chromium on PATH: install the chromium package (make test does, as root on Debian)"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # a page that asks a third party for anything fails
)


class ServerFailed(Exception):
    """The server ended, or did not answer in time; the message holds what it printed."""


def dartboard(*arguments: str | Path, python: str = sys.executable, cwd: Path = ROOT) -> str:
    """Run a dartboard command in a process of its own; return what it printed, or raise AssertionError."""
    command = [*command_line(python), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=LONGEST
    )
    if done.returncode:
        words = " ".join(map(str, arguments))
        raise AssertionError(f"dartboard {words} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def command_line(python: str = sys.executable) -> list[str]:
    return [python, "-c", "from app.cli import main; main()"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(
    data: Path,
    *options: str,
    command: Sequence[str] = (),
    cwd: Path = ROOT,
    seconds: float = 120,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """Serve the data folder in a process of its own, yield its base URL once it answers, and end it afterwards.

    `variables` are added to the environment.
    """
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    line = [*(command or command_line()), "serve", "--port", str(port), "--data", str(data), *options]
    log = data / f"server-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            line,
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **variables},
        )
    try:
        wait_until_healthy(base, process, log, seconds)
        yield base
    finally:
        end(process)


def wait_until_healthy(base: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Return once GET /healthz answers 200; raise ServerFailed where the process ends first or time runs out."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise ServerFailed(f"the server exited with {process.returncode}:\n{log.read_text(errors='replace')}")
        try:
            with urllib.request.urlopen(f"{base}/healthz", timeout=2) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise ServerFailed(f"no answer from {base}/healthz in {seconds} s:\n{log.read_text(errors='replace')}")


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def find_browser() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def chromium(path: str | Path | None = None) -> Iterator[Browser]:
    """A headless Chromium: the one at `path`, or the machine's own. Raises FileNotFoundError where there is none."""
    path = path or find_browser()
    if path is None:
        raise FileNotFoundError(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
