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
def full_server(store: StudyStore, answers: int) -> Iterator[None]:
    """PostgreSQL takes so many answers more; then it says of each what it says of a full disk."""
    refuse = f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM rating) >= {answers} THEN
                RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse AFTER INSERT ON rating FOR EACH STATEMENT EXECUTE FUNCTION refuse();
    """
    with store.engine.begin() as connection:
        connection.exec_driver_sql(refuse)
    try:
        yield
    finally:
        with store.engine.begin() as connection:
            connection.exec_driver_sql("DROP FUNCTION refuse CASCADE")


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
    study_goes_on_after(f"sqlite:///{small_disk / 'study.sqlite'}", lambda store: filled(small_disk))


def test_no_answer_is_half_saved(sqlite_url: str) -> None:
    study_goes_on_after(sqlite_url, lambda store: full_disk(store, PAGES_LEFT))


def test_no_answer_is_half_saved_on_postgresql(postgresql_url: str) -> None:
    study_goes_on_after(postgresql_url, lambda store: full_server(store, 10), 20)


def study_goes_on_after(
    url: str, full: Callable[[StudyStore], AbstractContextManager[None]], questions: int = 150
) -> None:
    """Rate till the disk is full, and try again and again; once there is room, all is there, and nothing half."""
    store = StudyStore.open(url)
    study = store.freeze(frozen_study(pages=questions, pairs=0, raters_per_item=1), "ada")
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
    assert 0 < len(saved) < questions
    go_on()
    assert len(saved) == len(set(saved)) == questions
    assert [(row.ratings, row.items) for row in store.item_progress("small")] == [(1, questions)]
    links = stored_links(store)
    assert len(links) == questions
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
