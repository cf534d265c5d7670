"""The export as a folder: tables in three formats that say the same, a codebook, hashes on every row."""

import csv
import hashlib
import io
import json
from pathlib import Path

import pandas
import pytest
from pyarrow import parquet
from sqlalchemy import text

from app import tables
from app.codebook import TABLES, codebook
from app.errors import NotFound, UserError
from app.export import unguard
from app.store.archive import head
from app.store.engine import writing
from app.store.study import StudyStore
from app.study.answers import GuessAnswer, PageAnswer, Skip
from app.tables import FORMATS, write_folder
from app.verify import verify_store
from tests.studies import SetClock, answer, frozen_study, open_store

HOSTILE = "=cmd|' /C calc'!A0\n\"quoted\", \u202e right to left, \\u0041, 🜁"


@pytest.fixture
def store(tmp_path: Path):
    """A study with every kind of answer: scores, a skip, a free text, a pick, a guess, a surplus, a withdrawal."""
    clock = SetClock()
    opened = open_store(f"sqlite:///{tmp_path / 'study.sqlite'}", clock)
    opened.freeze(frozen_study(pages=2, pairs=2, intruders=1, catch=1, guess=1, raters_per_item=2), "ada")
    raters = [opened.add_rater("small", f"Ada's friend {number}", "ada") for number in range(3)]
    for rater in raters:
        opened.consent(rater)
        opened.start(rater)
    first, second, gone = raters
    number = 0
    while (screen := opened.screen(first)) is not None:
        clock.forward(seconds=2)
        given = {0: Skip("unclear"), 1: PageAnswer(4, 5, HOSTILE)}.get(number)
        if given is not None and screen.task == "page":
            opened.submit(first, screen.public_id, 1, given, 1900, False)
        else:
            answer(opened, first, number)
        number += 1
    for _ in range(3):
        answer(opened, gone, 1)
    opened.withdraw(gone, "ada")
    while answer(opened, second, 2) is not None:
        clock.forward(seconds=2)
    yield opened
    opened.dispose()


def revealed(store: StudyStore, guess: bool = True) -> None:
    store.close("small", "ada")
    if guess:
        store.open_guessing("small", "ada")
        rater = store.raters("small")[0].rater
        answer(store, rater)
        store.start_guessing(rater)
        screen = store.screen(rater)
        assert screen is not None
        store.submit(rater, screen.public_id, 1, GuessAnswer(None, 2), None, False)
    store.reveal("small", "ada")


def read(folder: Path, table: str, form: str) -> list[dict]:
    path = folder / f"{table}.{form}"
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
        return [{name: typed(table, name, cell) for name, cell in row.items()} for row in rows]
    if form == "jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return parquet.read_table(path).to_pylist()


def typed(table: str, name: str, cell: str):
    [kind] = [column.kind for column in TABLES[table] if column.name == name]
    if cell == "":
        return None
    return {"text": unguard(cell), "number": int(cell) if kind == "number" else 0, "flag": cell == "true"}[kind]


def test_three_formats_say_the_same(store: StudyStore, tmp_path: Path) -> None:
    revealed(store)
    for form in FORMATS:
        names = [path.name for path in write_folder(store, "small", tmp_path / form, form)]
        of_tables = [f"{table}.{form}" for table in TABLES]
        assert names == sorted([*of_tables, "archive.jsonl", "codebook.csv", "protocol.json"])
    for table, columns in TABLES.items():
        rows = [read(tmp_path / form, table, form) for form in FORMATS]
        assert rows[0] == rows[1] == rows[2]
        assert rows[0], f"{table} is empty"
        assert list(rows[0][0]) == [column.name for column in columns]


def test_every_row_carries_the_hashes_that_bind_it(store: StudyStore, tmp_path: Path) -> None:
    study = store.study("small")
    write_folder(store, "small", tmp_path / "out", "csv")
    count, last = head(store.engine, study)
    assert count > 10
    for table in TABLES:
        rows = read(tmp_path / "out", table, "csv")
        stamps = {(row["study"], row["protocol_hash"], row["key_commitment"], row["chain_head"]) for row in rows}
        assert stamps == {("small", study.protocol_hash, study.key_commitment, last)}
    protocol = (tmp_path / "out" / "protocol.json").read_bytes()
    assert hashlib.sha256(protocol).hexdigest() == study.protocol_hash


