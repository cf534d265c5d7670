"""Lists of features: what each filter and order finds, and that no list reads the long rows of the features it leaves out."""

import itertools
import sqlite3
from typing import Any

import pytest
from sqlalchemy import event

from app.store.columns import READ
from app.store.features import SORTS, FeatureFilter, FeatureStore

FILTERS = [
    FeatureFilter(),
    FeatureFilter(state="live"),
    FeatureFilter(single_token=False, max_entropy=1.0),
    FeatureFilter(token="the", min_max=0.5),
    FeatureFilter(min_frequency=0.0001, max_frequency=0.01),
    FeatureFilter(among=frozenset(range(0, 400, 7)), min_entropy=0.1, max_max=1e9),
]
FIGURES = {"index": "index", "entropy": "peak_entropy"}


def passes(feature: Any, where: FeatureFilter) -> bool:
    return all(
        (
            where.state is None or feature.state == where.state,
            where.single_token is None or feature.single_token == where.single_token,
            where.token is None or where.token.lower() in feature.top_token.lower(),
            where.min_frequency is None or feature.frequency >= where.min_frequency,
            where.max_frequency is None or feature.frequency <= where.max_frequency,
            where.min_max is None or feature.max >= where.min_max,
            where.max_max is None or feature.max <= where.max_max,
            where.min_entropy is None or feature.peak_entropy >= where.min_entropy,
            where.max_entropy is None or feature.peak_entropy <= where.max_entropy,
            where.among is None or feature.index in where.among,
        )
    )


UNSCORED = [sort for sort in SORTS if sort != "score"]  # tests/browse/test_scored.py has lists by score


@pytest.mark.parametrize("where", FILTERS)
def test_a_list_is_what_passes_in_order(features: FeatureStore, where: FeatureFilter) -> None:
    dictionary = next(one for one in features.dictionaries() if one.trained)
    everything = features.features(dictionary.id)
    assert [one.index for one in everything] == list(range(dictionary.m))
    expected = [one for one in everything if passes(one, where)]
    assert 0 < len(expected) <= len(everything)
    for sort, descending in itertools.product(UNSCORED, (False, True)):
        ordered = sorted(
            expected, key=lambda one: (getattr(one, FIGURES.get(sort, sort)), one.index), reverse=descending
        )
        found = features.features(dictionary.id, where=where, sort=sort, descending=descending, limit=20, offset=5)
        assert found == ordered[5:25]
    assert features.count(dictionary.id, where) == features.count(dictionary.id, where) == len(expected)


def test_a_list_reads_an_index_and_the_rows_that_it_shows(features: FeatureStore) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(features.engine, "before_cursor_execute", note)
    try:
        features.features(0, where=FILTERS[1], sort="max", descending=True, limit=50, offset=100)
        features.count(0, FILTERS[3])
    finally:
        event.remove(features.engine, "before_cursor_execute", note)
    connection = features.connection()
    try:
        asked += [(READ, (0,))]
        plans = [
            [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters in asked
        ]
    finally:
        connection.close()
    by_key = "SEARCH feature USING INDEX sqlite_autoindex_feature_1 (dictionary_id=? AND index=?)"
    columns = "SEARCH feature USING COVERING INDEX feature_figures (dictionary_id=?)"
    assert [step for plan in plans for step in plan if "feature " in step] == [by_key, columns]
    assert not any("ORDER BY" in step for step in plans[-1])


def test_a_store_that_is_older_says_so(small_store, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "features.sqlite"
    path.write_bytes((small_store / "features.sqlite").read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(Exception, match="written by an older dartboard; make it anew with `dartboard build"):
        FeatureStore(path)
