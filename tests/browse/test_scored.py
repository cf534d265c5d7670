"""Lists by machine score and by stars: what they hold, and what they say where there is none."""

import random
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert

from app.browse.listing import PAGE_SIZE
from app.store import score_schema
from app.store.features import FeatureStore
from app.store.shelf import Place, Shelf
from tests.browse.conftest import text, visitor
from tests.browse.test_lists import indices
from tests.conftest import copy_store

MEASURE = "token_auroc"


def score(folder: Path, seed: int, build_key: object = None) -> dict[int, float]:
    """Write scores of two in three features of the first dictionary beside the store; they are returned."""
    store = FeatureStore(folder / "features.sqlite")
    values = {n: round(random.Random(seed + n).random(), 6) for n in range(store.dictionaries()[0].m) if n % 3}
    path = folder / "new.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    score_schema.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA application_id = {score_schema.APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {score_schema.SCHEMA_VERSION}")
        key = build_key or store.provenance().get("build_key")
        connection.execute(
            insert(score_schema.provenance).values(key="feature_store", value={"build_key": key, "digest": ""})
        )
        connection.execute(
            insert(score_schema.measure).values(
                name=MEASURE, place=0, source="tokens", title="Told by tokens", meaning="How well …", chance=0.5
            )
        )
        rows = [
            {"dictionary_id": 0, "feature": n, "measure": MEASURE, "value": value, "null_value": 0.25}
            for n, value in values.items()
        ]
        connection.execute(insert(score_schema.score), rows)
    engine.dispose()
    store.close()
    path.replace(folder / "scores.sqlite")
    return values


@pytest.fixture(scope="module")
def folder(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_store(small_store, tmp_path_factory.mktemp("scored") / "data")


def test_a_list_by_score_holds_what_has_one_and_follows_a_new_file(folder):
    with visitor(folder) as client:
        name = FeatureStore(folder / "features.sqlite").dictionaries()[0].name
        assert "dartboard scores" in client.get(f"/dictionaries/{name}").text
        answer = client.get(f"/dictionaries/{name}?score={MEASURE}")
        assert answer.status_code == 422
        assert "make some with" in answer.text
        for seed in (1, 2):  # the second replaces the first under the server
            values = score(folder, seed)
            ordered = sorted(values, key=lambda n: (-values[n], -n))
            page = client.get(f"/dictionaries/{name}?score={MEASURE}&sort=score")
            assert indices(page.text) == ordered[:PAGE_SIZE]
            assert f"{values[ordered[0]]:.3f}" in text(page.text)
            assert "random contexts in place of its own: 0.250" in page.text
            low = client.get(f"/dictionaries/{name}?score={MEASURE}&max_score=0.2&sort=index&order=asc&state=live").text
            store = FeatureStore(folder / "features.sqlite")
            live = {one.index for one in store.features(0) if one.state == "live"}
            assert indices(low) == [n for n in sorted(values) if values[n] <= 0.2 and n in live][:PAGE_SIZE]
            assert (
                f'href="/dictionaries/{name}?sort=index&amp;order=asc&amp;state=live#features"' in low
            )  # without the score
        answer = client.get(f"/dictionaries/{name}?score=fame")
        assert answer.status_code == 422
        assert f"it has {MEASURE}" in answer.text
        for query in ("sort=score", "min_score=0.5"):
            assert client.get(f"/dictionaries/{name}?{query}").status_code == 422
        (folder / "scores.sqlite").unlink()
        assert client.get(f"/dictionaries/{name}").status_code == 200
        assert client.get(f"/dictionaries/{name}?score={MEASURE}").status_code == 422


def test_scores_of_other_features_are_not_shown(folder):
    score(folder, 1, build_key="another")
    with visitor(folder) as client:
        name = FeatureStore(folder / "features.sqlite").dictionaries()[0].name
        page = client.get(f"/dictionaries/{name}")
        assert page.status_code == 200
        assert "holds scores of another feature store" in text(page.text)
        (folder / "scores.sqlite").write_text("no database")
        assert "is not a file of dartboard’s scores" in client.get(f"/dictionaries/{name}").text.replace("&#39;", "’")
    (folder / "scores.sqlite").unlink()


def test_a_list_of_starred_features_is_that_of_whoever_is_signed_in(folder):
    with visitor(folder) as client:
        dictionary = FeatureStore(folder / "features.sqlite").dictionaries()[0]
        address = f"/dictionaries/{dictionary.name}"
        answer = client.get(f"{address}?stars=yes")
        assert answer.status_code == 401
        assert "dartboard login" in answer.text
        assert 'name="stars"' not in client.get(address).text
        study = client.app.state.study
        shelf = Shelf(study)
        for owner, feature in (("ada", 7), ("ada", 31), ("bob", 9)):
            shelf.star(owner, Place(dictionary.name, feature, dictionary.weights_hash), True)
        assert client.post(f"/login/{study.login_link('analyst', 'ada', 10, 'test')}").status_code == 303
        page = client.get(f"{address}?stars=yes&sort=index&order=asc").text
        assert indices(page) == [7, 31]
        assert page.count('aria-label="starred"') == 2
        assert 'name="stars"' in page
        assert "No feature passes" in client.get(f"{address}?stars=yes&min_max=1e9").text
