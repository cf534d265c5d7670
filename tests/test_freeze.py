"""Freezing on the small real store: what raters will see is what the store holds, the same shape for every arm."""

import json
import shutil
import sqlite3
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import Conflict, NotFound, UserError
from app.freeze import freeze, prepare
from app.store.features import FeatureStore
from app.study import blinding
from app.study.content import level
from app.study.frozen import FrozenStudy, KeyRow
from app.study.protocol import Protocol
from tests.studies import answer, counted_tokens, open_store

DESIGN = {
    "name": "small",
    "title": "Which is clearer?",
    "seed": 5,
    "arm": [
        {"name": "trained", "dictionaries": ["topk-sae"]},
        {"name": "untrained", "dictionaries": ["random-sign", "data-points"]},
        {"name": "null-pages", "control": "null"},
    ],
    "layout": {"contexts": 3, "width": 24},
    "tasks": {"page": {"features": 10}, "pair": {"pairs": 20, "contrasts": [["trained", "untrained"]]}},
}


BLOCK_GROUPS = ("top", "q3", "q5")


def design(**changes) -> Protocol:
    return Protocol.model_validate({**DESIGN, **changes})


@pytest.fixture(scope="module")
def frozen(features: FeatureStore) -> FrozenStudy:
    return prepare(design(), features, counted_tokens())


def pages_of(frozen: FrozenStudy, arm: str):
    return [(item.pages[row.page], row) for item in frozen.items for row in item.key if row.arm == arm]


def test_the_questions_asked_are_the_protocols(frozen: FrozenStudy) -> None:
    solo = Counter(item.key[0].arm for item in frozen.items if item.task == "page")
    assert solo == {"trained": 10, "untrained": 10, "null-pages": 10}
    kinds = Counter(tuple(sorted(row.arm for row in item.key)) for item in frozen.items if item.task == "pair")
    assert kinds == {
        ("trained", "untrained"): 12,
        ("trained", "trained"): 2,
        ("untrained", "untrained"): 2,
        ("null-pages", "trained"): 2,
        ("null-pages", "untrained"): 2,
    }


def test_every_page_has_the_same_shape(frozen: FrozenStudy) -> None:
    shapes = {
        tuple((block.label, *(len(snippet.tokens) for snippet in block.snippets)) for block in page.blocks)
        for item in frozen.items
        for page in item.pages.values()
    }
    assert shapes == {(("Strongest", 24, 24, 24), ("Middle", 24, 24, 24), ("Weakest", 24, 24, 24))}
    for item in frozen.items:
        for page in item.pages.values():
            for block in page.blocks:
                for snippet in block.snippets:
                    assert len(snippet.levels) == 24
                    assert snippet.levels[snippet.peak] == max(snippet.levels) > 0


def test_pages_show_what_the_store_holds(frozen: FrozenStudy, features: FeatureStore) -> None:
    for arm in ("trained", "untrained"):
        for page, row in pages_of(frozen, arm):
            dictionary = features.dictionary(row.dictionary)
            feature = features.feature(dictionary, row.feature)
            assert feature.state == "live"
            documents = []
            for block, group in zip(page.blocks, BLOCK_GROUPS, strict=True):
                hits = features.hits(dictionary.id, row.feature, group)
                contexts = features.contexts(hit.context for hit in hits)
                for snippet in block.snippets:
                    homes = []
                    for hit in hits:
                        context = contexts[hit.context]
                        start = hit.peak - snippet.peak
                        if tuple(context.tokens[start : start + 24]) == snippet.tokens:
                            homes.append(context)
                            values = dict(zip(hit.positions, hit.values, strict=True))
                            expected = [
                                level(values[p], feature.max) if p in values else 0 for p in range(start, start + 24)
                            ]
                            assert snippet.levels == tuple(expected)
                            lit = [start + place for place, one in enumerate(snippet.levels) if one]
                            assert not set(lit) & set(context.masked)
                    assert len(homes) == 1
                    documents.append(homes[0].document_id)
            assert len(set(documents)) == len(documents), "one context a document"


