"""A real Chromium and real servers for the tests in this folder; without a Chromium they skip and say why.

`page` also watches: a script error, a breach of the content policy or a request to another host fails the test.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.conftest import copy_store
from tests.serving import NO_BROWSER, chromium, find_browser, serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # A module's, not the session's: while Playwright runs, no other test of this process can start an event loop.
    if find_browser() is None:
        pytest.skip(NO_BROWSER)
    with chromium() as instance:
        yield instance


@pytest.fixture
def watched(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Make browser contexts (a person's cookies and screen; options as Playwright's new_context) that are watched."""
    complaints: list[str] = []

    def new(**options: object) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(10_000)
        context.on("weberror", lambda error: complaints.append(f"script error: {error.error}"))
        context.on("console", lambda message: note(message.text))
        context.on("request", lambda request: visited(request.url))
        contexts.callback(context.close)
        return context

    def note(text: str) -> None:
        if "Content Security Policy" in text:
            complaints.append(text)

    def visited(url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            complaints.append(f"asked another host: {url}")

    with ExitStack() as contexts:
        yield new
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def page(watched: Callable[..., BrowserContext]) -> Page:
    return watched().new_page()


@pytest.fixture(scope="module")
def start_server() -> Iterator[Callable[..., str]]:
    """start_server(data_folder, *options) -> base URL: a real server on a free port, ended with the module."""
    with ExitStack() as servers:
        yield lambda data, *options: servers.enter_context(serving(data, *options))


@pytest.fixture(scope="module")
def server(small_store: Path, tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., str]) -> str:
    """Base URL of a server over the small store with no study, so that browsing needs no login."""
    return start_server(copy_store(small_store, tmp_path_factory.mktemp("server") / "data"))
