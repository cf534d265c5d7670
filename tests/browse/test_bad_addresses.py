"""Addresses that lead nowhere, stores that are missing or dead, texts that attack."""

import sqlite3
from contextlib import closing

import pytest

from app.browse import compare
from app.store.features import FeatureFilter, FeatureStore
from tests.browse.conftest import addresses, visitor


@pytest.mark.parametrize(
    ("index", "nearest"),
    [("-5", 0), ("-", 0), ("one", 0), ("1e3", 0), ("٣", 0), ("1000000", None), ("9" * 6000, None), ("-" + "9" * 50, 0)],
)
def test_a_feature_that_is_not_there_leads_to_the_nearest(client, trained, index, nearest):
    answer = client.get(f"/dictionaries/{trained.name}/features/{index}")
    assert answer.status_code == 404
    nearest = trained.m - 1 if nearest is None else nearest
    assert f'href="/dictionaries/{trained.name}/features/{nearest}"' in answer.text
    assert f"and the nearest is {nearest}." in answer.text


def test_a_dictionary_that_is_not_there_leads_to_the_most_similar(client, trained):
    answer = client.get(f"/dictionaries/{trained.name}s")
    assert answer.status_code == 404
    assert f'href="/dictionaries/{trained.name}"' in answer.text


def test_a_hostile_name_is_shown_as_text(client):
    answer = client.get("/dictionaries/<script>alert(1)<%2Fscript>")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text
    answer = client.get('/dictionaries/"><img src=x>')
    assert "<img" not in answer.text


def test_a_group_that_is_not_there_names_those_that_are(client, trained, live):
    answer = client.get(f"/dictionaries/{trained.name}/features/{live.index}/groups/q9")
    assert answer.status_code == 404
    assert "top, q1, q2, q3, q4, q5" in answer.text


def test_without_a_store_the_pages_say_which_command_to_run(tmp_path):
    with visitor(tmp_path) as client:
        first = client.get("/")
        assert first.status_code == 200
        assert "dartboard build BUILD.toml" in first.text
        for address in ("/dictionaries/any", "/dictionaries/any/features/0", "/compare", "/api/dictionaries"):
            answer = client.get(address)
            assert answer.status_code == 404
            assert "dartboard build BUILD.toml" in answer.text


def test_a_store_without_a_live_feature_still_has_its_pages(data_folder):
    """A copy of the real store in which every feature fires never, as after a dictionary died in training."""
    with sqlite3.connect(data_folder / "features.sqlite") as connection:
        connection.execute("DELETE FROM hit")
        connection.execute(
            "UPDATE feature SET state = 'never', count = 0, frequency = 0, contexts = 0, max = 0, mean = 0, peak_entropy = 0,"
            """ single_token = 0, top_token = '', histogram = '{"first": 0, "counts": []}'"""
        )
    connection.close()
    with visitor(data_folder) as client:
        name = FeatureStore(data_folder / "features.sqlite").dictionaries()[0].name
        for address in ("/", f"/dictionaries/{name}", f"/dictionaries/{name}/features/0"):
            assert client.get(address).status_code == 200
        assert client.get(f"/dictionaries/{name}/random").status_code == 404
        for by in compare.MATCHES:
            answer = client.get(f"/compare?by={by}")
            assert answer.status_code == 200
            assert "no live feature to match" in answer.text
        assert "none of them has a live feature" in client.get("/compare/lacking").text


def test_hostile_tokens_and_titles_are_shown_as_text(data_folder):
    """A copy of the real store whose texts were replaced by an attack: nothing of it becomes markup."""
    attack = "</span></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    with sqlite3.connect(data_folder / "features.sqlite") as connection:
        connection.execute("UPDATE document SET title = ?", (attack,))
        connection.execute("UPDATE dictionary SET title = ?", (attack,))
        connection.execute("UPDATE site SET corpus = ?", (attack,))
        connection.execute("UPDATE feature SET top_token = ? WHERE state = 'live'", (attack,))
        connection.execute("UPDATE context SET tokens = (SELECT json_group_array(?) FROM json_each(tokens))", (attack,))
    connection.close()
    store = FeatureStore(data_folder / "features.sqlite")
    dictionary = store.dictionaries()[0]
    feature = store.features(dictionary.id, where=FeatureFilter(state="live"), limit=1)[0]
    with visitor(data_folder) as client:
        for address in addresses(store, dictionary, feature):
            page = client.get(address)
            assert page.status_code == 200
            assert "<script>alert" not in page.text, address
            assert "<img" not in page.text, address
            assert "&lt;script&gt;" in page.text, address


def test_a_store_that_is_replaced_under_the_server_is_read_anew(data_folder):
    """Every page, and what was worked out of the old store and kept."""
    path = data_folder / "features.sqlite"
    with visitor(data_folder) as client:
        name, m = client.get("/api/dictionaries").json()["dictionaries"][0]["name"], 40
        addresses = (
            "/",
            f"/dictionaries/{name}",
            f"/compare?d={name}&d={name}&by=rank&at=0",
            f"/dictionaries/{name}?page=1",
        )
        before = [client.get(address).text for address in addresses]
        other = data_folder / "other.sqlite"
        other.write_bytes(path.read_bytes())
        with closing(sqlite3.connect(other)) as connection, connection:
            connection.execute("UPDATE dictionary SET title = 'Another one', m = ? WHERE id = 0", (m,))
            for table, column in (("feature", '"index"'), ("hit", "feature"), ("relation", "feature")):
                connection.execute(f"DELETE FROM {table} WHERE dictionary_id = 0 AND {column} >= ?", (m,))
        other.replace(path)
        after = [client.get(address) for address in addresses]
        for address, old, new in zip(addresses, before, after, strict=True):
            assert new.status_code == 200, address
            assert "Another one" in new.text, address
            assert "Another one" not in old, address
        assert f"of {m}<" in after[1].text
        assert client.get(f"/dictionaries/{name}?page=2").status_code == 404
        answer = client.get(f"/dictionaries/{name}/features/{m}")
        assert answer.status_code == 404
        assert f"and the nearest is {m - 1}." in answer.text
