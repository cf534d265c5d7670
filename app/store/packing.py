"""How hits are packed into one blob a feature and group, and unpacked.

Layout, little-endian: u32 number of hits h; u32 context[h]; u16 peak[h]; u16 active[h] (how many tokens fire in the
context); then, hits one after the other, u16 position[Σ active] and f32 value[Σ active]. Twenty contexts in which a
feature fires on three tokens take 524 bytes, against some 4 KB as JSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PackedHit:
    """One hit: a context, the peak position in it, and each token position that fires with its activation."""

    context: int
    peak: int
    positions: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def value(self) -> float:
        """Activation at the peak token."""
        return self.values[self.positions.index(self.peak)]


def pack_arrays(
    context: NDArray[np.integer],
    peak: NDArray[np.integer],
    active: NDArray[np.integer],
    positions: NDArray[np.integer],
    values: NDArray[np.floating],
) -> bytes:
    """Pack `context[h]`, `peak[h]`, `active[h]` and the concatenated `positions[Σ active]`, `values[Σ active]`."""
    return b"".join(
        (
            np.uint32(len(context)).tobytes(),
            np.ascontiguousarray(context, "<u4").tobytes(),
            np.ascontiguousarray(peak, "<u2").tobytes(),
            np.ascontiguousarray(active, "<u2").tobytes(),
            np.ascontiguousarray(positions, "<u2").tobytes(),
            np.ascontiguousarray(values, "<f4").tobytes(),
        )
    )


def pack(hits: Sequence[PackedHit]) -> bytes:
    return pack_arrays(
        np.array([hit.context for hit in hits], "<u4"),
        np.array([hit.peak for hit in hits], "<u2"),
        np.array([len(hit.positions) for hit in hits], "<u2"),
        np.array([p for hit in hits for p in hit.positions], "<u2"),
        np.array([v for hit in hits for v in hit.values], "<f4"),
    )


def unpack_contexts(blob: bytes) -> list[int]:
    """The contexts of a blob's hits alone, in stored order: a twentieth of the work of `unpack`."""
    count = int(np.frombuffer(blob, "<u4", 1)[0])
    contexts: list[int] = np.frombuffer(blob, "<u4", count, 4).tolist()
    return contexts


def unpack(blob: bytes) -> tuple[PackedHit, ...]:
    """The hits of a blob, in stored order. Raises ValueError where the blob's length does not fit its own counts."""
    count = int(np.frombuffer(blob, "<u4", 1)[0])
    head = 4 + 8 * count
    context = np.frombuffer(blob, "<u4", count, 4)
    peak = np.frombuffer(blob, "<u2", count, 4 + 4 * count)
    active = np.frombuffer(blob, "<u2", count, 4 + 6 * count)
    total = int(active.sum())
    if len(blob) != head + 6 * total:
        raise ValueError(f"a packed hit blob of {len(blob)} bytes should have {head + 6 * total}")
    positions = np.frombuffer(blob, "<u2", total, head).tolist()
    values = np.frombuffer(blob, "<f4", total, head + 2 * total).tolist()
    ends = np.cumsum(active).tolist()
    return tuple(
        PackedHit(c, p, tuple(positions[end - n : end]), tuple(values[end - n : end]))
        for c, p, n, end in zip(context.tolist(), peak.tolist(), active.tolist(), ends, strict=True)
    )


def pack_related(features: NDArray[np.integer], values: NDArray[np.floating]) -> list[bytes]:
    """One blob a row of `features[row, n]` and `values[row, n]`, little-endian: u32 feature[n], then f32 value[n].

    Features below 0 stand for none, and end their row.
    """
    rows, n = features.shape
    sizes = (features >= 0).sum(1)
    whole = np.empty((rows, 2 * n), "<u4")
    whole[:, :n] = features
    whole[:, n:] = np.ascontiguousarray(values, "<f4").view("<u4")
    return [
        (row if size == n else np.concatenate([row[:size], row[n : n + size]])).tobytes()
        for row, size in zip(whole, sizes.tolist(), strict=True)
    ]


def unpack_related(blob: bytes) -> list[tuple[int, float]]:
    """The (feature, value) pairs of a blob, in stored order."""
    count = len(blob) // 8
    features: list[int] = np.frombuffer(blob, "<u4", count).tolist()
    values: list[float] = np.frombuffer(blob, "<f4", count, 4 * count).tolist()
    return list(zip(features, values, strict=True))
