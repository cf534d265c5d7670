"""What stands at the place where a build will publish."""

from pathlib import Path

from app.errors import NotFound
from app.store.feature_schema import SCHEMA_VERSION
from app.store.features import FeatureStore, check_store


def finished(path: Path, key: str) -> bool:
    """Whether the store at `path` is what a build with this key would write. Raises UserError where it is no feature store."""
    try:
        if check_store(path) < SCHEMA_VERSION:
            return False
    except NotFound:
        return False
    store = FeatureStore(path)
    try:
        return store.provenance().get("build_key") == key
    finally:
        store.close()
