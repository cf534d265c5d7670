"""What all tests share: one small feature store, built once a run from the real model by the real pipeline."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from app.store.features import FeatureStore
from tests.postgres import postgres_server, postgresql_url  # noqa: F401
from tests.serving import ROOT, dartboard
from tests.studies import SetClock


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--store",
        type=Path,
        metavar="DIR",
        help="take features.sqlite from this folder instead of building the small store: saves a minute",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes: one file that needs the small store, then those that do not, so that none waits for it."""
    if not hasattr(config, "workerinput"):
        return
    needing = list(dict.fromkeys(item.path for item in items if "small_store" in getattr(item, "fixturenames", ())))
    items.sort(key=lambda item: 1 if item.path not in needing else 0 if item.path == needing[0] else 2)


@pytest.fixture(scope="session")
def small_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a feature store of tests/small.toml: about 20,000 tokens of the demo's model and text.

    Read-only by convention: a test that writes, or serves, copies it first (`data_folder`). One run's workers share it.
    """
    given = request.config.getoption("--store")
    if given:
        return Path(given)
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if hasattr(request.config, "workerinput") else base
    folder = shared / "small-store"
    with FileLock(shared / "small-store.lock"):
        if not (folder / "features.sqlite").exists():
            dartboard("build", ROOT / "tests" / "small.toml", "--data", folder)
    return folder


@pytest.fixture(scope="module")
def features(small_store: Path):
    """The small feature store, opened."""
    store = FeatureStore(small_store / "features.sqlite")
    yield store
    store.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty study store's address: a test that asks for it runs on both databases."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def data_folder(small_store: Path, tmp_path: Path) -> Path:
    """A data folder of the test's own, with a copy of the small feature store and no study."""
    return copy_store(small_store, tmp_path / "data")


def copy_store(source: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    shutil.copy(source / "features.sqlite", target)
    return target
