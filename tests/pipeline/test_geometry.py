"""Neighbours, MMCS and curves against cosines that are computed whole."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import random_sign
from pipeline.geometry import QUANTILES, Directions, compare, compare_both, mmcs


def dictionary(encoder: Tensor, decoder: Tensor | None = None) -> Dictionary:
    m, d = encoder.shape
    return Dictionary("any", "topk", encoder, torch.zeros(m), decoder, torch.zeros(d), k=2)


def drawn(m: int, seed: int) -> Tensor:
    return torch.randn(m, 8, generator=torch.Generator().manual_seed(seed)) * (1 + torch.arange(m)[:, None])


def cosines(a: Tensor, b: Tensor) -> np.ndarray:
    one, other = (x.double() / x.double().norm(dim=1, keepdim=True) for x in (a, b))
    return (one @ other.T).numpy()


def test_neighbours_in_another_dictionary() -> None:
    a, b = drawn(30, 0), drawn(150, 1)
    related, comparison = compare(Directions.of(dictionary(a)), Directions.of(dictionary(b)), "b", 4)
    whole = cosines(a, b)
    np.testing.assert_array_equal(related.feature, np.argsort(-whole, axis=1)[:, :4])
    ranked = -np.sort(-whole, axis=1)
    np.testing.assert_allclose(related.value, ranked[:, :4], atol=1e-6)
    assert (related.other, related.kind, comparison.other) == ("b", "neighbour", "b")
    assert comparison.mmcs == pytest.approx(ranked[:, 0].mean(), abs=1e-6)
    for rank in (1, 10, 100):
        np.testing.assert_allclose(comparison.curves[str(rank)], np.quantile(ranked[:, rank - 1], QUANTILES), atol=2e-6)
    assert mmcs(a, b) == pytest.approx(comparison.mmcs, abs=1e-6)
    assert mmcs(b, a) != pytest.approx(comparison.mmcs, abs=1e-3)


def test_both_directions_are_as_each_alone() -> None:
    a, b = drawn(30, 0), drawn(150, 1)
    a[3] = 0
    one, other = Directions.of_rows(a), Directions.of_rows(b)
    alone = compare(one, other, "b", 4), compare(other, one, "a", 4)
    for (related, comparison), (expected, compared) in zip(compare_both(one, other, ("a", "b"), 4), alone, strict=True):
        assert (related.other, comparison.other) == (expected.other, compared.other)
        np.testing.assert_array_equal(related.feature, expected.feature)
        np.testing.assert_allclose(related.value, expected.value, atol=1e-6)
        assert comparison.mmcs == pytest.approx(compared.mmcs, abs=1e-6)
        assert comparison.curves.keys() == compared.curves.keys()


def test_neighbours_within_a_dictionary_leave_the_feature_out() -> None:
    a = drawn(30, 0)
    related, comparison = compare(Directions.of(dictionary(a)), None, "a", 3)
    whole = cosines(a, a)
    np.fill_diagonal(whole, -np.inf)
    np.testing.assert_array_equal(related.feature, np.argsort(-whole, axis=1)[:, :3])
    assert comparison.mmcs == pytest.approx(whole.max(1).mean(), abs=1e-6)
    assert list(comparison.curves) == ["quantiles", "1", "10"]  # there is no hundredth of 29


def test_the_decoder_counts_and_the_encoder_where_there_is_none() -> None:
    encoder, decoder = drawn(20, 2), drawn(20, 3)
    assert torch.equal(Directions.of(dictionary(encoder, decoder)).rows, Directions.of_rows(decoder).rows)
    assert torch.equal(Directions.of(dictionary(encoder)).rows, Directions.of_rows(encoder).rows)


def test_a_row_without_a_direction_has_no_neighbours_and_is_nobodys() -> None:
    a = drawn(12, 4)
    a[3] = 0
    a[7, 1] = torch.nan
    related, comparison = compare(Directions.of_rows(a), None, "a", 10)
    assert (related.feature[[3, 7]] == -1).all()
    rest = [n for n in range(12) if n not in (3, 7)]
    assert set(related.feature[rest].ravel().tolist()) == set(rest)
    whole = cosines(a[rest], a[rest])
    np.fill_diagonal(whole, -np.inf)
    assert comparison.mmcs == pytest.approx(whole.max(1).mean(), abs=1e-6)


def test_one_feature_alone_and_none_at_all_have_no_neighbours() -> None:
    for rows in (torch.ones(1, 4), torch.zeros(3, 4)):
        related, comparison = compare(Directions.of_rows(rows), None, "a", 5)
        assert related.feature.shape == (len(rows), 0)
        assert (comparison.mmcs, list(comparison.curves)) == (0.0, ["quantiles"])
    related, _ = compare(Directions.of_rows(torch.ones(2, 4)), Directions.of_rows(torch.zeros(3, 4)), "b", 5)
    assert related.feature.shape == (2, 0)


def test_opposite_directions_are_far_apart() -> None:
    a = torch.eye(3)
    assert mmcs(a, -a) == 0


def test_the_nearest_neighbour_of_random_signs() -> None:
    """Mean largest cosine at n = 64, m = 2048 against the extreme of as many Gaussian cosines, which it is near to."""
    _, comparison = compare(Directions.of_rows(random_sign(2048, 64, 0)), None, "signs", 1)
    expected = np.sqrt(2 * np.log(2048) / 64) * (1 - (np.log(np.log(2048)) + np.log(4 * np.pi)) / (4 * np.log(2048)))
    assert comparison.mmcs == pytest.approx(expected, rel=0.08)
