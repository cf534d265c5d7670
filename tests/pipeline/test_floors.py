"""Floors against dense computations, the formula, and the figures that others found."""

import numpy as np
import pytest
import torch

from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import random_sign
from pipeline.floors import TOKENS, Matched, isotropic_floor, matched_floor, matched_tokens
from pipeline.hashing import derive
from pipeline.lab import theory

N, M, K = 64, 512, 8


@pytest.fixture(scope="module")
def matched() -> Matched:
    """Tokens whose variance falls with the axis, in a basis of their own."""
    turn = torch.linalg.qr(torch.randn(N, N, generator=torch.Generator().manual_seed(0))).Q
    x = torch.randn(20_000, N, generator=torch.Generator().manual_seed(1)) / torch.arange(1, N + 1).sqrt()
    return matched_tokens(x @ turn.T + 3, seed=5)


def dense(x: np.ndarray, directions: np.ndarray, k: int) -> np.ndarray:
    """Activations `[token, m]`: the k largest inner products, where above 0."""
    inner = x @ directions.T
    return np.where(inner >= -np.sort(-inner, axis=1)[:, k - 1 : k], np.maximum(inner, 0), 0)


def test_the_isotropic_floor_is_what_a_dense_computation_gives() -> None:
    directions = random_sign(96, 24, derive(7, "floor")).double().numpy()
    generator = np.random.Generator(np.random.Philox(derive(7, "isotropic")))
    x = generator.standard_normal((500, 24), np.float32).astype(np.float64)
    made = dense(x, directions, 5) @ directions
    scale = (x * made).sum() / (made**2).sum()
    expected = 1 - ((x - scale * made) ** 2).sum() / (x**2).sum()
    assert isotropic_floor(24, 96, 5, 7, tokens=500) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("n", "m", "k", "known"), [(512, 16384, 32, 0.391), (1024, 32768, 32, 0.264)])
def test_the_isotropic_floor_at_the_sizes_of_real_dictionaries(n: int, m: int, k: int, known: float) -> None:
    assert isotropic_floor(n, m, k, seed=0, tokens=1024) == pytest.approx(known, abs=0.004)
    assert theory.tied_fve(theory.energy_of_top_gaussian(n, m, k), k) == pytest.approx(known, abs=0.004)


def test_matched_tokens_have_the_covariance_of_the_activations() -> None:
    mixed = torch.randn(4000, 6, generator=torch.Generator().manual_seed(3)) @ torch.randn(
        6, 6, generator=torch.Generator().manual_seed(4)
    )
    found = matched_tokens(mixed + 100, seed=5, tokens=40_000)
    wanted = np.cov(mixed.double().numpy().T, bias=True)
    np.testing.assert_allclose(np.cov(found.tokens.numpy().T), wanted, atol=0.03 * np.abs(wanted).max())
    assert np.abs(found.tokens.numpy().mean(0)).max() < 0.1
    turned = (found.axes.T @ torch.from_numpy(wanted) @ found.axes).numpy()
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-3)
    assert len(matched_tokens(mixed, seed=5).tokens) == TOKENS


def test_the_matched_floor_is_that_of_one_scale_an_axis(matched: Matched) -> None:
    directions = random_sign(M, N, derive(0, "floor")).double().numpy()
    x, axes = matched.tokens.double().numpy(), matched.axes.numpy()
    made = dense(x, directions, K) @ directions
    left = 0.0
    for axis in axes.T:
        token, reconstruction = x @ axis, made @ axis
        scale = np.linalg.lstsq(reconstruction[:, None], token, rcond=None)[0]
        left += ((token - scale * reconstruction) ** 2).sum()
    assert matched_floor(matched, M, K, 0) == pytest.approx(1 - left / (x**2).sum(), abs=1e-6)


def test_the_matched_floor_is_near_what_a_decoder_fitted_row_by_row_reaches(matched: Matched) -> None:
    """And far above the isotropic one, which directions by themselves can't pass whatever the covariance is."""
    values = (matched.tokens.double() @ matched.axes).square().mean(0).sqrt()
    drawn = torch.randn(30_000, N, generator=torch.Generator().manual_seed(8)).double() * values
    fit, x = matched.tokens.new_tensor((drawn @ matched.axes.T).numpy()).split([26_000, 4_000])
    directions = random_sign(M, N, derive(0, "floor"))
    made = Dictionary("signs", "topk", directions, torch.zeros(M), None, torch.zeros(N), k=K, centred=False)
    codes = made.encode(fit).csr(M).astype(np.float64)
    decoder = np.linalg.solve((codes.T @ codes).toarray() + 1e-6 * np.eye(M), codes.T @ fit.double().numpy())
    found, wanted = made.encode(x), x.double().numpy()
    least_squares = 1 - ((wanted - found.csr(M) @ decoder) ** 2).sum() / (wanted**2).sum()
    tied = found.decode(directions).double().numpy()
    by_itself = (wanted * tied).sum() ** 2 / ((tied**2).sum() * (wanted**2).sum())
    floor = matched_floor(matched, M, K, 0)
    assert by_itself == pytest.approx(isotropic_floor(N, M, K, 0), abs=0.03)
    assert by_itself + 0.1 < floor < least_squares < floor + 0.06


def test_the_same_seed_gives_the_same_floor_and_another_a_near_one(matched: Matched) -> None:
    one, other = (isotropic_floor(N, M, K, seed) for seed in (1, 2))
    assert isotropic_floor(N, M, K, 1) == one != other
    assert one == pytest.approx(other, abs=0.02)
    assert matched_floor(matched, M, K, 1) == pytest.approx(matched_floor(matched, M, K, 2), abs=0.02)


def test_no_more_can_fire_than_there_are() -> None:
    assert 0 < isotropic_floor(16, 4, 32, 0) < 1
