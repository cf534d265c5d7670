"""Seeded hashes: random choices that depend on what is chosen, not on the order in which it comes by.

`mix` is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mix(seed: int, *keys: ArrayLike) -> NDArray[np.uint64]:
    """Hash integer keys (broadcast against each other) to uniform 64-bit values."""
    state = np.uint64(seed & 0xFFFFFFFFFFFFFFFF)
    hashed: NDArray[np.uint64] = np.asarray(state)
    with np.errstate(over="ignore"):
        for key in keys:
            hashed = (hashed ^ np.asarray(key).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
            hashed = (hashed ^ (hashed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            hashed = hashed ^ (hashed >> np.uint64(31))
    return hashed


def derive(seed: int, *names: str) -> int:
    """A 63-bit seed of its own for each purpose, so that adding one dictionary changes no other's numbers."""
    digest = hashlib.sha256("/".join((str(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def fingerprint(*parts: Any) -> str:
    """SHA-256 (hex) of JSON-serialisable parts in canonical form."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 (hex) of the contents of files, one after the other, in the order given."""
    sha = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()
