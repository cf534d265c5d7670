"""The JSON API says what the store says, page by page, and spares a client what it already has."""

from dataclasses import asdict

import pytest

from app.api import etag_matches
from app.browse.rows import GROUPS
from app.store.features import Dictionary, FeatureFilter, FeatureStore


@pytest.fixture(scope="session")
def dictionary(store: FeatureStore) -> Dictionary:
    return store.dictionaries()[0]


def test_the_list_of_dictionaries(client, store):
    assert client.get("/api/dictionaries").json() == {
        "sites": [asdict(site) for site in store.sites()],
        "dictionaries": [asdict(dictionary) for dictionary in store.dictionaries()],
    }


def test_one_dictionary_with_its_site_and_states(client, store, dictionary):
    found = client.get(f"/api/dictionaries/{dictionary.name}").json()
    assert found.pop("site")["id"] == dictionary.site_id
    assert sum(found.pop("states").values()) == dictionary.m
    compared = {one.other_id for one in store.comparisons() if one.dictionary_id == dictionary.id}
    assert set(found.pop("comparisons")) == {other.name for other in store.dictionaries() if other.id in compared}
    assert found == asdict(dictionary)


def test_following_next_lists_every_feature_of_a_filter_once(client, store, dictionary):
    address, found = f"/api/dictionaries/{dictionary.name}/features?state=live&sort=max&order=asc", []
    while address:
        page = client.get(address).json()
        found += page["features"]
        address = page["next"]
    expected = store.features(dictionary.id, where=FeatureFilter(state="live"), sort="max")
    assert len(expected) == page["total"]
    assert [{"dictionary_id": dictionary.id, **feature} for feature in found] == [asdict(f) for f in expected]


def test_one_feature_has_all_its_contexts(client, store, dictionary):
    feature = store.features(dictionary.id, where=FeatureFilter(state="live"), limit=1)[0]
    found = client.get(f"/api/dictionaries/{dictionary.name}/features/{feature.index}").json()
    assert found["dictionary"] == dictionary.name
    assert found["max"] == feature.max
    assert list(found["groups"]) == list(GROUPS)
    for group, listed in found["groups"].items():
        hits = store.hits(dictionary.id, feature.index, group)
        contexts = store.contexts(hit.context for hit in hits)
        assert [hit["context"] for hit in listed] == [hit.context for hit in hits]
        for hit, stored in zip(listed, hits, strict=True):
            assert hit["tokens"] == contexts[stored.context].tokens
            assert hit["activations"] == [list(pair) for pair in zip(stored.positions, stored.values, strict=True)]
            assert max(hit["activations"], key=lambda pair: pair[1])[1] == hit["value"] == stored.value


def test_a_client_that_has_it_already_gets_nothing_more(client, dictionary):
    address = f"/api/dictionaries/{dictionary.name}"
    first = client.get(address)
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert client.get(address, headers={"If-None-Match": '"something else"'}).content == first.content
    assert client.get("/api/dictionaries").headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize(
    ("header", "matches"),
    [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("", False), ("a", False)],
)
def test_if_none_match(header, matches):
    assert etag_matches(header, '"a"') is matches


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/dictionaries/nothing", 404, "There is no dictionary “nothing”"),
        ("/api/dictionaries/{name}/features/99999999", 404, "and the nearest is"),
        ("/api/dictionaries/{name}/features?page=0", 404, "There is no page 0 of this list; the last is"),
        ("/api/dictionaries/{name}/features?page=99999", 404, "There is no page 99999"),
        ("/api/dictionaries/{name}/features?sort=fame", 422, "“sort” in the address is"),
    ],
)
def test_errors_are_one_sentence_in_json(client, dictionary, path, status, words):
    answer = client.get(path.format(name=dictionary.name))
    assert answer.status_code == status
    assert words in answer.json().get("error", "")
