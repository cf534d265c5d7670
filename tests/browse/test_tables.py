"""What the tables of a build add to the pages and the API, against rows that the test wrote; and pages without them."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.render import figure, percent
from app.store.features import Dictionary, FeatureFilter, FeatureStore
from app.store.packing import pack_related
from tests.browse.conftest import text, visitor
from tests.conftest import copy_store

NEAR = {"own": ([3, 1], [0.91, -0.25]), "other": ([2], [0.5])}
OUTPUTS = {"top": [["<b>", 3.14], [" the", 2.5]], "bottom": [["\n", -1.5], [" of", -1.25]]}
CURVES = {
    "quantiles": [0.0, 0.05, 0.5, 0.95, 1.0],
    "1": [0.1, 0.21, 0.32, 0.43, 0.9],
    "10": [0.0, 0.01, 0.12, 0.23, 0.3],
}


@pytest.fixture(scope="module")
def folder(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small store: feature 0 of its first dictionary has all tables, nothing else has any."""
    folder = copy_store(small_store, tmp_path_factory.mktemp("tables") / "data")
    with closing(sqlite3.connect(folder / "features.sqlite")) as connection, connection:
        connection.execute("DELETE FROM relation")
        connection.execute("DELETE FROM comparison")
        connection.execute("UPDATE feature SET outputs = NULL, second_frequency = NULL, second_stability = NULL")
        figures = ("mse", "floor_isotropic", "floor_covariance", "ce_recovered", "kl_score")
        connection.execute(f"UPDATE dictionary SET {', '.join(f'{name} = NULL' for name in figures)}")
        connection.execute("UPDATE site SET second_corpus = NULL, second_tokens = NULL, drift = NULL")
        own, other = (row[0] for row in connection.execute("SELECT id FROM dictionary ORDER BY id LIMIT 2"))
        for kind, value in (("neighbour", 1.0), ("cofiring", 0.1)):
            for target, (features, values) in ((own, NEAR["own"]), (other, NEAR["other"])):
                blob = pack_related(np.array([features]), np.array([values], np.float32) * value)[0]
                connection.execute("INSERT INTO relation VALUES (?, 0, ?, ?, ?)", (own, target, kind, blob))
        connection.execute(
            'UPDATE feature SET outputs = ? WHERE dictionary_id = ? AND "index" = 0', (json.dumps(OUTPUTS), own)
        )
        for ids, mmcs in (((own, own), 0.4), ((own, other), 0.3), ((other, own), 0.2)):
            connection.execute("INSERT INTO comparison VALUES (?, ?, ?, ?)", (*ids, mmcs, json.dumps(CURVES)))
        connection.execute(
            "UPDATE dictionary SET mse = 0.0123, floor_isotropic = 0.111, floor_covariance = 0.222, ce_recovered = 0.987,"
            " kl_score = -0.05 WHERE id = ?",
            (own,),
        )
    return folder


@pytest.fixture(scope="module")
def tabled(folder: Path) -> Iterator[TestClient]:
    with visitor(folder) as client:
        yield client


@pytest.fixture(scope="module")
def dictionaries(folder: Path) -> list[Dictionary]:
    return FeatureStore(folder / "features.sqlite").dictionaries()


def test_a_feature_page_names_what_is_near_it(tabled: TestClient, dictionaries: list[Dictionary]) -> None:
    page = tabled.get(f"/dictionaries/{dictionaries[0].name}/features/0").text
    nearest, partners = page.partition('id="nearest"')[2].split('id="partners"')
    for section, scale in ((nearest, 1.0), (partners, 0.1)):
        places = []
        for dictionary, (features, values) in zip(dictionaries, NEAR.values(), strict=False):
            for feature, value in zip(features, values, strict=True):
                there = "" if dictionary.id == dictionaries[0].id else f"../../{dictionary.name}/features/"
                link = f"<a href={there}{feature}>{feature}</a>"
                places.append(section.index(link))
                assert figure(float(np.float32(value) * np.float32(scale)), 2) in section
        assert places == sorted(places)


def test_a_feature_page_shows_output_tokens_as_text(tabled: TestClient, dictionaries: list[Dictionary]) -> None:
    page = tabled.get(f"/dictionaries/{dictionaries[0].name}/features/0").text
    section = page.partition('id="outputs"')[2].partition("</section>")[0]
    assert "&lt;b&gt;" in section
    assert "<b>" not in section
    shown = text(section)
    for word in ("the 2.5", "↵ −1.5", "of −1.2"):
        assert word in shown
    assert shown.index("Raises most") < shown.index("the 2.5") < shown.index("Lowers most") < shown.index("↵")