def test_ratings_of_every_kind(store: StudyStore, tmp_path: Path) -> None:
    revealed(store)
    write_folder(store, "small", tmp_path / "out", "csv")
    rows = read(tmp_path / "out", "ratings", "csv")
    [skipped] = [row for row in rows if row["skip"]]
    assert (skipped["task"], skipped["skip"], skipped["value"]) == ("page-score", "unclear", None)
    [told] = [row for row in rows if row["explanation"]]
    assert (told["explanation"], told["confidence"], told["value"]) == (HOSTILE, 5, "4")
    picks = [row for row in rows if row["task"] == "intruder-pick"]
    assert len(picks) == 2
    assert {row["right"] for row in picks} <= {True, False}
    assert all(row["right"] is not None for row in picks)
    [guess] = [row for row in rows if row["task"] == "guess"]
    assert (guess["purpose"], guess["value"], guess["right"], guess["confidence"]) == ("guess", "unknown", False, 2)
    caught = [row for row in rows if row["purpose"] == "catch"]
    assert {row["right"] for row in caught} <= {True, False}
    assert len(caught) == 2
    gone = store.raters("small")[2].rater.pseudonym
    assert gone not in {row["rater"] for row in rows}


def test_before_the_reveal_nothing_says_what_is_what(store: StudyStore, tmp_path: Path) -> None:
    write_folder(store, "small", tmp_path / "out", "csv")
    for table in ("ratings", "items"):
        for row in read(tmp_path / "out", table, "csv"):
            assert {row[name] for name in ("arm", "dictionary", "feature")} == {None}
    assert {row["right"] for row in read(tmp_path / "out", "ratings", "csv")} == {None}
    for path in (tmp_path / "out").iterdir():
        assert "canary" not in path.read_text("utf-8"), path.name
        assert "Ada's friend" not in path.read_text("utf-8"), path.name


def test_revisions_hold_surplus_replaced_and_withdrawn_ones(store: StudyStore, tmp_path: Path) -> None:
    write_folder(store, "small", tmp_path / "out", "jsonl")
    rows = read(tmp_path / "out", "revisions", "jsonl")
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1]["hash"] == rows[0]["chain_head"]
    tombstones = [row for row in rows if row["withdrawn_at"]]
    assert len(tombstones) == 3
    assert all(row["answer"] is row["salt"] is row["server_ms"] is None for row in tombstones)
    assert all(row["answer"] for row in rows if not row["withdrawn_at"])
    [gone] = [row for row in read(tmp_path / "out", "raters", "jsonl") if row["withdrawn_at"]]
    assert {row["rater"] for row in tombstones} == {gone["rater"]}


def test_pandas_reads_the_tables(store: StudyStore, tmp_path: Path) -> None:
    revealed(store)
    write_folder(store, "small", tmp_path / "out", "csv")
    ratings = pandas.read_csv(tmp_path / "out" / "ratings.csv")
    assert ratings[ratings.task == "page-score"].value.dropna().astype(int).between(1, 5).all()
    assert ratings.staff.dtype == bool
    book = pandas.read_csv(tmp_path / "out" / "codebook.csv")
    assert book.to_dict("records") == codebook()
    assert set(book.column[book.table == "ratings"]) == set(ratings.columns)


def test_what_cannot_be_written(store: StudyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="there is there already; name a new folder with --out"):
        write_folder(store, "small", tmp_path / "there", "csv")
    with pytest.raises(UserError, match=r"/proc/out cannot be written \(.*\); choose another place with --out"):
        write_folder(store, "small", Path("/proc/out"), "csv")
    with pytest.raises(NotFound, match="there are small"):
        write_folder(store, "smal", tmp_path / "out", "csv")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables, "_write_csv", full)
    with pytest.raises(UserError, match=r"out cannot be written \(No space left on device\)"):
        write_folder(store, "small", tmp_path / "out", "csv")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["there"], "nothing half-written stays"


def test_rating_a_study_keeps_its_chain(store: StudyStore) -> None:
    revealed(store)
    faults = [fault for fault in verify_store(store, "small") if fault.startswith("rating")]
    assert faults == []
    with writing(store.engine) as connection:
        connection.execute(text("UPDATE rating SET visible_ms = 1 WHERE number = 2"))
    assert any(fault.startswith("rating 2: its content") for fault in verify_store(store, "small"))
