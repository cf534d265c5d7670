"""features.csv: every feature of a study's dictionaries, in three formats that say the same, and nothing of what was shown."""

import csv
import io
from pathlib import Path

import pytest
from pyarrow import parquet
from sqlalchemy import create_engine, insert

from app.codebook import FEATURES
from app.export import finite, unguard
from app.store import score_schema as t
from app.store.features import FeatureStore
from app.store.study import StudyStore
from app.tables import write_folder
from tests.studies import frozen_study, open_store
from tests.web import STUDY, frozen


@pytest.fixture
def store(small_store: Path, tmp_path: Path):
    opened = open_store(f"sqlite:///{tmp_path / 'study.sqlite'}")
    opened.freeze(frozen(small_store), "ada")
    yield opened
    opened.dispose()


def csv_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def test_every_feature_of_the_arms_dictionaries(store: StudyStore, features: FeatureStore, tmp_path: Path) -> None:
    names = [path.name for path in write_folder(store, STUDY, tmp_path / "out", "csv", "parquet", features=features)]
    assert {"features.csv", "features.parquet", "ratings.csv", "ratings.parquet", "codebook.csv"} <= set(names)
    rows = csv_rows(tmp_path / "out" / "features.csv")
    fixed = [column.name for column in FEATURES]
    assert list(rows[0])[: len(fixed)] == fixed
    study = store.study(STUDY)
    arms = {name: arm["name"] for arm in study.protocol["arms"] for name in arm["dictionaries"]}
    assert {(row["dictionary"], row["arm"]) for row in rows} == set(arms.items())
    for name in arms:
        dictionary = features.dictionary(name)
        own = [row for row in rows if row["dictionary"] == name]
        assert [int(row["feature"]) for row in own] == list(range(dictionary.m))
        stored = features.feature(dictionary, 7)
        assert (own[7]["state"], float(own[7]["frequency"]), own[7]["m"]) == (
            stored.state,
            stored.frequency,
            str(dictionary.m),
        )
    assert {row["protocol_hash"] for row in rows} == {study.protocol_hash}
    book = csv_rows(tmp_path / "out" / "codebook.csv")
    assert [row["column"] for row in book if row["table"] == "features"] == list(rows[0])
    typed = parquet.read_table(tmp_path / "out" / "features.parquet").to_pylist()
    assert [row["frequency"] for row in typed] == [float(row["frequency"]) for row in rows]
    assert [row["top_token"] for row in typed] == [unguard(row["top_token"]) for row in rows]


def test_the_reveal_changes_no_row(store: StudyStore, features: FeatureStore, tmp_path: Path) -> None:
    write_folder(store, STUDY, tmp_path / "before", "csv", features=features)
    store.close(STUDY, "ada")
    store.reveal(STUDY, "ada")
    write_folder(store, STUDY, tmp_path / "after", "csv", features=features)
    before, after = ((tmp_path / when / "features.csv").read_bytes() for when in ("before", "after"))
    assert before == after


def test_another_feature_store_gives_no_table(store: StudyStore, features: FeatureStore, tmp_path: Path) -> None:
    store.freeze(frozen_study(name="elsewhere"), "ada")
    written = write_folder(store, "elsewhere", tmp_path / "out", "csv", features=features)
    assert "features.csv" not in [path.name for path in written]
    assert "features" not in {row["table"] for row in csv_rows(tmp_path / "out" / "codebook.csv")}


@pytest.mark.parametrize(("value", "cell"), [(float("nan"), None), (float("inf"), None), (0.0, 0.0), ("x", "x")])
def test_what_is_no_number_is_an_empty_cell(value: object, cell: object) -> None:
    assert finite(value) == cell


def test_machine_scores_follow_the_facts(store: StudyStore, data_folder: Path, tmp_path: Path) -> None:
    features = FeatureStore(data_folder / "features.sqlite")
    study = store.study(STUDY)
    name = study.protocol["arms"][0]["dictionaries"][0]
    scored(data_folder / "scores.sqlite", features, features.dictionary(name).id)
    written = write_folder(store, STUDY, tmp_path / "out", "csv", "parquet", features=features)
    assert "features.csv" in [path.name for path in written]
    rows = csv_rows(tmp_path / "out" / "features.csv")
    added = list(rows[0])[len(FEATURES) :]
    assert added == ["score_token_entropy", "null_token_entropy", "explanation"]
    [row] = [row for row in rows if row["score_token_entropy"]]
    assert (row["dictionary"], row["feature"]) == (name, "7")
    assert [row[column] for column in added] == ["1.25", "2.5", "'=words for colours"]
    book = {row["column"]: row["meaning"] for row in csv_rows(tmp_path / "out" / "codebook.csv")}
    assert book["score_token_entropy"] == "machine score, entropy: how spread its peaks are."
    features.close()


def scored(path: Path, features: FeatureStore, dictionary: int) -> None:
    """A file of scores with one measure of feature 7 of a dictionary."""
    engine = create_engine(f"sqlite:///{path}")
    t.metadata.create_all(engine)
    build_key = features.provenance().get("build_key")
    with engine.begin() as connection:
        connection.execute(insert(t.provenance).values(key="feature_store", value={"build_key": build_key}))
        connection.execute(
            insert(t.measure).values(
                name="token-entropy", place=0, source="tokens", title="entropy", meaning="how spread its peaks are."
            )
        )
        of = {"dictionary_id": dictionary, "feature": 7}
        connection.execute(insert(t.score).values(**of, measure="token-entropy", value=1.25, null_value=2.5))
        words = {"text": "=words for colours", "model": "m", "prompt_version": "1"}
        counts = dict.fromkeys(("unreadable", "answers", "prompt_tokens", "completion_tokens"), 0)
        connection.execute(insert(t.explanation).values(**of, **words, **counts))
        connection.exec_driver_sql(f"PRAGMA application_id = {t.APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {t.SCHEMA_VERSION}")
    engine.dispose()
