"""Neuronpedia's bulk files: the store's own figures in them. That they can be read there: test_neuronpedia_import."""

import gzip
import json

import pytest

from app.errors import NotFound
from app.neuronpedia import BATCH, Creator, slug, write_export
from app.store.features import FeatureStore
from tests.serving import dartboard

SOURCE = ("release", "model", "sourceset", "source")  # files of one row


def lines(path):
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.decode().splitlines()]


@pytest.fixture(scope="module")
def place(features, tmp_path_factory):
    """One dictionary's files, and the folder that holds them."""
    folder = tmp_path_factory.mktemp("exports")
    dictionary = min(features.dictionaries(), key=lambda one: one.m)
    (said,) = write_export(features, folder, Creator("A lab", "someone"), "My release!", [dictionary.name])
    (place,) = folder.glob("*/*")
    assert str(place) in said
    return place


@pytest.fixture(scope="module")
def dictionary(features: FeatureStore):
    return min(features.dictionaries(), key=lambda one: one.m)


def test_a_source_its_set_and_its_release_name_one_another(place, features, dictionary):
    (site,) = features.sites()
    rows = {name: lines(place / f"{name}.jsonl") for name in SOURCE}
    assert all(row["creatorId"] == "someone" for (row,) in rows.values())
    assert place.parts[-2:] == (slug(site.model), f"{site.layer}-{dictionary.name}")
    assert rows["source"][0]["id"] == place.name
    assert rows["source"][0]["setName"] == rows["sourceset"][0]["name"] == dictionary.name
    assert rows["sourceset"][0]["releaseName"] == rows["release"][0]["name"] == "my-release"


def test_features_and_their_contexts_are_the_store_s(place, features, dictionary):
    found = [row for path in sorted(place.glob("features/*.gz")) for row in lines(path)]
    assert sorted(int(row["index"]) for row in found) == list(range(dictionary.m))
    assert (
        len(list(place.glob("features/*.gz"))) == len(list(place.glob("activations/*.gz"))) == -(-dictionary.m // BATCH)
    )
    by_index = {int(row["index"]): row for row in found}
    feature = features.features(dictionary.id, sort="max", descending=True, limit=1)[0]
    row = by_index[feature.index]
    assert (row["maxActApprox"], row["frac_nonzero"]) == (feature.max, feature.frequency)
    assert row["pos_str"] == [token for token, _ in feature.outputs["top"]]
    assert sum(row["freq_hist_data_bar_heights"]) == feature.count
    batch = place / f"activations/batch-{feature.index // BATCH}.jsonl.gz"
    mine = [row for row in lines(batch) if row["index"] == str(feature.index)]
    top = [row for row in mine if row["binContains"] == -1]
    hits = features.hits(dictionary.id, feature.index)
    contexts = features.contexts(hit.context for hit in hits)
    assert [row["tokens"] for row in top] == [contexts[hit.context].tokens for hit in hits]
    assert len({row["id"] for row in mine}) == len(mine) > len(top)
    for row, hit in zip(top, hits, strict=True):
        assert row["maxValue"] == round(hit.value, 3) == row["values"][row["maxValueTokenIndex"]]
        assert [place for place, value in enumerate(row["values"]) if value] == [
            place for place, value in zip(hit.positions, hit.values, strict=True) if round(value, 3)
        ]
    assert all(row["binMin"] <= row["maxValue"] <= row["binMax"] for row in mine)


def test_a_dictionary_that_is_not_there_is_named(features, tmp_path):
    with pytest.raises(NotFound, match="There is no dictionary “nothing”"):
        list(write_export(features, tmp_path, Creator("x"), "x", ["nothing"]))
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_needs(small_store):
    with pytest.raises(AssertionError, match="writes the feature store, not a study: leave out the study"):
        dartboard("export", "demo", "--neuronpedia", "x", "--data", small_store)
