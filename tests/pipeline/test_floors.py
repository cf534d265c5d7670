"""Floors against a dense computation, the formula, and the figures that others found."""

import numpy as np
import pytest
import torch

from pipeline.dictionaries.directions import random_sign
from pipeline.floors import TOKENS, expected_floor, floor, isotropic_floor, matched_tokens
from pipeline.hashing import derive


def test_a_floor_is_what_a_dense_computation_gives() -> None:
    n, m, k = 24, 96, 5
    x = torch.randn(500, n, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.2, 3, n)
    directions = random_sign(m, n, derive(7, "floor")).double().numpy()
    inner = x.double().numpy() @ directions.T
    kept = np.where(inner >= -np.sort(-inner, axis=1)[:, k - 1 : k], np.maximum(inner, 0), 0)
    made = kept @ directions
    tokens = x.double().numpy()
    scale = (tokens * made).sum() / (made**2).sum()
    expected = 1 - ((tokens - scale * made) ** 2).sum() / (tokens**2).sum()
    assert floor(x, m, k, 7) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("n", "m", "k", "known"), [(512, 16384, 32, 0.391), (1024, 32768, 32, 0.264)])
def test_the_isotropic_floor_at_the_sizes_of_real_dictionaries(n: int, m: int, k: int, known: float) -> None:
    assert isotropic_floor(n, m, k, seed=0, tokens=1024) == pytest.approx(known, abs=0.004)
    assert expected_floor(n, m, k) == pytest.approx(known, abs=0.004)


def test_matched_tokens_have_the_covariance_of_the_activations() -> None:
    mixed = torch.randn(4000, 6, generator=torch.Generator().manual_seed(3)) @ torch.randn(
        6, 6, generator=torch.Generator().manual_seed(4)
    )
    tokens = matched_tokens(mixed + 100, seed=5, tokens=40_000).numpy()
    wanted = np.cov(mixed.double().numpy().T, bias=True)
    np.testing.assert_allclose(np.cov(tokens.T), wanted, atol=0.03 * np.abs(wanted).max())
    assert np.abs(tokens.mean(0)).max() < 0.1
    assert len(matched_tokens(mixed, seed=5)) == TOKENS


def test_directions_that_leave_the_few_dimensions_of_the_tokens_explain_less() -> None:
    flat = torch.randn(3000, 64, generator=torch.Generator().manual_seed(6)) * (torch.arange(64) < 4)
    assert floor(matched_tokens(flat, seed=0), 256, 8, 0) < 0.8 * isotropic_floor(64, 256, 8, 0)


def test_the_same_seed_gives_the_same_floor_and_another_a_near_one() -> None:
    one, other = (isotropic_floor(64, 256, 8, seed) for seed in (1, 2))
    assert isotropic_floor(64, 256, 8, 1) == one != other
    assert one == pytest.approx(other, abs=0.02)


def test_no_more_can_fire_than_there_are() -> None:
    assert 0 < isotropic_floor(16, 4, 32, 0) < 1
