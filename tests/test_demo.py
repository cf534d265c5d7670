"""`make demo` from nothing: a clean clone, an installation, the network cut, and the whole journey in a browser."""

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import journey, rating
from tests.serving import NO_BROWSER, ROOT, chromium, find_browser, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

INSTALL_SECONDS = 1800
BUILD_SECONDS = 300  # what the demo promises on two cores
SECOND_START_SECONDS = 3  # likewise
SLACK = 2  # for a machine that does something else besides
UNCUT = "cannot cut the network here (needs root, unshare and ip): the demo runs with it"


@pytest.fixture(scope="module")
def network() -> Iterator[list[str]]:
    """What to put before a command so that it runs without a network: a namespace with nothing but its own loopback."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("nsenter") or not shutil.which("ip"):
        sys.stderr.write(f"{UNCUT}\n")
        yield []
        return
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 86400"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    if holder.stdout.readline() != "up\n":
        sys.stderr.write(f"{UNCUT}\n")
        yield []
        return
    yield ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
    holder.kill()
    holder.wait()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of what is committed, installed by `make install` into an environment of its own."""
    folder = tmp_path_factory.mktemp("demo") / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
    started = time.monotonic()
    done = subprocess.run(
        ["make", "install"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report(f"installed in {time.monotonic() - started:.0f} s")
    return folder


@pytest.fixture(scope="module")
def browser_path(network: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chromium, on the same side of the cut as the server."""
    path = find_browser()
    if path is None:
        pytest.skip(NO_BROWSER)
    wrapper = tmp_path_factory.mktemp("browser") / "chromium"
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(network)} {path} "$@"\n', "utf-8")
    wrapper.chmod(0o755)
    return wrapper


def test_the_demo_from_nothing_to_a_csv(clone: Path, network: list[str], browser_path: Path, tmp_path: Path) -> None:
    if network:
        assert_cut(network)
    with demo(clone, network, seconds=BUILD_SECONDS * SLACK) as (links, took):
        report(f"first `make demo`, build included: {took:.0f} s")
        with chromium(browser_path) as browser:
            staff = browser.new_context(accept_downloads=True).new_page()
            journey.browse(staff, links.browser)
            rater = browser.new_context().new_page()
            given = journey.rate(rater, links.invite, pairs=10, practice=1)
            shown = rating.item(rater)
        with chromium(browser_path) as browser:  # a new browser, with nothing but the link
            again = browser.new_context().new_page()
            again.goto(links.invite)
            assert rating.item(again) == shown

    with demo(clone, network, seconds=60) as (links, took), chromium(browser_path) as browser:
        report(f"second `make demo`: {took:.1f} s")
        assert took <= SECOND_START_SECONDS * SLACK
        staff = browser.new_context(accept_downloads=True).new_page()
        staff.goto(links.browser)
        staff.get_by_role("button", name="Log in").click()
        staff.goto(links.admin)
        study = staff.locator("main a[href^='/admin/studies/']").first.get_attribute("href")
        assert study is not None
        address = links.admin.partition("/admin")[0] + study
        journey.close_and_reveal(staff, address)
        journey.check_ratings(journey.download(staff, address, tmp_path), given)


@contextlib.contextmanager
def demo(clone: Path, network: list[str], seconds: float) -> Iterator[tuple[journey.Links, float]]:
    """Run `make demo` until it has printed its addresses; yield them with the seconds that took, then end it."""
    log = clone.parent / "demo.log"
    started = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [*network, "make", "demo", f"PORT={free_port()}"],
            cwd=clone, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=clean_environment(),
            start_new_session=True,
        )  # fmt: skip
    try:
        while (links := journey.printed_links(log.read_text("utf-8", "replace"))) is None:
            assert process.poll() is None, log.read_text("utf-8", "replace")
            assert time.monotonic() - started < seconds, log.read_text("utf-8", "replace")
            time.sleep(0.05)
        yield links, time.monotonic() - started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def clean_environment() -> dict[str, str]:
    """The environment without what would let the clone see this one's packages or settings."""
    return {
        name: value for name, value in os.environ.items() if not re.match(r"PYTHON|VIRTUAL_ENV|DARTBOARD_|HF_", name)
    }


def assert_cut(network: list[str]) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    done = subprocess.run([*network, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert os.strerror(errno.ENETUNREACH) in done.stderr


def report(line: str) -> None:
    """A measured figure, on the terminal whether or not the test passes."""
    sys.__stderr__.write(f"{line}\n")
