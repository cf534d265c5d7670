"""A study store on each database, for servers of other processes."""

from collections.abc import Iterator

import pytest

from app.store.study import StudyStore


@pytest.fixture
def store(url: str) -> Iterator[StudyStore]:
    opened = StudyStore.open(url)
    yield opened
    opened.dispose()


def url_of(store: StudyStore) -> str:
    return store.engine.url.render_as_string(hide_password=False)