def test_a_dictionary_page_shows_every_figure(tabled: TestClient, dictionaries: list[Dictionary]) -> None:
    own = dictionaries[0]
    page = text(tabled.get(f"/dictionaries/{own.name}").text)
    for name, value in (
        ("Variance explained", percent(own.fve)),
        ("Isotropic floor", "11.1%"),
        ("Matched floor", "22.2%"),
        ("Mean squared error", "0.0123"),
        ("Cross-entropy recovered", "98.7%"),
        ("KL score", "−5.0%"),
        ("Above 1%", percent(own.above_1pct)),
        ("Above 10%", percent(own.above_10pct)),
    ):
        assert f"{name} {value}" in page
    assert "itself 0.400 0.32 0.21 – 0.43 0.12 0.01 – 0.23 —" in page.replace("–", " – ").replace("  ", " ")
    assert f"{dictionaries[1].title} 0.300 0.200 0.32" in page


def test_pages_without_tables_say_why(tabled: TestClient, dictionaries: list[Dictionary], folder: Path) -> None:
    other = dictionaries[2]
    store = FeatureStore(folder / "features.sqlite")
    live = store.features(other.id, where=FeatureFilter(state="live"), limit=1)[0]
    page = text(tabled.get(f"/dictionaries/{other.name}/features/{live.index}").text)
    for words in (
        "— This build made no table of output tokens.",
        "— None: this build compared no directions",
        "— None: where this was counted",
        "On a second text — the build names none",
    ):
        assert words in page
    page = text(tabled.get(f"/dictionaries/{other.name}").text)
    for words in (
        "Isotropic floor — this build did not measure it",
        "KL score — this build did not measure it",
        "— This build compared no dictionaries.",
        "second corpus — none was named",
    ):
        assert words in page


def test_a_feature_with_two_tails_and_a_second_text_has_a_place_for_each(data_folder: Path) -> None:
    path = data_folder / "features.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE feature SET min = NULL, second_frequency = 0.013, second_stability = 0.75")
        connection.execute("UPDATE feature SET min = -3.5 WHERE dictionary_id = 0")
        connection.execute("UPDATE site SET second_corpus = 'another <text>', second_tokens = 1000")
    store = FeatureStore(path)
    with visitor(data_folder) as client:
        for dictionary in store.dictionaries():
            live = store.features(dictionary.id, where=FeatureFilter(state="live"), limit=1)[0]
            address = f"/dictionaries/{dictionary.name}/features/{live.index}"
            page = client.get(address).text
            tails = dictionary.id == 0
            assert ("Minimum −3.50" in text(page)) == ("Negative tail" in page) == tails
            assert (f'<a href="{address}/groups/bottom">' in page) == tails
            assert f'<a href="{address}/groups/second">' in page
            assert "1.3% of tokens; stability 0.75" in text(page)
            assert "another &lt;text&gt;" in page
            for group, title in (("bottom", "Negative tail"), ("second", "Second text")):
                assert f"<h1>{title}</h1>" in client.get(f"{address}/groups/{group}").text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("decoder = 'none', fve = NULL, fve_fit = NULL, kl_score = NULL", "Variance explained — it has no decoder"),
        ("decoder = 'own', fve = NULL, fve_fit = NULL", "Variance explained — its decoder writes something else"),
        ("ce_recovered = NULL, kl_score = 0.5", "Cross-entropy recovered — there is nothing to recover"),
        ("k = NULL, rule = 'relu'", "at layer 15. Random feature"),
    ],
)
def test_a_figure_that_cannot_be_says_why(data_folder: Path, change: str, words: str) -> None:
    with closing(sqlite3.connect(data_folder / "features.sqlite")) as connection, connection:
        connection.execute(f"UPDATE dictionary SET ce_recovered = NULL, {change}")
        name = connection.execute("SELECT name FROM dictionary").fetchone()[0]
    with visitor(data_folder) as client:
        assert client.get("/").status_code == 200
        assert words in text(client.get(f"/dictionaries/{name}").text)


def test_the_api_gives_the_tables(tabled: TestClient, dictionaries: list[Dictionary]) -> None:
    own, other = dictionaries[:2]
    found = tabled.get(f"/api/dictionaries/{own.name}/features/0").json()
    assert found["outputs"] == OUTPUTS
    assert found["neighbour"] == {
        own.name: [[3, pytest.approx(0.91)], [1, pytest.approx(-0.25)]],
        other.name: [[2, pytest.approx(0.5)]],
    }
    assert [feature for feature, _ in found["cofiring"][own.name]] == [3, 1]
    compared = tabled.get(f"/api/dictionaries/{own.name}").json()["comparisons"]
    assert compared == {own.name: {"mmcs": 0.4, "curves": CURVES}, other.name: {"mmcs": 0.3, "curves": CURVES}}
