"""The k largest of each row against numpy's stable sort, ties included, compiled and by torch alone."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.topk import top_k, top_k_of_torch

WAYS = pytest.mark.parametrize("way", [top_k, top_k_of_torch], ids=["compiled", "torch"])
FEW_VALUES = [-np.inf, -2.0, -0.0, 0.0, 0.5, 0.5000001, 1.0, np.inf]


def found(way: object, pre: Tensor, k: int) -> list[list[tuple[int, float]]]:
    index, value = torch.empty(len(pre), k, dtype=torch.int32), torch.empty(len(pre), k)
    way(pre, k, index, value)  # type: ignore[operator]
    return [sorted(zip(*row, strict=True)) for row in zip(index.tolist(), value.tolist(), strict=True)]


def expected(pre: Tensor, k: int) -> list[list[tuple[int, float]]]:
    """By descending value, then index: numpy's stable sort of the negated values."""
    rows = pre.float().numpy()
    order = np.argsort(-rows, axis=1, kind="stable")[:, :k]
    return [sorted((int(i), float(row[i])) for i in some) for row, some in zip(rows, order, strict=True)]


@WAYS
@settings(max_examples=40, deadline=None)
@given(
    m=st.sampled_from([1, 7, 127, 128, 129, 1023, 1024, 1025, 3000]),
    share=st.floats(0, 1),
    ties=st.sampled_from(["none", "few values", "constant", "rounded"]),
    half=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@example(m=1024, share=1.0, ties="constant", half=False, seed=0)
@example(m=1025, share=0.0, ties="few values", half=True, seed=0)
def test_the_largest_with_ties_to_the_lower_index(
    way: object, m: int, share: float, ties: str, half: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    rows = {
        "none": lambda: random.standard_normal((3, m)),
        "few values": lambda: random.choice(FEW_VALUES, (3, m)),
        "constant": lambda: np.full((3, m), -1.5),
        "rounded": lambda: random.standard_normal((3, m)).round(1),
    }[ties]()
    pre = torch.from_numpy(rows).to(torch.bfloat16 if half else torch.float32)
    k = 1 + int(share * (min(m, 300) - 1))
    assert found(way, pre, k) == expected(pre, k)


@WAYS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("place", [0, 700, 1024, 1499])
def test_nan_is_refused_wherever_it_stands(way: object, place: int, dtype: torch.dtype) -> None:
    pre = torch.randn(4, 1500, dtype=dtype)
    pre[2, place] = torch.nan
    with pytest.raises(FloatingPointError, match="NaN"):
        found(way, pre, 5)


def test_columns_of_a_larger_block() -> None:
    """Rows need not be contiguous with one another."""
    block = torch.randn(6, 2048)
    assert found(top_k, block[:, 100:1300], 9) == expected(block[:, 100:1300], 9)
