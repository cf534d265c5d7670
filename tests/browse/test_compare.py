"""Pairs of features: by rank, by frequency, by a seed."""

import re

import pytest
from starlette.testclient import TestClient

from app.store.features import Dictionary, Feature, FeatureStore


def pair(client: TestClient, **query: object) -> tuple[int, int]:
    page = client.get("/compare", params=query)
    assert page.status_code == 200, page.text
    left, right = re.findall(r'<h2><a href="/dictionaries/[^"]+/features/(\d+)">', page.text)
    return int(left), int(right)


@pytest.fixture(scope="module")
def two(store: FeatureStore, trained: Dictionary) -> tuple[Dictionary, Dictionary]:
    return next(dictionary for dictionary in store.dictionaries() if not dictionary.trained), trained


def ranking(store: FeatureStore, dictionary: Dictionary) -> list[Feature]:
    live = [feature for feature in store.features(dictionary.id) if feature.state == "live"]
    return sorted(live, key=lambda feature: (-feature.frequency, feature.index))


@pytest.mark.parametrize("at", [0, 7])
def test_pairs_by_rank(client, store, two, at):
    expected = tuple(ranking(store, dictionary)[at].index for dictionary in two)
    assert pair(client, left=two[0].name, right=two[1].name, by="rank", at=at) == expected


@pytest.mark.parametrize("at", [0, 7, 20])
def test_pairs_by_frequency(client, store, two, at):
    left = ranking(store, two[0])[at]
    gaps = [abs(feature.frequency - left.frequency) for feature in ranking(store, two[1])]
    got = pair(client, left=two[0].name, right=two[1].name, by="frequency", at=at)
    assert got[0] == left.index
    assert abs(store.feature(two[1], got[1]).frequency - left.frequency) == min(gaps)


def test_random_pairs_follow_their_seed(client, store, two):
    def draw(seed: int, at: int) -> tuple[int, int]:
        return pair(client, left=two[0].name, right=two[1].name, by="random", seed=seed, at=at)

    assert draw(3, 1) == draw(3, 1)
    draws = {draw(seed, at) for seed in (3, 4) for at in range(5)}
    assert len(draws) > 5
    for left, right in draws:
        assert store.feature(two[0], left).state == store.feature(two[1], right).state == "live"


def test_by_default_an_untrained_dictionary_stands_beside_a_trained_one(client, two):
    page = client.get("/compare").text
    assert f"<title>{two[0].title} beside {two[1].title} ·" in page
    page = client.get("/compare", params={"left": two[1].name}).text
    assert f"<title>{two[1].title} beside {two[0].title} ·" in page


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"by": "fate"}, 422, "“by”"),
        ({"at": "-1"}, 422, "“at”"),
        ({"seed": "x"}, 422, "“seed”"),
        ({"at": "99999999"}, 404, "There is no pair 100000000"),
        ({"left": "nothing"}, 404, "There is no dictionary “nothing”"),
    ],
)
def test_a_comparison_that_cannot_be_made_says_why(client, query, status, words):
    answer = client.get("/compare", params=query)
    assert answer.status_code == status
    assert words in answer.text
