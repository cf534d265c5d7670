"""What stands at the place where a build will publish."""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import NotFound
from app.files import read_only
from app.store.feature_schema import SCHEMA_VERSION
from app.store.features import FeatureStore, check_store
from app.store.packing import GROUPS, group_sizes

WEIGHTS = "weights"  # beside a store: see pipeline.weights


@dataclass(frozen=True, slots=True)
class HitBytes:
    """What hits and contexts take in a store, all features, and those alone that have as many hits as are wanted.

    `search`: what they take once more to be searched, by text and by context.
    """

    features: int
    hits: int
    contexts: int
    search: int
    full_features: int
    full_hits: int

    @property
    def each(self) -> float:
        """Bytes a feature."""
        return (self.hits + self.contexts + self.search) / self.features

    @property
    def each_full(self) -> float:
        """Bytes a feature whose pages are full, with its part of what all features share."""
        return self.full_hits / max(self.full_features, 1) + (self.contexts + self.search) / self.features


def hit_bytes(path: Path, top: int, quantiles: int) -> HitBytes:
    """Of a store: a feature's pages are full where it has `top` top contexts and `quantiles` others."""
    connection = sqlite3.connect(read_only(path), uri=True)
    try:
        (features,) = connection.execute("SELECT count(*) FROM feature").fetchone()
        (contexts,) = connection.execute("SELECT sum(length(tokens) + length(masked)) FROM context").fetchone()
        (text,) = connection.execute("SELECT sum(length(block)) FROM context_text_data").fetchone()
        (features_there,) = connection.execute("SELECT sum(length(blob)) FROM context_feature").fetchone()
        found: Counter[bool] = Counter()
        sizes: Counter[bool] = Counter()
        for (blob,) in connection.execute("SELECT blob FROM hit"):
            counts = dict(zip(GROUPS, group_sizes(blob), strict=True))
            full = counts["top"] >= top and sum(n for group, n in counts.items() if group.startswith("q")) >= quantiles
            found[full] += 1
            sizes[full] += len(blob)
    finally:
        connection.close()
    return HitBytes(features, sizes.total(), contexts, text + (features_there or 0), found[True], sizes[True])


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


def weights_folder(data: Path, key: str) -> Path:
    """Where the dictionaries of a build are, by its key."""
    return data / WEIGHTS / key[:16]


@dataclass(frozen=True, slots=True)
class StoredSite:
    """A site as its store has it; `weights`: the SHA-256 of each of its dictionaries, by name, in order."""

    name: str
    model: str
    model_hash: str
    layer: int
    context_length: int
    median_norm: float
    weights: dict[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store says of its build; `config` is the build file as the build read it."""

    key: str
    config: dict[str, Any]
    versions: dict[str, str]
    device: str
    sites: tuple[StoredSite, ...]


def stored(path: Path) -> Stored:
    """Raises NotFound, and UserError where the file is no feature store, or an older one."""
    store = FeatureStore(path)
    try:
        record, dictionaries = store.provenance(), store.dictionaries()
        return Stored(
            key=record["build_key"],
            config=record["config"],
            versions=record["versions"],
            device=record["device"],
            sites=tuple(
                StoredSite(
                    name=site.name,
                    model=site.model,
                    model_hash=site.model_hash,
                    layer=site.layer,
                    context_length=site.context_length,
                    median_norm=site.median_norm,
                    weights={one.name: one.weights_hash for one in dictionaries if one.site_id == site.id},
                )
                for site in store.sites()
            ),
        )
    finally:
        store.close()


def stored_contexts(path: Path) -> Iterator[tuple[int, str]]:
    """The text of every context in a store, by its id, ascending."""
    connection = sqlite3.connect(read_only(path), uri=True)
    try:
        for number, tokens in connection.execute("SELECT id, tokens FROM context ORDER BY id"):
            yield number, "".join(json.loads(tokens))
    finally:
        connection.close()


def contexts_hash(path: Path) -> str:
    """SHA-256 (hex) of the ids and texts of a store's contexts: what is made from them alone is bound to it."""
    sha = hashlib.sha256()
    for number, text in stored_contexts(path):
        sha.update(json.dumps([number, text]).encode())
    return sha.hexdigest()
