"""A visitor to the browse pages and the API, without a socket, over the small store; and the store itself to compare with."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.browse.compare import MATCHES
from app.browse.rows import GROUPS
from app.main import create_app
from app.settings import Settings
from app.store.features import Dictionary, Feature, FeatureFilter, FeatureStore
from tests.conftest import copy_store

HTMX = {"HX-Request": "true"}


def visitor(data: Path) -> TestClient:
    """Someone at this computer, where no study is open: no login needed. Redirects are not followed."""
    return TestClient(create_app(Settings(data=data)), base_url="http://127.0.0.1:8000", follow_redirects=False)


@pytest.fixture(scope="session")
def client(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with visitor(copy_store(small_store, tmp_path_factory.mktemp("browse") / "data")) as client:
        yield client


@pytest.fixture(scope="session")
def store(small_store: Path) -> Iterator[FeatureStore]:
    store = FeatureStore(small_store / "features.sqlite")
    yield store
    store.close()


@pytest.fixture(scope="session")
def trained(store: FeatureStore) -> Dictionary:
    return next(dictionary for dictionary in store.dictionaries() if dictionary.trained)


@pytest.fixture(scope="session")
def live(store: FeatureStore, trained: Dictionary) -> Feature:
    return store.features(trained.id, where=FeatureFilter(state="live"), sort="frequency", descending=True, limit=1)[0]


@pytest.fixture(scope="session")
def everything(store: FeatureStore, trained: Dictionary) -> list[Feature]:
    return store.features(trained.id)


def text(html: str) -> str:
    """What a reader sees, more or less: no tags, spaces as one."""
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", " ", html))


def addresses(store: FeatureStore, trained: Dictionary, live: Feature) -> list[str]:
    feature = f"/dictionaries/{trained.name}/features/{live.index}"
    pages = ["/", f"/dictionaries/{trained.name}", feature, *(f"{feature}/groups/{group}" for group in GROUPS)]
    return [*pages, *(f"/compare?by={by}" for by in MATCHES), "/compare/lacking", "/search", "/search?q=the"]
