"""A disk that fills up while raters rate: what was saved stays, what was not is said, and it goes on once there is room."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text

from app.errors import DartboardError
from app.store.study import StudyStore
from app.study import chain
from tests.studies import any_answer, frozen_study
from tests.test_study_machine import stored_links
from tests.web import STUDY, Web, answer, current_form, message, serve

PAGES_LEFT = 12  # of 4 KiB, which SQLite may still take
ROOM = 512 * 1024  # bytes that a real disk has left: the write-ahead log takes some pages an answer


@contextmanager
def full_disk(store: StudyStore, pages: int) -> Iterator[None]:
    """The file can grow by so many pages and no more; then SQLite says what it says of a full disk."""
    with store.engine.connect() as connection:
        most = connection.execute(text("PRAGMA page_count")).scalar_one() + pages

    def bound(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={most}")

    event.listen(store.engine, "connect", bound)
    store.dispose()  # the bound is a connection's own
    try:
        yield
    finally:
        event.remove(store.engine, "connect", bound)
        store.dispose()


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """A file takes all that the folder's disk has left, but for ROOM."""
    filler = folder / "filler"
    free = shutil.disk_usage(folder).free
    filler.write_bytes(bytes(free - ROOM))
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of some megabytes, in memory; making one takes root, on Linux."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small disk can't be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_no_answer_is_half_saved_on_a_disk_that_is_full(small_disk: Path) -> None:
    study_goes_on_after(small_disk, lambda store: filled(small_disk))


def test_no_answer_is_half_saved(tmp_path: Path) -> None:
    study_goes_on_after(tmp_path, lambda store: full_disk(store, PAGES_LEFT))


def study_goes_on_after(folder: Path, full: Callable[[StudyStore], AbstractContextManager[None]]) -> None:
    """Rate till the disk is full, and try again and again; once there is room, all is there, and nothing half."""
    store = StudyStore.open(f"sqlite:///{folder / 'study.sqlite'}")
    study = store.freeze(frozen_study(pages=150, pairs=0, raters_per_item=1), "ada")
    rater = store.add_rater("small", "one", "ada")
    saved: list[str] = []

    def go_on() -> None:
        while (screen := store.screen(rater)) is not None:
            store.submit(rater, screen.public_id, 1, any_answer(screen), None, False)
            saved.append(screen.public_id)

    with full(store):
        for _ in range(3):
            with pytest.raises(DartboardError, match="nothing of this was saved"):
                go_on()
    assert 0 < len(saved) < 150
    go_on()
    assert len(saved) == len(set(saved)) == 150
    assert [(row.ratings, row.items) for row in store.item_progress("small")] == [(1, 150)]
    links = stored_links(store)
    assert len(links) == 150
    assert list(chain.faults(study.protocol_hash, links)) == []
    store.dispose()


@pytest.fixture
def web(small_store: Path, tmp_path: Path) -> Iterator[Web]:
    with serve(small_store, tmp_path / "data") as web:
        yield web


def test_the_rater_is_told_and_sends_it_again(web: Web) -> None:
    client = web.rater()
    client_errors = web.visitor(raise_server_exceptions=False)
    client_errors.cookies = client.cookies
    told = None
    with full_disk(web.study, 0):
        for number in range(200):
            form = current_form(client)
            told = client_errors.post(form.action, data=form.filled(score=number % 5 + 1))
            if told.status_code == 500:
                break
            if (told := client_errors.post("/rate/undo")).status_code == 500:
                break
    assert told is not None
    assert told.status_code == 500
    assert "nothing of this was saved" in message(told)
    answer(client)
    assert list(chain.faults(web.study.study(STUDY).protocol_hash, stored_links(web.study))) == []
