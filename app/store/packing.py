"""How hits and related features are packed into one blob a feature, and unpacked. Little-endian.

Hits: u16 number of hits in each group of GROUPS; u16 number of distinct hits h; u16 bytes of a position, 1 or 2. Then, of
the distinct hits, in order of context: u32 context[h]; f32 value[h], at the peak; u16 peak[h]; u16 active[h] (how many
tokens fire). Then u16 member[…]: the hits of each group, strongest first, as places among the distinct ones. Then, hit
after hit, position[Σ active] and u16 share[Σ active]: an activation as a share of its hit's value, in units of 1/65,535.

So a hit in several groups is stored once, and an activation takes three bytes where a context has up to 256 tokens. The
value at the peak is exact, others are within 1/131,070 of it.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Group = Literal["top", "q1", "q2", "q3", "q4", "q5", "bottom", "second"]
"""`top`: strongest contexts; `q1` (strongest fifth) to `q5`; `bottom`: of the negative tail; `second`: top of a second text."""
GROUPS: tuple[Group, ...] = get_args(Group)
UNIT = 65_535
HEAD = 2 * len(GROUPS) + 4
U1, U2, U4, F4 = (np.dtype(name) for name in ("<u1", "<u2", "<u4", "<f4"))


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


@dataclass(frozen=True, slots=True)
class HitColumns:
    """Distinct hits `[h]`, by feature and context, and the activations of each, one hit's after the other's."""

    feature: NDArray[np.integer]
    context: NDArray[np.integer]
    value: NDArray[np.float32]
    peak: NDArray[np.integer]
    active: NDArray[np.integer]
    positions: NDArray[np.integer]
    values: NDArray[np.float32]


def pack(hits: HitColumns, groups: Mapping[Group, NDArray[np.int64]]) -> Iterator[tuple[int, bytes]]:
    """Each feature that has hits, with its blob. `groups`: places in `hits`, by feature and strength."""
    if not len(hits.feature):
        return
    m = int(hits.feature[-1]) + 1
    bounds = np.searchsorted(hits.feature, np.arange(m + 1))
    owner = np.repeat(np.arange(len(hits.active)), hits.active)
    ends = np.r_[0, np.cumsum(hits.active, dtype=np.int64)]
    share = np.rint(hits.values / hits.value[owner].astype(np.float64) * UNIT)
    wide = 1 if not len(hits.positions) or int(hits.positions.max()) < 256 else 2
    members = [groups.get(group, np.zeros(0, np.int64)) for group in GROUPS]
    feature = np.concatenate([hits.feature[places] for places in members])
    order = np.argsort(feature, kind="stable")
    places = np.concatenate(members)[order]
    head = np.zeros((m, HEAD // 2), "<u2")
    for column, some in enumerate(members):
        head[:, column] = np.bincount(hits.feature[some], minlength=m)
    head[:, -2], head[:, -1] = np.diff(bounds), wide
    sections = [
        (_bytes(head, "<u2"), np.arange(m + 1) * HEAD),
        (_bytes(hits.context, "<u4"), bounds * 4),
        (_bytes(hits.value, "<f4"), bounds * 4),
        (_bytes(hits.peak, "<u2"), bounds * 2),
        (_bytes(hits.active, "<u2"), bounds * 2),
        (_bytes(places - bounds[hits.feature[places]], "<u2"), np.searchsorted(feature[order], np.arange(m + 1)) * 2),
        (_bytes(hits.positions, f"<u{wide}"), ends[bounds] * wide),
        (_bytes(np.maximum(share, 1), "<u2"), ends[bounds] * 2),
    ]
    cuts = [(data, ends.tolist()) for data, ends in sections]
    for index in np.flatnonzero(np.diff(bounds)).tolist():
        yield index, b"".join([data[at[index] : at[index + 1]] for data, at in cuts])


def unpack(blob: bytes, group: Group) -> tuple[PackedHit, ...]:
    """The hits of one group, in stored order. Raises ValueError where the blob's length fits not its counts."""
    head = np.frombuffer(blob, "<u2", HEAD // 2)
    count, wide = int(head[-2]), int(head[-1])
    member = _members(blob, head, group)
    context = np.frombuffer(blob, "<u4", count, HEAD)
    value = np.frombuffer(blob, "<f4", count, HEAD + 4 * count)
    peak = np.frombuffer(blob, "<u2", count, HEAD + 8 * count)
    active = np.frombuffer(blob, "<u2", count, HEAD + 10 * count)
    start, total = HEAD + 12 * count + 2 * int(head[:-2].sum()), int(active.sum())
    if len(blob) != start + (wide + 2) * total:
        raise ValueError(f"a packed hit blob of {len(blob)} bytes should have {start + (wide + 2) * total}")
    positions = np.frombuffer(blob, f"<u{wide}", total, start)
    share = np.frombuffer(blob, "<u2", total, start + wide * total) / UNIT
    ends = np.cumsum(active)
    hits = []
    for place in member.tolist():
        some = slice(int(ends[place] - active[place]), int(ends[place]))
        values = (share[some] * float(value[place])).tolist()
        hits.append(PackedHit(int(context[place]), int(peak[place]), tuple(positions[some].tolist()), tuple(values)))
    return tuple(hits)


@dataclass(frozen=True, slots=True)
class HitArrays:
    """The hits of one group, `[hit]`, in stored order, and what they fire on, `active[hit]` each, one hit's after the other's."""

    context: NDArray[np.integer]
    value: NDArray[np.floating]
    peak: NDArray[np.integer]
    active: NDArray[np.integer]
    positions: NDArray[np.integer]
    values: NDArray[np.floating]
    share: NDArray[np.uint16]  # of the hit's value, in units of 1/UNIT


def unpack_arrays(blob: bytes, group: Group, first: int = 0, last: int | None = None) -> HitArrays:
    """What `unpack` tells of a group's hits from `first` to `last`, with no object a hit: for the page that must be fast."""
    *sizes, count, wide = struct.unpack_from(f"<{HEAD // 2}H", blob)  # small numbers: numpy takes longer to add them
    number = GROUPS.index(group)
    members, start = HEAD + 12 * count, HEAD + 12 * count + 2 * sum(sizes)
    total = (len(blob) - start) // (wide + 2)
    member = np.frombuffer(blob, U2, sizes[number], members + 2 * sum(sizes[:number]))[first:last]
    value = np.frombuffer(blob, F4, count, HEAD + 4 * count)[member].astype(np.float64)
    active = np.frombuffer(blob, U2, count, HEAD + 10 * count).astype(np.int64)
    own = active[member]
    # The place of each activation: the hit's first one, and then as many steps as it is away from it.
    places = ((active.cumsum() - active)[member] - (own.cumsum() - own)).repeat(own)
    places += np.arange(len(places))
    share = np.frombuffer(blob, U2, total, start + wide * total)[places]
    return HitArrays(
        np.frombuffer(blob, U4, count, HEAD)[member],
        value,
        np.frombuffer(blob, U2, count, HEAD + 8 * count)[member],
        own,
        np.frombuffer(blob, U1 if wide == 1 else U2, total, start)[places],
        share / UNIT * value.repeat(own),
        share,
    )


def unpack_first(blob: bytes, group: Group) -> PackedHit | None:
    """The first hit of a group: a small part of the work of `unpack`. None where it has none."""
    head = np.frombuffer(blob, "<u2", HEAD // 2)
    members = _members(blob, head, group)
    if not len(members):
        return None
    count, wide, place = int(head[-2]), int(head[-1]), int(members[0])
    active = np.frombuffer(blob, "<u2", count, HEAD + 10 * count)
    own, before, total = int(active[place]), int(active[:place].sum()), int(active.sum())
    start = HEAD + 12 * count + 2 * int(head[:-2].sum())
    value = float(np.frombuffer(blob, "<f4", 1, HEAD + 4 * count + 4 * place)[0])
    positions = np.frombuffer(blob, f"<u{wide}", own, start + wide * before)
    share = np.frombuffer(blob, "<u2", own, start + wide * total + 2 * before) / UNIT
    return PackedHit(
        int.from_bytes(blob[HEAD + 4 * place : HEAD + 4 * place + 4], "little"),
        int(np.frombuffer(blob, "<u2", 1, HEAD + 8 * count + 2 * place)[0]),
        tuple(positions.tolist()),
        tuple((share * value).tolist()),
    )


def unpack_at(blob: bytes, context: int) -> PackedHit | None:
    """The hit in one context, whatever groups it is in; of two, one on each side of zero, that above. None where there is none."""
    for group in GROUPS:
        for hit in unpack(blob, group):
            if hit.context == context:
                return hit
    return None


def unpack_contexts(blob: bytes, groups: Sequence[Group]) -> list[list[int]]:
    """The contexts of some groups' hits alone, in stored order: a small part of the work of `unpack`."""
    head = np.frombuffer(blob, "<u2", HEAD // 2)
    context = np.frombuffer(blob, "<u4", int(head[-2]), HEAD)
    return [context[_members(blob, head, group)].tolist() for group in groups]


def unpack_peaks(
    blob: bytes,
) -> tuple[NDArray[np.uint32], NDArray[np.uint16], list[NDArray[np.uint16]]]:
    """`context[h]` and `peak[h]` of the distinct hits, and for each of GROUPS its members' places among them. Views."""
    head = np.frombuffer(blob, "<u2", HEAD // 2)
    count = int(head[-2])
    context, peak = np.frombuffer(blob, "<u4", count, HEAD), np.frombuffer(blob, "<u2", count, HEAD + 8 * count)
    member = np.frombuffer(blob, "<u2", int(head[:-2].sum()), HEAD + 12 * count)
    return context, peak, np.split(member, np.cumsum(head[:-3], dtype=np.int64))


def group_sizes(blob: bytes) -> list[int]:
    """How many hits each of GROUPS has."""
    sizes: list[int] = np.frombuffer(blob, "<u2", len(GROUPS)).tolist()
    return sizes


def _members(blob: bytes, head: NDArray[np.uint16], group: Group) -> NDArray[np.uint16]:
    number = GROUPS.index(group)
    before = int(head[:number].sum())
    return np.frombuffer(blob, "<u2", int(head[number]), HEAD + 12 * int(head[-2]) + 2 * before)


def _bytes(array: NDArray[Any], dtype: str) -> bytes:
    return np.ascontiguousarray(array, dtype).tobytes()


def pack_related(features: NDArray[np.integer], values: NDArray[np.floating]) -> list[bytes]:
    """One blob a row of `features[row, n]` and `values[row, n]`: u32 feature[n], then f32 value[n].

    Features below 0 stand for none, and end their row.
    """
    n = features.shape[1]
    sizes = (features >= 0).sum(1)
    whole = np.concatenate([features.astype("<u4"), np.ascontiguousarray(values, "<f4").view("<u4")], axis=1)
    return [
        (row if size == n else np.concatenate([row[:size], row[n : n + size]])).tobytes()
        for row, size in zip(whole, sizes.tolist(), strict=True)
    ]


def unpack_related(blob: bytes) -> list[tuple[int, float]]:
    """The (feature, value) pairs of a blob, in stored order."""
    count = len(blob) // 8
    whole = struct.unpack(f"<{count}I{count}f", blob)
    return list(zip(whole[:count], whole[count:], strict=True))
