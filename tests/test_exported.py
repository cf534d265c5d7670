"""An export is read again as it was written, in any of its formats; what is none is refused by file and row."""

import json
import shutil
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli import app
from app.codebook import TABLES
from app.commands.analysed import show
from app.errors import NotFound, UserError
from app.export import csv_lines
from app.exported import read_export
from app.results.compute import read
from app.simulate import fill, simulated_tables
from app.store.study import StudyStore
from app.study.analysis.run import analyse
from app.study.analysis.tables import Tables
from app.study.protocol import Protocol
from app.study.simulated.truth import Truth
from app.tables import write_folder
from tests.studies import frozen_study

PROTOCOL = Protocol.model_validate(
    {
        "name": "small",
        "title": "Which is clearer?",
        "arm": [
            {"name": "trained", "dictionaries": ["sae"]},
            {"name": "random", "dictionaries": ["sign"]},
            {"name": "empty", "control": "null"},
        ],
        "tasks": {"page": {"features": 12}},
        "estimand": {"trained": "trained", "random": "random"},
    }
)
TRUTH = Truth({"trained": 0.6, "random": 0.5, "empty": 0.1})


@pytest.fixture(scope="module")
def tables() -> Tables:
    return simulated_tables(PROTOCOL, TRUTH, raters=3, seed=0)


@pytest.fixture(scope="module")
def exported(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    for name in ("ratings", "items", "raters"):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            file.writelines(csv_lines(getattr(tables, name), [column.name for column in TABLES[name]]))
    assert tables.protocol is not None
    (folder / "protocol.json").write_text(tables.protocol.canonical("simulated"), "utf-8")
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "export"))


def run(*arguments: Any) -> tuple[int, str, str]:
    """Exit code, output, errors of `dartboard analyse`."""
    done = CliRunner().invoke(app, ["analyse", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_an_export_is_read_as_it_was_written(exported: Path, tables: Tables) -> None:
    found = read_export(exported)
    assert list(found.ratings) == list(tables.ratings)
    assert list(found.items) == list(tables.items)
    assert list(found.raters) == list(tables.raters)
    assert found.protocol == tables.protocol


def test_the_command_says_what_the_function_says(exported: Path, tables: Tables) -> None:
    found = analyse(tables)
    code, out, err = run(exported, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(json.dumps(asdict(found)))
    text = StringIO()
    show(found, Console(file=text, width=120))
    assert found.verdict.sentence[:40] in text.getvalue()
    assert "gain of trained over null" in text.getvalue() and "None" not in text.getvalue()


def test_jsonl_says_the_same_as_csv(exported: Path, folder: Path, tables: Tables) -> None:
    for name in ("ratings", "items", "raters"):
        lines = [json.dumps(dict(row), ensure_ascii=False) for row in getattr(tables, name)]
        (folder / f"{name}.csv").unlink()
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    assert read_export(folder) == read_export(exported)


def test_an_export_of_a_store_gives_the_figures_of_the_results_page(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.sqlite'}"
    frozen = frozen_study(name="simulated-small", pages=24, pairs=8, catch=2, practice=1, guess=10, repeats=(0.1, 5))
    fill(url, frozen, Truth({"trained": 0.6, "random": 0.4}), raters=2, seed=0)
    store = StudyStore.open(url)
    protocol = Protocol.from_canonical(frozen.protocol)
    page = asdict(analyse(read(store, "simulated-small", protocol, None), resamples=100))
    write_folder(store, "simulated-small", tmp_path / "csv", "csv")
    write_folder(store, "simulated-small", tmp_path / "parquet", "parquet")
    store.dispose()
    for name in ("csv", "parquet"):
        assert asdict(analyse(read_export(tmp_path / name), resamples=100)) == page
    assert page["arms"][0]["answers"] == 24 and page["blinding"]["conditional"]["n"] > 0


def test_a_lone_file_takes_its_own_study_from_beside_it_and_no_other(folder: Path) -> None:
    assert read_export(folder / "ratings.csv").protocol == read_export(folder).protocol
    (folder / "protocol.json").write_text(PROTOCOL.canonical("another"), "utf-8")
    alone = read_export(folder / "ratings.csv")
    assert (alone.protocol, alone.items, alone.raters) == (None, (), ())
    code, out, err = run(folder / "ratings.csv")
    assert (code, err) == (0, "") and out.startswith("Not assessable: nobody declared which is the trained arm")
    roles = ("--trained", "trained", "--random", "random", "--null", "empty")
    found = json.loads(run(folder / "ratings.csv", *roles, "--json")[1])
    assert found["headline"]["gate"]["met"] is True
    assert any("was not declared" in note for note in found["verdict"]["notes"])
    assert (
        "There is no arm 'sae'; the arms are empty, random, trained." in run(folder / "ratings.csv", "--null", "sae")[2]
    )


def test_roles_that_the_protocol_declares_stand(exported: Path) -> None:
    assert run(exported, "--random", "trained")[0] == 2


def test_what_is_no_export_is_refused(folder: Path) -> None:
    with pytest.raises(NotFound, match="is not there"):
        read_export(folder / "other")
    with pytest.raises(UserError, match=r"should be a \.csv, \.jsonl or \.parquet"):
        read_export(folder / "protocol.json")
    ratings = folder / "ratings.csv"
    text = ratings.read_text("utf-8")
    first, *rest = text.splitlines()
    place = first.split(",").index("order")
    cells = rest[1].split(",")
    cells[place] = "third"
    for changed, says in (
        (text.replace(",", ";"), "lacks the columns"),
        ("\n".join([first, rest[0], ",".join(cells)]), "row 2: order is 'third'; it should be a whole number"),
        ("\n".join([first, rest[0] + ",more"]), "row 1: it has more or fewer cells"),
        ("\n".join([first, rest[0][:50]]), "row 1: it has more or fewer cells"),
        (first, None),
    ):
        ratings.write_text(changed, "utf-8")
        if says:
            with pytest.raises(UserError, match=says):
                read_export(folder)
        else:
            assert "nothing to analyse" in run(folder)[2]
    ratings.write_bytes(b"study\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_export(folder)
    ratings.unlink()
    with pytest.raises(NotFound, match=r"holds no ratings\.csv"):
        read_export(folder)


def test_a_protocol_that_was_changed_is_refused(folder: Path) -> None:
    (folder / "protocol.json").write_text(PROTOCOL.canonical("another"), "utf-8")
    with pytest.raises(UserError, match="does not have the SHA-256 that the ratings name"):
        read_export(folder)
