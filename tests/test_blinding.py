"""Blindness, shown: what a rater receives does not depend on what the pages are, and names nothing of it."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from jinja2 import meta

import app.rate.routes
from app.error_pages import ErrorPage, Link
from app.freeze import prepare
from app.rate.pages import (
    ConsentPage,
    DonePage,
    InstructionsPage,
    Note,
    ScreenPage,
    StepPage,
    WithdrawPage,
    screen_page,
)
from app.rate.questions import Option, Question
from app.render import environment
from app.store.features import FeatureStore
from app.store.study import Screen, StudyStore
from app.study.content import Block, Page, Snippet
from tests.blindness import CANARY, HTMX, Change, Recorder, crawl, received, swap_the_key, unchanged
from tests.studies import SetClock, counted_tokens
from tests.web import PAIRS, SOLO, STUDY, Web, answer_form, current_form, frozen, protocol, serve


def session(web: Web) -> list[tuple[str, bytes]]:
    """A whole session of a rater, with every answer that a rater can be given, errors among them."""
    rater = Recorder(web)
    invite = web.invite()
    rater.get("/rate")  # before the invite
    rater.get(f"{invite}x")
    rater.get(invite)
    rater.get("/rate")
    rater.post("/rate/undo")
    rater.post("/rate/consent")
    rater.get("/rate")
    rater.post("/rate/start")
    for number in range(SOLO + PAIRS):
        page = rater.get("/rate")
        rater.get("/rate", headers=HTMX)
        form = answer_form(page)
        assert form is not None
        given = form.filled(score=1 + number % 5, left=1 + number % 5, right=5 - number % 5)
        rater.post(form.action, data=form.filled(score=9, left=9))
        rater.post(form.action, data=given, headers=HTMX if number % 2 else {})
        rater.post(form.action, data=given)
        rater.post(form.action, data=form.filled(score=5 - number % 2, left=3, choice="tie"))
        if number % 3 == 1:
            rater.post("/rate/undo", headers=HTMX)
            again = current_form(rater.client)
            rater.post(again.action, data=again.filled(score=2, left=2))
    assert "All done" in rater.get("/rate").text
    for path in (
        invite,
        "/",
        "/admin",
        f"/admin/studies/{STUDY}",
        "/api/dictionaries",
        "/nothing",
        "/healthz",
        "/login/x",
    ):
        rater.get(path)
    for path in sorted(set(re.findall(r'(?:href|src)="(/static/[^"]+)"', rater.get("/rate").text))):
        rater.get(path)
    web.study.close(STUDY, "test")
    rater.get("/rate")
    rater.post("/rate/undo")
    web.study.reveal(STUDY, "test")
    rater.get("/rate")
    rater.post("/logout")
    return rater.record


def recorded(small_store: Path, folder: Path, change: Change) -> list[tuple[str, bytes]]:
    """A rater's session over the frozen study, whose database was changed before the server opened it."""
    with serve(small_store, folder):
        pass
    with closing(sqlite3.connect(folder / "study.sqlite")) as connection, connection:
        change(connection)
    with serve(small_store, folder) as web:
        return session(web)


