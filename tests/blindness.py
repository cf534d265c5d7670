"""What the tests of blindness share: a record of all that a rater's browser receives, a key that is swapped, a crawl."""

import re
import sqlite3
from collections.abc import Callable
from html import unescape
from typing import Any

from httpx import Response
from starlette.testclient import TestClient

from tests.web import Web

HTMX = {"HX-Request": "true"}


def received(response: Response) -> bytes:
    """Every byte of a response but its Date."""
    headers = [(name.lower(), value) for name, value in response.headers.raw if name.lower() != b"date"]
    return b"\n".join(
        [str(response.status_code).encode(), *(b": ".join(header) for header in headers), response.content]
    )


class Recorder:
    """A rater's browser, with a record of everything that it received."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.client: TestClient = web.visitor()
        self.record: list[tuple[str, bytes]] = []

    def send(self, method: str, path: str, **options: Any) -> Response:
        response = self.client.request(method, path, **options)
        self.record.append((f"{method} {path}", received(response)))
        self.web.clock.forward(seconds=7)
        return response

    def get(self, path: str, **options: Any) -> Response:
        return self.send("GET", path, **options)

    def post(self, path: str, **options: Any) -> Response:
        return self.send("POST", path, **options)


Change = Callable[[sqlite3.Connection], None]


CANARY = "canary"


def key_of(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT item_id, page, arm, dictionary, feature, stratum FROM item_key ORDER BY 1, 2"
    ).fetchall()


def swap_the_key(connection: sqlite3.Connection) -> None:
    """Hand each item's key rows to another item of its task."""
    before = key_of(connection)
    tasks = dict(connection.execute("SELECT id, task FROM item"))
    for task in set(tasks.values()):
        items = sorted(item for item in tasks if tasks[item] == task)
        own = {item: [row for row in before if row[0] == item] for item in items}
        for item, other in zip(items, [*items[1:], items[0]], strict=True):
            for (_, page, *_), (_, _, *identity) in zip(own[item], own[other], strict=True):
                connection.execute(
                    "UPDATE item_key SET arm = ?, dictionary = ?, feature = ?, stratum = ? WHERE item_id = ? AND page = ?",
                    (*identity, item, page),
                )
    after = key_of(connection)
    assert sum(one != other for one, other in zip(before, after, strict=True)) > len(before) * 0.8
    arms = [[row[2] for row in rows] for rows in (before, after)]
    assert sorted(arms[0]) == sorted(arms[1])
    assert arms[0] != arms[1]


def unchanged(connection: sqlite3.Connection) -> None:
    assert key_of(connection)


def addresses(text: str) -> set[str]:
    found = re.findall(r'(?:href|src|action|hx-get|hx-post)="([^"]*)"', text)
    found += re.findall(r'url\("?([^")]+)"?\)', text)
    found += re.findall(r'^import .* from "([^"]+)";$', text, re.MULTILINE)
    return {unescape(address) for address in found}


def crawl(client: TestClient, *starts: str) -> dict[str, bytes]:
    """Everything that the links, forms and style sheets of some pages lead to, and what they lead to in turn."""
    seen: dict[str, bytes] = {}
    waiting = list(starts)
    while waiting:
        address = waiting.pop()
        if address in seen or address.startswith("#"):
            continue
        response = client.get(address)
        seen[address] = received(response)
        if response.headers.get("content-type", "").startswith("text/"):
            waiting += (str(response.url.join(found).raw_path, "ascii") for found in addresses(response.text))
    return seen
