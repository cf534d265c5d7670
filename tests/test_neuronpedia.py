"""Neuronpedia's bulk files: the fields that its importer takes, and the store's own figures in them."""

import gzip
import json

import pytest

from app.errors import NotFound
from app.neuronpedia import BATCH, Creator, slug, write_export
from app.store.features import FeatureStore
from tests.serving import dartboard

# Columns of Neuronpedia's database (apps/webapp/prisma/schema.prisma): the importer hands whole rows of the first four to
# Prisma, which refuses a name that it does not know, and asks for those that have no default.
KNOWN = {
    "release": {
        *("name", "visibility", "isNewUi", "featured", "description", "descriptionShort", "urls", "creatorEmail"),
        *("creatorName", "creatorNameShort", "creatorId", "defaultSourceSetName", "defaultSourceId"),
        *("defaultUmapSourceIds", "createdAt"),
    },
    "model": {
        *("id", "displayNameShort", "displayName", "creatorId", "tlensId", "dimension", "visibility", "thinking"),
        *("inferenceEnabled", "instruct", "layers", "neuronsPerLayer", "createdAt", "owner", "updatedAt", "website"),
    },
    "sourceset": {
        *("modelId", "name", "hasDashboards", "allowInferenceSearch", "visibility", "description", "type"),
        *("creatorName", "urls", "creatorEmail", "creatorId", "releaseName", "createdAt"),
    },
    "source": {
        *("id", "modelId", "hasDashboards", "inferenceEnabled", "visibility", "setName", "creatorId", "num_prompts"),
        *("num_tokens_in_prompt", "dataset", "notes", "createdAt"),
    },
}
NEEDED = {
    "release": {"name", "description", "creatorName", "creatorId"},
    "model": {"id", "creatorId", "layers", "neuronsPerLayer", "owner"},
    "sourceset": {"modelId", "name", "description", "creatorName", "creatorId"},
    "source": {"id", "modelId", "setName", "creatorId"},
}


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


def test_rows_hold_what_the_importer_knows_and_needs(place, features, dictionary):
    (site,) = features.sites()
    rows = {name: lines(place / f"{name}.jsonl") for name in KNOWN}
    for name, (row,) in rows.items():
        assert NEEDED[name] <= set(row) <= KNOWN[name]
        assert row["creatorId"] == "someone"
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
