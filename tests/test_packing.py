"""Packed hits come back as they were: every group, both widths of positions, values within what the format promises."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store.packing import GROUPS, UNIT, Group, HitColumns, PackedHit, pack, unpack, unpack_contexts, unpack_first

Hit = tuple[int, int, dict[int, float]]  # feature, context, activations by position


def columns(hits: list[Hit]) -> HitColumns:
    extremes = [max(tokens.values(), key=abs) for _, _, tokens in hits]
    peaks = [min(p for p, v in tokens.items() if v == top) for (_, _, tokens), top in zip(hits, extremes, strict=True)]
    return HitColumns(
        feature=np.array([feature for feature, _, _ in hits], np.uint32),
        context=np.array([context for _, context, _ in hits], np.uint32),
        value=np.array(extremes, np.float32),
        peak=np.array(peaks, np.uint16),
        active=np.array([len(tokens) for _, _, tokens in hits], np.uint16),
        positions=np.array([p for _, _, tokens in hits for p in tokens], np.uint16),
        values=np.array([v for _, _, tokens in hits for v in tokens.values()], np.float32),
    )


@st.composite
def packable(draw: st.DrawFn) -> tuple[list[Hit], dict[Group, list[int]]]:
    """Distinct hits in order, of one sign each, and groups that name some of them."""
    width = draw(st.sampled_from([8, 256, 4096]))
    places = draw(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 2**32 - 1)), max_size=12))
    hits = []
    for feature, context in sorted(places):
        sign = draw(st.sampled_from([1.0, -1.0]))
        positions = sorted(draw(st.sets(st.integers(0, width - 1), min_size=1, max_size=6)))
        sizes = st.floats(2.0**-10, 100, width=32)
        hits.append((feature, context, {p: sign * draw(sizes) for p in positions}))
    groups: dict[Group, list[int]] = {}
    for group in GROUPS:
        some = draw(st.permutations(range(len(hits))))[: draw(st.integers(0, len(hits)))]
        groups[group] = sorted(some, key=lambda place: hits[place][0])
    return hits, groups


@settings(max_examples=60, deadline=None)
@given(packable())
def test_every_group_comes_back(given_hits: tuple[list[Hit], dict[Group, list[int]]]) -> None:
    hits, groups = given_hits
    packed = columns(hits)
    blobs = dict(pack(packed, {group: np.array(places, np.int64) for group, places in groups.items()}))
    assert set(blobs) == {feature for feature, _, _ in hits}
    for feature, blob in blobs.items():
        for group, places in groups.items():
            wanted = [place for place in places if hits[place][0] == feature]
            found = unpack(blob, group)
            assert unpack_first(blob, group) == (found[0] if found else None)
            assert [hit.context for hit in found] == [hits[place][1] for place in wanted]
            for hit, place in zip(found, wanted, strict=True):
                tokens = hits[place][2]
                assert (hit.peak, hit.value) == (packed.peak[place], packed.value[place])
                assert hit.positions == tuple(tokens)
                assert hit.values == pytest.approx(tuple(tokens.values()), abs=abs(hit.value) / UNIT)
                assert all(value * hit.value > 0 for value in hit.values)
        listed = unpack_contexts(blob, ["q3", "top"])
        assert listed == [[hit.context for hit in unpack(blob, group)] for group in ("q3", "top")]


def test_one_hit_in_two_groups_is_stored_once() -> None:
    hits = columns([(0, 7, {3: 2.0, 9: 1.0})])
    ((_, once),) = pack(hits, {"top": np.array([0])})
    ((_, twice),) = pack(hits, {"top": np.array([0]), "q1": np.array([0])})
    assert len(twice) == len(once) + 2
    assert unpack(twice, "q1") == unpack(once, "top") == (PackedHit(7, 3, (3, 9), (2.0, pytest.approx(1.0, abs=1e-4))),)


@pytest.mark.parametrize("change", [lambda blob: blob[:-1], lambda blob: blob + b"\0"])
def test_a_blob_of_the_wrong_length_is_refused(change: Callable[[bytes], bytes]) -> None:
    ((_, blob),) = pack(columns([(0, 7, {3: 2.0})]), {"top": np.array([0])})
    with pytest.raises(ValueError, match="bytes should have"):
        unpack(change(blob), "top")