@pytest.fixture(scope="module")
def original(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    return recorded(small_store, tmp_path_factory.mktemp("original") / "data", unchanged)


def test_swapping_the_key_changes_no_byte_that_a_rater_receives(
    original: list[tuple[str, bytes]], small_store: Path, tmp_path: Path
) -> None:
    swapped = recorded(small_store, tmp_path / "data", swap_the_key)
    assert len(original) > 50
    assert [name for name, _ in original] == [name for name, _ in swapped]
    assert [name for (name, one), (_, two) in zip(original, swapped, strict=True) if one != two] == []


def test_without_the_key_a_rater_receives_the_same(
    original: list[tuple[str, bytes]], small_store: Path, tmp_path: Path
) -> None:
    def drop(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE item_key")

    assert recorded(small_store, tmp_path / "data", drop) == original


def test_the_record_shows_a_leak(small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: one letter that depends on the arm of the page on the left, and the records differ."""

    def leaking(folder: Path) -> Callable[..., ScreenPage]:
        def page(study: Any, screen: Screen, **given: Any) -> ScreenPage:
            with closing(sqlite3.connect(folder / "study.sqlite")) as connection:
                (arm,) = connection.execute(
                    "SELECT arm FROM item_key JOIN assignment USING (item_id) WHERE public_id = ?"
                    " AND page = CASE flip WHEN 1 THEN 'b' ELSE 'a' END",
                    (screen.public_id,),
                ).fetchone()
            honest = screen_page(study, screen, **given)
            return replace(honest, heading=honest.heading + ("." if arm == "learned" else ""))

        return page

    records = []
    for name, change in (("one", unchanged), ("two", swap_the_key)):
        monkeypatch.setattr(app.rate.routes, "screen_page", leaking(tmp_path / name))
        records.append(recorded(small_store, tmp_path / name, change))
    differing = [name for (name, one), (_, two) in zip(*records, strict=True) if one != two]
    assert "GET /rate" in differing


@pytest.fixture
def marked(small_store: Path, tmp_path: Path) -> Iterator[Web]:
    """A study whose arms, dictionaries, model, corpus, site, documents, run and files all bear a canary's name."""
    folder = tmp_path / f"{CANARY}-folder"
    folder.mkdir()
    shutil.copy(small_store / "features.sqlite", folder)
    with closing(sqlite3.connect(folder / "features.sqlite")) as connection, connection:
        connection.execute(f"UPDATE dictionary SET name = '{CANARY}-' || name, title = '{CANARY}', kind = '{CANARY}'")
        connection.execute(f"UPDATE dictionary SET weights_hash = '{CANARY}', provenance = '\"{CANARY}\"'")
        connection.execute(f"UPDATE site SET name = '{CANARY}', model = '{CANARY}', corpus = '{CANARY}'")
        connection.execute(f"UPDATE document SET title = '{CANARY}'")
        connection.execute(f"UPDATE provenance SET value = '\"{CANARY}\"'")
    features = FeatureStore(folder / "features.sqlite")
    given = protocol(features).model_dump(by_alias=True)
    given["name"] = f"{CANARY}-study"
    for arm in given["arm"]:
        arm["name"] = f"{CANARY}-{arm['name']}"
    given["tasks"]["pair"]["contrasts"] = [[f"{CANARY}-learned", f"{CANARY}-drawn"]]
    store = StudyStore.open(f"sqlite:///{folder}/study.sqlite", clock=SetClock(), token=counted_tokens())
    store.freeze(prepare(type(protocol(features)).model_validate(given), features, counted_tokens("marked")), "test")
    store.dispose()
    features.close()
    with serve(folder, folder) as web:
        yield web


def test_canaries_reach_no_rater(marked: Web) -> None:
    name = f"{CANARY}-study"
    rater = marked.study.add_rater(name, f"{CANARY} the rater", "test")
    client = marked.visitor()
    received_ones = {"invite": received(client.get(f"/invite/{marked.study.invite(name, rater.id, 30, 'test')}"))}
    received_ones |= crawl(client, "/rate")
    client.post("/rate/consent")
    received_ones |= {f"agreed {path}": body for path, body in crawl(client, "/rate").items()}
    client.post("/rate/start")
    number = 0
    while form := answer_form(client.get("/rate")):
        received_ones |= {f"{number} {path}": body for path, body in crawl(client, "/rate").items()}
        received_ones[f"{number} sent"] = received(client.post(form.action, data=form.filled(), headers=HTMX))
        number += 1
    received_ones |= {f"done {path}": body for path, body in crawl(client, "/rate").items()}
    for path in ("/", "/admin", "/compare", "/api/dictionaries", "/nothing", "/static/nothing", "/rate/nothing"):
        received_ones[path] = received(client.get(path))
    marked.study.close(name, "test")
    for path in ("/rate", "/", "/compare"):
        received_ones[f"closed {path}"] = received(client.get(path))
    assert number == SOLO + PAIRS
    assert {"main.js", "outbox.js"} <= {path.rpartition("/")[2].partition("?")[0] for path in received_ones}
    assert any(".woff2" in path for path in received_ones)
    assert [path for path, body in received_ones.items() if CANARY.encode() in body.lower()] == []


def test_canaries_are_there_to_be_found(marked: Web) -> None:
    staff = marked.staff()
    for path in ("/", "/admin", "/api/dictionaries"):
        assert CANARY in staff.get(path).text


def names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def test_what_the_raters_templates_are_given() -> None:
    """Exactly these fields: none of them can hold an arm, a dictionary or a feature."""
    assert names(ConsentPage) == {"heading", "consent"}
    assert names(InstructionsPage) == {"heading", "instructions", "total"}
    assert names(ScreenPage) == {
        "action",
        "task",
        "heading",
        "announcement",
        "note",
        "problem",
        "pages",
        "sides",
        "questions",
        "skips",
        "revision",
        "wait_seconds",
        "done",
        "total",
        "undo",
        "instructions",
    }
    assert names(Note) == {"kind", "title", "text"}
    assert names(StepPage) == {"heading", "note", "paragraphs", "names", "action", "button", "instructions"}
    assert names(DonePage) == {
        "heading",
        "message",
        "debrief",
        "completion_code",
        "done",
        "total",
        "can_undo",
        "instructions",
    }
    assert names(WithdrawPage) == {"heading", "paragraphs"}
    assert names(ErrorPage) == {"title", "message", "back"}
    assert names(Link) == {"href", "label"}
    assert names(Question) == {"name", "legend", "kind", "options", "text", "longest", "hint"}
    assert names(Option) == {"value", "number", "word", "key", "arrow", "checked", "snippet"}
    assert names(Page) == {"blocks"}
    assert names(Block) == {"label", "snippets"}
    assert names(Snippet) == {"tokens", "levels", "peak"}


@pytest.mark.parametrize(
    ("template", "context"),
    [
        ("rate/consent.html", ConsentPage),
        ("rate/instructions.html", InstructionsPage),
        ("rate/screen.html", ScreenPage),
        ("rate/step.html", StepPage),
        ("rate/done.html", DonePage),
        ("rate/withdraw.html", WithdrawPage),
        ("error.html", ErrorPage),
    ],
)
def test_the_raters_templates_use_those_fields_and_no_others(template: str, context: type) -> None:
    used = set()
    for name in chain_of(template):
        used |= meta.find_undeclared_variables(environment().parse(source(name)))
    assert used - {"asset", "styles", "token_row", "is_htmx"} == names(context)


def chain_of(template: str) -> Iterator[str]:
    """A template and all that it extends, includes or imports."""
    yield template
    for name in meta.find_referenced_templates(environment().parse(source(template))):
        assert name is not None, "a template's name that is worked out while it is rendered"
        yield from chain_of(name)


def source(template: str) -> str:
    loader = environment().loader
    assert loader is not None
    return loader.get_source(environment(), template)[0]


def test_every_page_of_the_study_has_the_same_shape(small_store: Path) -> None:
    """No count or width tells one arm from another."""
    shapes = {
        tuple((block.label, tuple(len(snippet.tokens) for snippet in block.snippets)) for block in page.blocks)
        for item in frozen(small_store).items
        for page in item.pages.values()
    }
    assert len(shapes) == 1
