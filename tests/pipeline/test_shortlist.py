"""The exact top-k: no feature of the true k is missing, and no bit depends on how the hint was made."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dictionaries import Codes
from pipeline.dictionaries.shortlist import Shortlister, Shortlisting

HINTS = (torch.bfloat16, torch.float32)


def encode(
    x: torch.Tensor, encoder: torch.Tensor, bias: torch.Tensor, k: int, dtype: torch.dtype, absolute: bool = False
) -> Codes:
    run = Shortlisting(len(x), Shortlister.of(encoder, bias, k, absolute, dtype), positive=False)
    for start in range(0, len(x), 64):
        rows = slice(start, min(start + 64, len(x)))
        run.add(x[rows], rows)
    return run.codes()


def expected(
    x: torch.Tensor, encoder: torch.Tensor, bias: torch.Tensor, k: int, absolute: bool
) -> list[dict[int, float]]:
    """By float64 throughout; equal values go to the lower index."""
    pre = (x.double() @ encoder.double().T + bias.double()).numpy().astype(np.float32)
    by = np.abs(pre) if absolute else pre
    order = np.argsort(-by, axis=1, kind="stable")[:, :k]
    return [
        dict(zip(places.tolist(), row[places].tolist(), strict=True)) for places, row in zip(order, pre, strict=True)
    ]


def rows(codes: Codes) -> list[dict[int, float]]:
    bounds = codes.start.tolist()
    pairs = list(zip(codes.index.tolist(), codes.value.tolist(), strict=True))
    return [dict(pairs[start:end]) for start, end in pairwise(bounds)]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    d=st.integers(1, 200),
    m=st.integers(1, 2500),
    k=st.integers(1, 200),
    spread=st.sampled_from([0.0, 1.0, 4.0]),
    biased=st.booleans(),
    absolute=st.booleans(),
)
def test_nothing_of_the_true_k_is_missed(
    seed: int, d: int, m: int, k: int, spread: float, biased: bool, absolute: bool
) -> None:
    """Rows of very different lengths and a mean far from 0 make hints poor: values may differ in the last bit alone."""
    draw = torch.Generator().manual_seed(seed)
    k = min(k, m)
    encoder = torch.randn(m, d, generator=draw) * torch.exp(spread * torch.randn(m, 1, generator=draw))
    x = torch.randn(9, d, generator=draw) + spread
    bias = torch.randn(m, generator=draw) * biased
    found = [rows(encode(x, encoder, bias, k, dtype, absolute)) for dtype in HINTS]
    assert found[0] == found[1]
    for mine, true in zip(found[0], expected(x, encoder, bias, k, absolute), strict=True):
        both = mine.keys() & true.keys()
        assert all(mine[j] == pytest.approx(true[j], rel=2e-7, abs=1e-30) for j in both)
        assert len(mine) == len(true)
        for j in mine.keys() ^ true.keys():  # only where two sums round to neighbours
            value = (mine | true)[j]
            assert abs(value) == pytest.approx(
                min(map(abs, true.values())) if absolute else min(true.values()), rel=2e-7
            )


@pytest.mark.parametrize("dtype", HINTS)
def test_equal_values_go_to_the_lower_index(dtype: torch.dtype) -> None:
    encoder = torch.randn(40, 16, generator=torch.Generator().manual_seed(1)).repeat(60, 1)
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))
    none = torch.zeros(len(encoder))
    assert rows(encode(x, encoder, none, 70, dtype)) == expected(x, encoder, none, 70, absolute=False)


def test_hints_that_are_wrong_by_more_than_the_gap_change_nothing() -> None:
    """Thousands of directions so alike that bfloat16 can't tell them apart."""
    draw = torch.Generator().manual_seed(3)
    encoder = torch.randn(1, 64, generator=draw) + 1e-4 * torch.randn(3000, 64, generator=draw)
    x = torch.randn(20, 64, generator=draw)
    none = torch.zeros(3000)
    hints = (x.bfloat16() @ encoder.bfloat16().T).float().topk(8, dim=1).indices
    found = encode(x, encoder, none, 8, torch.bfloat16)
    assert rows(found) == expected(x, encoder, none, 8, absolute=False)
    assert [set(row) for row in hints.tolist()] != [set(row) for row in rows(found)]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", HINTS)
def test_what_is_not_finite_is_refused(wrong: float, dtype: torch.dtype) -> None:
    encoder = torch.ones(300, 4)
    encoder[200, 2] = wrong
    with pytest.raises(FloatingPointError):
        encode(torch.ones(2, 4), encoder, torch.zeros(300), 3, dtype)
