"""Features by context and by token: what was packed comes back, in as many bytes as it takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store.postings import pack_postings, unpack_postings

ENTRY = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**20), st.integers(0, 2**16 - 1), st.integers(1, 255))


@given(st.lists(ENTRY, max_size=60))
def test_what_was_packed_comes_back(entries):
    columns = np.array(sorted(entries), np.int64).reshape(-1, 4).T
    packed = dict(pack_postings(columns[0], columns[1], [columns[2], columns[3]]))
    assert sorted(packed) == sorted(set(columns[0].tolist()))
    for group, blob in packed.items():
        found = np.array(unpack_postings(blob, 2))
        assert np.array_equal(found, columns[1:, columns[0] == group])


@pytest.mark.parametrize(
    ("features", "size"), [([3, 4, 200], 3 + 9), ([3, 4, 300], 3 + 12), ([3, 4, 70_000], 3 + 18), ([7, 7], 3 + 6)]
)
def test_features_are_stored_as_gaps_no_wider_than_they_must_be(features, size):
    ones = np.ones(len(features), np.int64)
    ((group, blob),) = pack_postings(ones * 5, np.array(features), [ones, ones])
    assert (group, len(blob)) == (5, size)
    assert unpack_postings(blob, 2)[0].tolist() == features


def test_a_damaged_blob_is_refused():
    ((_, blob),) = pack_postings(np.zeros(2, int), np.array([1, 2]), [np.array([9, 400])])
    for broken in (blob[:-1], blob + b"\0", b"", b"\x03" + blob[1:]):
        with pytest.raises(ValueError, match="are no postings"):
            unpack_postings(broken, 1)
