"""What stands at the place where a build will publish."""

from pathlib import Path

from app.errors import NotFound
from app.store.features import FeatureStore, check_store


def finished(path: Path, key: str) -> bool:
    """Whether the store at `path` is what a build with this key would write. Raises UserError where it is no feature store."""
    try:
        check_store(path)
    except NotFound:
        return False
    store = FeatureStore(path)
    try:
        return store.provenance().get("build_key") == key
    finally:
        store.close()
