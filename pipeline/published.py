"""What stands at the place where a build will publish."""

import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from app.errors import NotFound
from app.store.feature_schema import SCHEMA_VERSION
from app.store.features import FeatureStore, check_store
from app.store.packing import GROUPS, group_sizes


@dataclass(frozen=True, slots=True)
class HitBytes:
    """What hits and contexts take in a store, all features, and those alone that have as many hits as are wanted."""

    features: int
    hits: int
    contexts: int
    full_features: int
    full_hits: int

    @property
    def each(self) -> float:
        """Bytes a feature."""
        return (self.hits + self.contexts) / self.features

    @property
    def each_full(self) -> float:
        """Bytes a feature whose pages are full, with its part of the contexts, which all features share."""
        return self.full_hits / max(self.full_features, 1) + self.contexts / self.features


def hit_bytes(path: Path, top: int, quantiles: int) -> HitBytes:
    """Of a store: a feature's pages are full where it has `top` top contexts and `quantiles` others."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        (features,) = connection.execute("SELECT count(*) FROM feature").fetchone()
        (contexts,) = connection.execute("SELECT sum(length(tokens) + length(masked)) FROM context").fetchone()
        found: Counter[bool] = Counter()
        sizes: Counter[bool] = Counter()
        for (blob,) in connection.execute("SELECT blob FROM hit"):
            counts = dict(zip(GROUPS, group_sizes(blob), strict=True))
            full = counts["top"] >= top and sum(n for group, n in counts.items() if group.startswith("q")) >= quantiles
            found[full] += 1
            sizes[full] += len(blob)
    finally:
        connection.close()
    return HitBytes(features, sizes.total(), contexts, found[True], sizes[True])


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
