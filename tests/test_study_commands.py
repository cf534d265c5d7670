"""`dartboard study check`, `verify`, `export` and `import`: what they print, and the sentence for each mistake."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from app.store.engine import open_engine, writing
from app.store.study import StudyStore
from tests.studies import answer_all
from tests.test_cli import STUDY, ok, refused, run


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "STUDY.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def rated(data_folder: Path, study_file: Path) -> Path:
    """A data folder with a study that one rater has done."""
    ok("study", "new", study_file, "--data", data_folder)
    store = StudyStore.open(f"sqlite:///{data_folder / 'study.sqlite'}")
    rater = store.add_rater("tiny", "Ada", "cli")
    store.consent(rater)
    store.start(rater)
    assert len(list(answer_all(store, rater))) == 6
    store.dispose()
    return data_folder


def change(data: Path, statement: str) -> None:
    engine = open_engine(f"sqlite:///{data / 'study.sqlite'}")
    with writing(engine) as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_check_reports_and_stores_nothing(data_folder: Path, study_file: Path) -> None:
    printed = ok("study", "check", study_file, "--data", data_folder)
    assert printed.startswith("Items\n  main page: 4\n  main pair: 2\n")
    for part in ("Work: 6 items × 2 ratings", "Features that are not shown", "Told apart without reading", "Power, by"):
        assert part in printed
    assert not (data_folder / "study.sqlite").exists()
    assert "features.sqlite" in refused("study", "check", study_file, "--data", data_folder / "none")


def test_verify_holds_then_names_what_was_changed(rated: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ok("study", "export", "tiny", "--out", out, "--data", rated)
    archive = out / "archive.jsonl"
    assert ok("study", "verify", "tiny", "--archive", archive, "--data", rated).splitlines() == [
        f"Holds: {archive}: protocol, items, key and chain",
        "Holds: “tiny”: protocol, items, key and chain",
        f"Holds: “tiny” and {archive} say the same",
        "Holds: “tiny”: its items, drawn anew",
    ]
    change(rated, "UPDATE rating SET server_ms = server_ms + 1 WHERE number = 3")
    result = run("study", "verify", "tiny", "--no-redraw", "--data", rated)
    assert result.exit_code == 1
    first, second = result.stdout.splitlines()
    assert first == "CHANGED: “tiny”: protocol, items, key and chain"
    assert second.startswith("  rating 3: its content is not what was hashed when it was accepted")


def test_verify_without_the_feature_store_says_what_it_did_not_do(rated: Path) -> None:
    (rated / "features.sqlite").unlink()
    printed = ok("study", "verify", "tiny", "--data", rated)
    assert "Not checked: there is no feature store here" in printed
    assert "drawn anew" not in ok("study", "verify", "tiny", "--no-redraw", "--data", rated)


def test_a_feature_store_that_was_rebuilt_is_told_apart(rated: Path) -> None:
    connection = sqlite3.connect(rated / "features.sqlite")
    connection.execute('UPDATE feature SET mean = mean + 1 WHERE dictionary_id = 0 AND "index" = 0')
    connection.commit()
    connection.close()
    assert "the feature store here is another one" in ok("study", "verify", "tiny", "--data", rated)


def test_an_archive_travels_to_another_store(rated: Path, tmp_path: Path) -> None:
    for step in ("close", "reveal"):
        ok("study", step, "tiny", "--data", rated)
    ok("study", "export", "tiny", "--out", tmp_path / "out", "--data", rated)
    archive = tmp_path / "out" / "archive.jsonl"
    other = tmp_path / "other"
    assert ok("study", "import", archive, "--data", other).startswith("Imported “tiny”; `dartboard study verify tiny`")
    assert "Holds: “tiny”" in ok("study", "verify", "tiny", "--data", other)
    ok("study", "export", "tiny", "--out", tmp_path / "again", "--format", "jsonl", "--data", other)
    assert (tmp_path / "again" / "archive.jsonl").read_bytes() == archive.read_bytes()
    assert "There is a study “tiny” already" in refused("study", "import", archive, "--data", other)


def test_the_round_of_guesses_comes_between_close_and_reveal(data_folder: Path, tmp_path: Path) -> None:
    study_file = tmp_path / "GUESSED.toml"
    study_file.write_text(STUDY + "\n[guess]\npages = 5\n")
    ok("study", "new", study_file, "--data", data_folder)
    assert "is not closed" in refused("study", "guess", "tiny", "--data", data_folder)
    assert "`dartboard study guess tiny` opens" in ok("study", "close", "tiny", "--data", data_folder)
    assert "Raters of “tiny” may guess" in ok("study", "guess", "tiny", "--data", data_folder)
    assert ok("study", "list", "--data", data_folder).startswith("tiny: guessing;")
    ok("study", "reveal", "tiny", "--data", data_folder)


def test_mistakes(rated: Path, tmp_path: Path) -> None:
    assert "Name a study, or an archive" in refused("study", "verify", "--data", rated)
    assert "There is no study “tony”; there are tiny." in refused("study", "verify", "tony", "--data", rated)
    assert "There is no format 'xlsx'; use csv, jsonl, parquet." in refused(
        "study", "export", "tiny", "--format", "xlsx", "--data", rated
    )
    strange = tmp_path / "strange.jsonl"
    strange.write_text("these are my notes\n")
    assert "strange.jsonl, line 1, is not JSON" in refused("study", "import", strange, "--data", rated)
    strange.write_text('{"type":"rater"}\n')
    assert "line 1, is not a record of a study" in refused("study", "verify", "--archive", strange, "--data", rated)
