"""The rows of pages in the bench's table: a store of 100,000 features, asked by wrk over loopback, and seen by Chromium.

One server process answers. Pages are those of features drawn by a seed: so many that none is asked for twice, and a few that
are, since a server keeps the pages that it made last. Datasette shows one row that holds the same contexts. First paint and
layout shift are taken by a browser that is new each time.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from app.errors import DartboardError, UserError
from pipeline.bench.others.environments import environment
from pipeline.bench.report import Row
from pipeline.bench.serving import Client, Load, dartboard, datasette
from pipeline.bench.synthetic import write_store

FEATURES, DICTIONARIES, CONTEXTS = 100_000, 5, 12_288
QUICK_FEATURES, QUICK_CONTEXTS = 2_000, 2_048
DRAWN = 20_000  # features whose pages are asked for: more than are kept from one request to the next
WEIGHED = 400
IN_DATASETTE = 100
MANY, FEW = 32, 4  # connections
SECONDS, QUICK_SECONDS = 10, 2
LAUNCHES = 5
KILO = 1024
PAINT = """() => new Promise(done => {
    const found = {paint: 0, shift: 0};
    new PerformanceObserver(list => list.getEntries().forEach(entry => { found.shift += entry.value; }))
        .observe({type: "layout-shift", buffered: true});
    new PerformanceObserver(list => {
        found.paint = list.getEntriesByName("first-contentful-paint")[0].startTime;
        setTimeout(() => done(found), 500);
    }).observe({type: "paint", buffered: true});
})"""


def page_rows(folder: Path, others: Path, quick: bool) -> Iterator[Row]:
    """A tool that can't be installed or run has no figure, and its row is a miss."""
    features, contexts = (QUICK_FEATURES, QUICK_CONTEXTS) if quick else (FEATURES, CONTEXTS)
    seconds = QUICK_SECONDS if quick else SECONDS
    folder.mkdir(parents=True, exist_ok=True)
    write_store(folder / "features.sqlite", features, DICTIONARIES, contexts, 0)
    with dartboard(folder) as client:
        names = [one["name"] for one in json.loads(client.get("/api/dictionaries"))["dictionaries"]]
        drawn = np.random.default_rng(0).integers(0, features // DICTIONARIES, DRAWN).tolist()
        pages = [f"/dictionaries/{names[n % len(names)]}/features/{index}" for n, index in enumerate(drawn)]
        sizes = [len(client.get(page)) / KILO for page in pages[:WEIGHED]]
        says = f"the largest of {len(sizes)}; {median(sizes):.1f} KB in the middle"
        yield Row("", "HTML of a feature page", max(sizes), 40, says, "KB")
        whole = client.load(pages, MANY, seconds)
        yield from _both("whole feature page, never asked for before", whole, 1000, 50)
        again = _again(client, pages[:WEIGHED], seconds)
        yield from _both("… asked for again", again, 1000, 50)
        fragment = Client(client.base, {**client.headers, "HX-Request": "true"})
        rows = [f"{page}/groups/top" for page in pages]
        yield from _both("its rows alone, never asked for before", fragment.load(rows, MANY, seconds), 2000, 30)
        yield from _both("… asked for again", _again(fragment, rows[:WEIGHED], seconds), 2000, 30)
        yield from _beside_datasette(client, pages[:IN_DATASETTE], again, folder, others, seconds)
        table = client.load(table_addresses(names), FEW, seconds)
        says = f"{len(table_addresses(names))} sorts, filters and pages of {features:,} features; {table.rate:,.0f} requests/s"
        yield Row("", "feature table, 99 of 100 within", table.p99, 100, says, "ms")
        paint, shift = painted(client, pages[0])
        yield Row("", "first paint, cold", paint, 300, f"median of {LAUNCHES} new browsers", "ms")
        yield Row("", "layout shift", shift, 0, "the largest of them")


def table_addresses(names: Sequence[str]) -> list[str]:
    """Addresses of feature tables: each sort both ways, filters alone and together, pages near and far."""
    sorts = [
        f"sort={sort}&order={order}"
        for sort in ("index", "frequency", "max", "mean", "entropy")
        for order in ("asc", "desc")
    ]
    filters = [
        "",
        "state=live",
        "single=yes",
        "min_frequency=0.001",
        "max_entropy=1.5",
        "min_max=2&single=no",
        "token=the",
    ]
    queries = [f"?{sort}&{some}".rstrip("&") for sort in sorts for some in filters]
    paged = [f"?sort={sort}&page={page}" for sort in ("frequency", "entropy") for page in (2, 50, 300)]
    return [f"/dictionaries/{names[n % len(names)]}{query}" for n, query in enumerate(queries + paged)]


def painted(client: Client, page: str) -> tuple[float, float]:
    """Milliseconds to the first contentful paint, the median of LAUNCHES cold browsers; and the largest layout shift."""
    from playwright.sync_api import sync_playwright

    name, _, value = client.headers["Cookie"].partition("=")
    found = []
    with sync_playwright() as playwright:
        for _ in range(LAUNCHES):
            browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
            try:
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                context.add_cookies([{"name": name, "value": value, "url": client.base}])
                tab = context.new_page()
                tab.goto(client.base + page)
                found.append(tab.evaluate(PAINT))
            finally:
                browser.close()
    return median(one["paint"] for one in found), max(one["shift"] for one in found)


def _again(client: Client, paths: Sequence[str], seconds: int) -> Load:
    """Of pages each of which was asked for a moment before."""
    for path in paths:
        client.get(path)
    return client.load(paths, MANY, seconds)


def _both(what: str, load: Load, rate: float, p99: float) -> Iterator[Row]:
    yield Row("", what, load.rate, rate, f"{MANY} connections", "/s", least=True)
    yield Row("", f"{what}, 99 of 100 within", load.p99, p99, f"{MANY} connections", "ms")


def _beside_datasette(
    client: Client, pages: Sequence[str], ours: Load, folder: Path, others: Path, seconds: int
) -> Iterator[Row]:
    what = "feature page ÷ Datasette's of one row, both asked for again"
    try:
        python = environment("datasette", others / "datasette")
        database = folder / "one.db"
        _write_rows(database, [json.loads(client.get(f"/api{page}")) for page in pages])
        with datasette(python, database) as other:
            theirs = other.load([f"/one/feature/{number}" for number in range(len(pages))], MANY, seconds)
    except DartboardError as error:
        yield Row("", what, float("nan"), 4, f"not measured: {str(error).splitlines()[-1]}", least=True)
        return
    yield Row("", what, ours.rate / theirs.rate, 4, f"{ours.rate:,.0f} ÷ {theirs.rate:,.0f} requests/s", least=True)


def _write_rows(path: Path, features: Sequence[dict[str, Any]]) -> None:
    """A table with a row a feature: its contexts as JSON, as the API gives them."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE feature (id INTEGER PRIMARY KEY, facts TEXT, contexts TEXT)")
        for number, feature in enumerate(features):
            contexts = json.dumps(feature["groups"]["top"], ensure_ascii=False)
            facts = json.dumps({key: value for key, value in feature.items() if not isinstance(value, dict | list)})
            connection.execute("INSERT INTO feature VALUES (?, ?, ?)", (number, facts, contexts))


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise UserError("First paint needs Chromium on PATH; install the chromium package.")
