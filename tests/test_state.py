"""The feature store that requests share."""

from pathlib import Path

from app.state import FeatureFile
from tests.conftest import copy_store


def test_what_lists_are_made_of_is_read_before_anybody_asks(small_store: Path, tmp_path: Path) -> None:
    file = FeatureFile(copy_store(small_store, tmp_path / "data") / "features.sqlite")
    file.warm()
    store = file.current()
    assert store is not None
    dictionaries = store.dictionaries()
    file.path.write_bytes(b"")
    assert [len(store.columns(one.id).state) for one in dictionaries] == [one.m for one in dictionaries]


def test_a_file_that_cannot_be_read_is_told_to_who_asks(tmp_path: Path) -> None:
    (tmp_path / "features.sqlite").write_bytes(b"no database")
    FeatureFile(tmp_path / "features.sqlite").warm()
    FeatureFile(tmp_path / "nothing.sqlite").warm()
