"""Blindness on every screen: practice, words, intruders, checks, repeats, skips, the guessing round up to its telling."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.blindness import CANARY, HTMX, Change, Recorder, crawl, received, swap_the_key, unchanged
from tests.studies import ARMS
from tests.web import Web, answer, answer_form, current_form, serve_frozen
from tests.whole import NAME, SENTENCES, whole_study


def session(web: Web) -> list[tuple[str, bytes]]:
    """Everything that a rater receives on the whole way, until the arms are told."""
    rater = Recorder(web)
    rater.get(web.invite())
    rater.get("/rate")
    rater.post("/rate/consent")
    rater.get("/rate")
    rater.post("/rate/start")
    for score in (1, 5):
        practised(rater, score)
    rater.get("/rate")
    rater.post("/rate/practised")
    number = 0
    while form := answer_form(rater.get("/rate")):
        skip = {"task": form.task, "revision": form.revision, "skip": "unclear"}
        rater.post(form.action, data=form.filled(score=9, left=9, pick=9))
        rater.post(form.action, data=skip if number == 1 else form.filled(pick=1 + number % 5), headers=HTMX)
        if number == 1:
            rater.post("/rate/undo")
            rater.get("/rate")
            again = current_form(rater.client)
            rater.post(again.action, data=again.filled())
        number += 1
    rater.get("/rate/withdraw")
    for change in (web.study.pause, web.study.resume, web.study.close, web.study.open_guessing):
        change(NAME, "test")
        rater.get("/rate")
    while form := answer_form(rater.get("/rate")):
        rater.post(form.action, data=form.filled())
    assert "What the pages were" in rater.get("/rate").text
    return rater.record


def practised(rater: Recorder, score: int) -> None:
    form = current_form(rater.client)
    rater.post(form.action, data=form.filled(score=score), headers=HTMX)
    rater.get("/rate")


def recorded(folder: Path, change: Change) -> list[tuple[str, bytes]]:
    folder.mkdir()
    with serve_frozen(whole_study(intruders=2, pages=3), folder) as web:
        with closing(sqlite3.connect(folder / "study.sqlite")) as connection, connection:
            change(connection)
        return session(web)


def test_swapping_the_key_changes_no_byte_on_any_screen(tmp_path: Path) -> None:
    original, swapped = recorded(tmp_path / "one", unchanged), recorded(tmp_path / "two", swap_the_key)
    assert len(original) > 40
    assert [name for name, _ in original] == [name for name, _ in swapped]
    assert [name for (name, one), (_, two) in zip(original, swapped, strict=True) if one != two] == []


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with serve_frozen(whole_study(), tmp_path) as web:
        yield web


def test_no_arm_is_named_before_it_is_told(web: Web) -> None:
    pages = [(name, body) for name, body in session(web)[:-1] if not name.startswith("GET /static")]
    named = [name for name, body in pages if any(re.search(rb"\b" + arm.encode() + rb"\b", body) for arm in ARMS)]
    assert len({name for name, _ in pages}) > 10
    assert named == ["GET /rate"]  # told at the end, after all fresh pages
    assert b"What the pages were" in pages[-1][1]


def test_canaries_reach_no_screen(web: Web) -> None:
    client = web.visitor()
    seen = {"invite": received(client.get(web.invite(f"{CANARY} the rater")))}
    for step in ("consent", "start"):
        seen |= {f"{step} {path}": body for path, body in crawl(client, "/rate").items()}
        client.post(f"/rate/{step}")
    answer(client, score=5)
    client.post("/rate/practised")
    number = 0
    while answer_form(client.get("/rate")):
        seen |= {f"{number} {path}": body for path, body in crawl(client, "/rate").items()}
        answer(client)
        number += 1
    seen |= {f"done {path}": body for path, body in crawl(client, "/rate", "/rate/withdraw").items()}
    assert number == 5
    assert [path for path, body in seen.items() if CANARY.encode() in body.lower()] == []


def test_checks_and_repeats_look_like_any_other_question(tmp_path: Path) -> None:
    """With the same text on every page, nothing is left that differs but the question's id and the progress."""
    study = whole_study(pages=4, pairs=0, intruders=0, catch=2, practice=0, repeats=(0.5, 1))
    same = study.items[0].pages
    study = replace(study, items=tuple(replace(item, pages=same) for item in study.items))
    with serve_frozen(study, tmp_path) as web:
        client = web.rater()
        shown = []
        while form := answer_form(page := client.get("/rate")):
            text = page.text.replace(form.action, "ID")
            text = re.sub(r"\d+ of \d+ done|<progress [^>]*>|<button(?: disabled)?><span>Undo", "", text)
            shown.append((text, sorted(name for name in page.headers if name != "content-length"), len(form.action)))
            answer(client)
        with closing(sqlite3.connect(tmp_path / "study.sqlite")) as connection:
            query = "SELECT purpose, repeat FROM assignment JOIN item ON item.id = item_id GROUP BY 1, 2 ORDER BY 1, 2"
            kinds = connection.execute(query).fetchall()
    assert kinds == [("catch", 0), ("main", 0), ("main", 1)]
    assert len(shown) > 6
    assert all(each == shown[0] for each in shown)
    assert SENTENCES[0].split()[0] in shown[0][0]
