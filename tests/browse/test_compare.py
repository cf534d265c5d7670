"""Dictionaries side by side: which features are matched, the same texts under all, what only one of them has."""

import re
from itertools import pairwise

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.browse.compare import MATCHES, MOST
from app.browse.texts import KEPT, TEXTS, shared_texts
from app.store.features import Dictionary, Feature, FeatureFilter, FeatureStore
from tests.browse.conftest import text


def matched(client: TestClient, *names: str, **query: object) -> tuple[int, ...]:
    page = client.get("/compare", params={"d": names, **query})
    assert page.status_code == 200, page.text
    return tuple(int(index) for index in re.findall(r'<h2><a href="/dictionaries/[^"]+/features/(\d+)">', page.text))


@pytest.fixture(scope="module")
def two(store: FeatureStore, trained: Dictionary) -> tuple[Dictionary, Dictionary]:
    return next(dictionary for dictionary in store.dictionaries() if not dictionary.trained), trained


def ranking(store: FeatureStore, dictionary: Dictionary) -> list[Feature]:
    live = [feature for feature in store.features(dictionary.id) if feature.state == "live"]
    return sorted(live, key=lambda feature: (-feature.frequency, -feature.index))


@pytest.mark.parametrize("at", [0, 7])
def test_all_dictionaries_by_rank(client, store, at):
    dictionaries = store.dictionaries()
    expected = tuple(ranking(store, one)[at].index for one in dictionaries)
    assert len(dictionaries) == 3
    assert matched(client, *(one.name for one in dictionaries), by="rank", at=at) == expected


@pytest.mark.parametrize("at", [0, 7, 20])
def test_by_frequency_the_others_follow_the_first(client, store, two, at):
    first = ranking(store, two[0])[at]
    gaps = [abs(feature.frequency - first.frequency) for feature in ranking(store, two[1])]
    got = matched(client, two[0].name, two[1].name, by="frequency", at=at)
    assert got[0] == first.index
    assert abs(store.feature(two[1], got[1]).frequency - first.frequency) == min(gaps)


@pytest.mark.parametrize("at", [0, 20])
def test_by_direction_the_others_have_the_nearest_decoder_row(client, store, at):
    first, *others = reversed(store.dictionaries())
    feature = ranking(store, first)[at]
    near = {
        one.other_id: one.features[0] for one in store.relations(first.id, feature.index) if one.kind == "neighbour"
    }
    names = [first.name, *(one.name for one in others)]
    expected = (feature.index, *(near[one.id][0] for one in others))
    assert matched(client, *names, by="nearest", at=at) == expected
    page = text(client.get("/compare", params={"d": names, "by": "nearest", "at": at}).text)
    for one in others:
        assert f"Cosine {near[one.id][1]:.2f}" in page


def test_one_feature_is_found_among_the_matches(client, store, two):
    features = ranking(store, two[1])
    for at in (0, 9, len(features) - 1):
        address = "/compare?" + f"d={two[1].name}&d={two[0].name}&by=nearest"
        answer = client.get(f"{address}&feature={features[at].index}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{address}&at={at}")
    never = store.features(two[1].id, where=FeatureFilter(state="never"), limit=1)[0]
    answer = client.get(f"/compare?d={two[1].name}&feature={never.index}")
    assert answer.status_code == 404
    assert f'href="/dictionaries/{two[1].name}/features/{never.index}"' in answer.text


def test_random_matches_follow_their_seed(client, store, two):
    def draw(seed: int, at: int) -> tuple[int, ...]:
        return matched(client, two[0].name, two[1].name, two[0].name, by="random", seed=seed, at=at)

    assert draw(3, 1) == draw(3, 1)
    draws = {draw(seed, at) for seed in (3, 4) for at in range(5)}
    assert len(draws) > 5
    for drawn in draws:
        for dictionary, index in zip((two[0], two[1], two[0]), drawn, strict=True):
            assert store.feature(dictionary, index).state == "live"