def test_null_pages_copy_features_that_nobody_is_shown(frozen: FrozenStudy, features: FeatureStore) -> None:
    shown = {f"{row.dictionary}/{row.feature}" for item in frozen.items for row in item.key if row.dictionary}
    donors = []
    for page, row in pages_of(frozen, "null-pages"):
        assert (row.dictionary, row.feature) == (None, None)
        donors.append(row.stratum["copies"])
        name, _, index = row.stratum["copies"].partition("/")
        dictionary = features.dictionary(name)
        maximum = features.feature(dictionary, int(index)).max
        peaks = sorted(snippet.levels[snippet.peak] for snippet in page.blocks[0].snippets)
        top = [level(hit.value, maximum) for hit in features.hits(dictionary.id, int(index), "top")]
        assert not Counter(peaks) - Counter(top)
    assert not shown & set(donors)
    assert len(set(donors)) == len(donors) == 14
    kinds = Counter("topk-sae" if donor.startswith("topk-sae/") else "other" for donor in donors)
    assert kinds == {"topk-sae": 7, "other": 7}, "highlights are copied from each arm alike"


def test_no_feature_is_shown_twice(frozen: FrozenStudy) -> None:
    shown = [(row.dictionary, row.feature) for item in frozen.items for row in item.key if row.dictionary]
    assert len(set(shown)) == len(shown) == 20 + 2 * 20 - 4


def test_deciles_are_shown_alike(frozen: FrozenStudy) -> None:
    per = defaultdict(Counter)
    for item in frozen.items:
        if item.task == "page":
            for row in item.key:
                if row.dictionary:
                    per[row.dictionary][row.stratum["decile"]] += 1
    assert per["topk-sae"] == dict.fromkeys(range(10), 1)
    assert max(per["random-sign"].values()) == max(per["data-points"].values()) == 1


def test_the_report_counts_every_feature(frozen: FrozenStudy, features: FeatureStore) -> None:
    assert {name: arm["pages"] for name, arm in frozen.report["arms"].items()} == {
        "trained": 10 + 12 + 4 + 2,
        "untrained": 10 + 12 + 4 + 2,
        "null-pages": 10 + 4,
    }
    for name, counts in frozen.report["dictionaries"].items():
        dictionary = features.dictionary(name)
        assert (
            counts["dead"] + counts["never"] + counts["rare"] + counts["eligible"] == counts["features"] == dictionary.m
        )
        states = features.states(dictionary.id)
        assert (counts["dead"], counts["never"]) == (states.get("dead", 0), states.get("never", 0))
        assert counts["rare"] >= features.states(dictionary.id).get("rare", 0)


def test_the_same_seed_and_tokens_give_the_same_study(frozen: FrozenStudy, features: FeatureStore) -> None:
    assert prepare(design(), features, counted_tokens()) == frozen
    assert prepare(design(seed=6), features, counted_tokens()).items != frozen.items
    other = prepare(design(), features, counted_tokens("other"))
    assert other.protocol_hash == frozen.protocol_hash
    assert {item.public_id for item in other.items}.isdisjoint({item.public_id for item in frozen.items})
    assert sorted(map(str, (row for i in other.items for row in i.key))) == sorted(
        map(str, (row for i in frozen.items for row in i.key))
    )


def test_ids_and_order_do_not_follow_the_arms(frozen: FrozenStudy, features: FeatureStore) -> None:
    """With the dictionaries of two arms exchanged, each item keeps its id, its place, its task and its turn."""
    arms = [
        {"name": "trained", "dictionaries": ["random-sign", "data-points"]},
        {"name": "untrained", "dictionaries": ["topk-sae"]},
        DESIGN["arm"][2],
    ]
    other = prepare(design(arm=arms), features, counted_tokens())
    assert [(i.public_id, i.task, i.turns) for i in other.items] == [
        (i.public_id, i.task, i.turns) for i in frozen.items
    ]
    assert [i.public_id for i in frozen.items] == sorted(i.public_id for i in frozen.items)


