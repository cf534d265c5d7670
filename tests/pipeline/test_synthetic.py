"""The synthetic store of the page benchmark: of the size asked for, whole, and the same for the same seed."""

from pathlib import Path

import pytest

from app.store.features import FeatureStore
from app.store.search import contexts_with, features_in
from pipeline.bench.synthetic import write_store


@pytest.mark.slow
def test_a_store_of_any_size_can_be_browsed_and_searched(tmp_path: Path) -> None:
    for name in ("one", "again"):
        write_store(tmp_path / name / "features.sqlite", features=600, dictionaries=2, contexts=512, seed=3)
    one, again = (FeatureStore(tmp_path / name / "features.sqlite") for name in ("one", "again"))
    assert one.digest() == again.digest() == one.stated_digest
    assert [dictionary.m for dictionary in one.dictionaries()] == [300, 300]
    assert one.states(0)["live"] > 250
    assert len(one.hits(0, 7)) == 20
    assert len(features_in(one, 1, contexts_with(one, "the"))) > 100
    one.close()
    again.close()