def test_by_default_an_untrained_dictionary_stands_beside_a_trained_one(client, two):
    page = client.get("/compare").text
    assert f"<title>{two[0].title} beside {two[1].title} ·" in page
    page = client.get("/compare", params={"d": two[1].name}).text
    assert f"<title>{two[1].title} beside {two[0].title} ·" in page


def test_older_addresses_and_forms_lead_to_the_one_address_of_a_comparison(client, two):
    expected = f"/compare?d={two[0].name}&d={two[1].name}&by=rank&at=2"
    for query in (f"left={two[0].name}&right={two[1].name}&at=2", f"d={two[0].name}&d={two[1].name}&d=&at=2&seed="):
        answer = client.get(f"/compare?{query}")
        assert (answer.status_code, answer.headers["location"]) == (303, expected)
    assert client.get(expected).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"by": "fate"}, 422, "“by”"),
        ({"at": "-1"}, 422, "“at”"),
        ({"seed": "x"}, 422, "“seed”"),
        ({"d": ["topk-sae"] * (MOST + 1)}, 422, "5 dictionaries do not fit"),
        ({"at": "99999999"}, 404, "There is no match 100000000"),
        ({"feature": "99999999"}, 404, "and the nearest is"),
        ({"d": "nothing"}, 404, "There is no dictionary “nothing”"),
    ],
)
def test_a_comparison_that_cannot_be_made_says_why(client, query, status, words):
    answer = client.get("/compare", params=query)
    assert answer.status_code == status
    assert words in answer.text


def test_the_same_texts_stand_under_all_features(client, store, two):
    features = [ranking(store, one)[3] for one in two]
    found = shared_texts(store, features)
    kept = [
        {hit.context: hit for group in KEPT for hit in store.hits(feature.dictionary_id, feature.index, group)}
        for feature in features
    ]
    tops = [[hit.context for hit in store.hits(feature.dictionary_id, feature.index)] for feature in features]
    assert len(found) == len({one.context for one in found}) == TEXTS
    for one in found:
        assert one.context in tops[one.source]
        for reading, hits in zip(one.readings, kept, strict=True):
            assert reading.peak == (hits[one.context].value if one.context in hits else None)
            assert (
                one.context in hits or "hl-" not in reading.text
            )  # what fires may lie outside the piece that is shown
    coverage = [sum(reading.peak is not None for reading in one.readings) for one in found]
    assert all(before >= after for before, after in pairwise(coverage))
    page = client.get("/compare", params={"d": [one.name for one in two], "by": "rank", "at": 3}).text
    for one in found:
        assert all(reading.text in page for reading in one.readings)


def test_what_the_others_lack_is_what_lies_farthest_from_them(client, store, two):
    page = client.get("/compare/lacking", params={"d": [two[1].name, two[0].name]}).text
    section = page.partition(f'aria-label="Only in {two[1].title}"')[2].partition("</section>")[0]
    near = store.nearest(two[1].id, two[0].id)
    live = {feature.index for feature in ranking(store, two[1])}
    cosine = {
        int(index): float(value) for index, value in zip(near.feature, near.cosine, strict=True) if int(index) in live
    }
    shown = [int(index) for index in re.findall(r"feature=(\d+)", section)]
    ordered = sorted(cosine, key=lambda index: (cosine[index], index))
    assert shown[:8] == ordered[:8]
    assert [cosine[index] for index in shown[8:]] == [cosine[index] for index in ordered[::-1][:8]]
    assert f"Median {np.median(list(cosine.values())):.2f}" in text(section)
    above = sum(value >= 0.5 for value in cosine.values()) / len(cosine)
    assert f"{100 * above:.1f}% have one at 0.5 or above" in text(section)


def test_every_way_to_match_is_offered(client):
    page = client.get("/compare").text
    assert re.findall(r'<option value="(\w+)"', page.partition('name="by"')[2].partition("</select>")[0]) == list(
        MATCHES
    )
