"""The blocked product against one that is made whole."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline import ranking
from pipeline.ranking import both_ways, extremes, largest


def sorted_whole(products: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.argsort(-products, axis=1, kind="stable")[:, :n]
    return index, np.take_along_axis(products, index, 1)


@pytest.fixture(params=[(1024, 2**23), (7, 100)], ids=["one-block", "many-blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "ROWS", request.param[0])
    monkeypatch.setattr(ranking, "PRODUCTS", request.param[1])


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("n", [1, 5, 30, 99])
def test_the_largest_and_smallest_products_in_order_with_ties_by_index(n: int) -> None:
    random = np.random.default_rng(n)
    # Small whole numbers: products are exact, many are equal, and some are zero.
    rows, keys = (torch.from_numpy(random.integers(-2, 3, (size, 4)).astype(np.float32)) for size in (23, 40))
    products = (rows @ keys.T).numpy()
    index, value = sorted_whole(products, n)
    found = largest(rows, keys, n)
    assert found.index.shape == (23, min(n, 40))
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_array_equal(found.value, value)
    top, bottom = extremes(rows, keys, n)
    np.testing.assert_array_equal(top.index, index)
    np.testing.assert_array_equal(bottom.index, sorted_whole(-products, n)[0])
    np.testing.assert_array_equal(bottom.value, -sorted_whole(-products, n)[1])


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("n", [1, 5, 30, 99])
@pytest.mark.parametrize("size", [23, 400])
def test_one_product_ranks_both_ways(n: int, size: int) -> None:
    random = np.random.default_rng(n)
    rows, keys = (torch.from_numpy(random.integers(-2, 3, (m, 4)).astype(np.float32)) for m in (size, 40))
    with FlopCounterMode(display=False) as counted:
        there, back = both_ways(rows, keys, n)
    assert counted.get_total_flops() == 2 * 4 * size * 40
    for found, expected in ((there, largest(rows, keys, n)), (back, largest(keys, rows, n))):
        np.testing.assert_array_equal(found.index, expected.index)
        np.testing.assert_array_equal(found.value, expected.value)


def test_values_are_exact_sums_rounded_once() -> None:
    draw = torch.Generator().manual_seed(0)
    rows, keys = torch.randn(50, 64, generator=draw), 1 + torch.randn(3000, 64, generator=draw)
    products = (rows.double() @ keys.double().T).numpy()
    for found, exact in zip(extremes(rows, keys, 120), (products, -products), strict=True):
        index, value = sorted_whole(exact, 120)
        np.testing.assert_array_equal(found.index, index)
        np.testing.assert_allclose(np.abs(found.value), np.abs(value), rtol=2e-7)


@pytest.mark.usefixtures("blocks")
def test_no_row_is_ranked_for_itself() -> None:
    rows = torch.nn.functional.normalize(torch.randn(25, 6, generator=torch.Generator().manual_seed(0)))
    found = largest(rows, rows, 30, itself=False)
    assert found.index.shape == (25, 24)
    products = (rows @ rows.T).numpy()
    np.fill_diagonal(products, -np.inf)
    np.testing.assert_array_equal(found.index, sorted_whole(products, 24)[0])
    assert np.isfinite(found.value).all()