def test_the_protocol_and_the_key_are_committed_to(frozen: FrozenStudy, features: FeatureStore) -> None:
    assert blinding.sha256_hex(frozen.protocol) == frozen.protocol_hash
    stored = json.loads(frozen.protocol)
    assert stored["feature_digest"] == features.digest()
    assert stored["tasks"]["pair"]["mix"] == {"between": 0.6, "same": 0.2, "control": 0.2}
    assert blinding.commitment(frozen.key_salt, blinding.key_rows(frozen.items)) == frozen.key_commitment
    first = frozen.items[0]
    forged = replace(first, key=(KeyRow("a", "other", None, None, {}), *first.key[1:]))
    assert blinding.commitment(frozen.key_salt, blinding.key_rows([forged, *frozen.items[1:]])) != frozen.key_commitment


def test_a_frozen_study_outlives_its_feature_store(data_folder: Path) -> None:
    study_store = open_store(f"sqlite:///{data_folder / 'study.sqlite'}")
    features = FeatureStore(data_folder / "features.sqlite")
    freeze(design(), features, study_store, "ada")
    features.close()
    (data_folder / "features.sqlite").unlink()
    rater = study_store.add_rater("small", "one", "ada")
    assert answer(study_store, rater) is not None
    study_store.dispose()


def test_a_name_is_taken_before_anything_is_drawn(features: FeatureStore, tmp_path: Path) -> None:
    study_store = open_store(f"sqlite:///{tmp_path / 'study.sqlite'}")
    freeze(design(), features, study_store, "ada")
    impossible = design(tasks={"page": {"features": 10_000}})
    with pytest.raises(Conflict, match="already"):
        freeze(impossible, features, study_store, "ada")
    study_store.dispose()


def test_what_the_store_cannot_give(features: FeatureStore) -> None:
    with pytest.raises(NotFound, match=r"no dictionary “sae”.*random-sign, data-points, topk-sae"):
        prepare(design(arm=[{"name": "trained", "dictionaries": ["sae"]}], tasks={"page": {"features": 1}}), features)
    with pytest.raises(UserError, match=r"needs \d+ features of .*, but only \d+ can fill a page"):
        prepare(design(tasks={"page": {"features": 10_000}}), features)
    with pytest.raises(UserError, match=r"layout\.width is 500, but the store's contexts have 128 tokens"):
        prepare(design(layout={"width": 500}), features)


@pytest.mark.parametrize(
    ("change", "other", "what"),
    [
        ("k = k + 1", {}, "k"),
        ("site_id = 7", {"context_length": "64"}, "context length"),
        ("site_id = 7", {"masked": "json_set(masked, '$.start', 2 * contexts)"}, "skipped positions"),
    ],
)
def test_arms_that_were_not_built_alike(data_folder: Path, change: str, other: dict[str, str], what: str) -> None:
    path = data_folder / "features.sqlite"
    connection = sqlite3.connect(path)
    if other:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(site)")]
        values = [{"id": "7", "name": "'x'", **other}.get(column, column) for column in columns]
        connection.execute(f"INSERT INTO site SELECT {', '.join(values)} FROM site LIMIT 1")
    connection.execute(f"UPDATE dictionary SET {change} WHERE name = 'topk-sae'")
    connection.commit()
    connection.close()
    features = FeatureStore(path)
    with pytest.raises(UserError, match=f"differ in {what}; compare dictionaries that were built alike"):
        prepare(design(), features)
    features.close()


def test_too_small_a_pool_for_null_pages(data_folder: Path) -> None:
    path = data_folder / "features.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("UPDATE context SET pool = 0 WHERE id > (SELECT min(id) + 3 FROM context)")
    connection.commit()
    connection.close()
    features = FeatureStore(path)
    with pytest.raises(UserError, match=r"pool of \d contexts is too small for a null page"):
        prepare(design(), features)
    features.close()


def test_a_store_that_is_none(tmp_path: Path, small_store: Path) -> None:
    with pytest.raises(NotFound, match="dartboard build"):
        FeatureStore(tmp_path / "features.sqlite")
    shutil.copy(small_store / "features.sqlite", tmp_path)
    connection = sqlite3.connect(tmp_path / "features.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UserError, match="schema 99, newer"):
        FeatureStore(tmp_path / "features.sqlite")
    connection = sqlite3.connect(tmp_path / "features.sqlite")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(UserError, match="older dartboard; make it anew"):
        FeatureStore(tmp_path / "features.sqlite")
