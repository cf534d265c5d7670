"""Decoders against dense algebra in float64."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app.errors import UserError
from pipeline.dictionaries import Codes, Dictionary, conjugate, decoders
from pipeline.dictionaries.decoders import DENSE_LIMIT, Fidelity, add_moment, fidelity, least_squares

UNIT = 2.0**-40


def random_codes(tokens: int, m: int, k: int, seed: int = 0) -> Codes:
    """Codes with frequencies as skewed as those of real features; feature 3 never fires."""
    generator = np.random.default_rng(seed)
    popularity = generator.normal(0, 1.2, m)
    popularity[3] = -np.inf
    index = np.argsort(-(generator.gumbel(size=(tokens, m)) + popularity), axis=1)[:, :k].astype(np.int32)
    value = generator.lognormal(0, 0.5, (tokens, k)).astype(np.float32)
    value[generator.random((tokens, k)) < 0.1] = 0  # tokens have different numbers of features
    return Codes.of_top(torch.from_numpy(index), torch.from_numpy(value))


def dense(codes: Codes, m: int) -> NDArray[np.float64]:
    result = np.zeros((len(codes), m))
    result[codes.owners().numpy(), codes.index.numpy()] = codes.value.numpy()
    return result


def shards(codes: Codes, size: int) -> Callable[[], Iterable[Codes]]:
    tokens = torch.arange(len(codes))
    return lambda: [codes.take((tokens >= s) & (tokens < s + size)) for s in range(0, len(codes), size)]


def in_batches_of(codes: Codes, x: torch.Tensor, m: int, size: int) -> NDArray[np.int64]:
    total = np.zeros((m, x.shape[1]), np.int64)
    for part, rows in zip(shards(codes, size)(), x.split(size), strict=True):
        add_moment(total, part, rows, UNIT)
    return total


def expected(c: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    gram = c.T @ c
    return np.linalg.solve(gram + decoders.RIDGE * gram.diagonal().mean() * np.eye(len(gram)), right)


def distance(found: torch.Tensor, true: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(found.double().numpy() - true) / np.linalg.norm(true))


def test_moments_add_up_exactly() -> None:
    codes = random_codes(900, 40, 5)
    x = torch.randn(900, 7, generator=torch.Generator().manual_seed(0))
    total = in_batches_of(codes, x, 40, 100)
    np.testing.assert_allclose(total * UNIT, dense(codes, 40).T @ x.double().numpy(), atol=1e-9)
    assert not total[3].any()


@pytest.mark.parametrize("limit", [DENSE_LIMIT, 0], ids=["Cholesky", "conjugate gradients"])
@pytest.mark.parametrize("case", ["good", "bad", "signed"])
def test_least_squares_equals_a_dense_solve(limit: int, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "GROUP_ENTRIES", 1500)  # several groups, and some shards alone in one
    m = 60
    codes = random_codes(1200, m, 6)
    c = dense(codes, m)
    if case == "bad":  # two pairs that nearly always fire together, and scales five orders of magnitude apart
        c[:, 10] = c[:, 11] * 2 * (1 + 1e-4 * np.random.default_rng(1).normal(size=len(c)))
        c[:, 12] = c[:, 13]
        c[:, 20] *= 1e3
        c[:, 21] *= 1e-2
    if case == "signed":
        c *= np.random.default_rng(2).choice([-1, 1], c.shape)
    codes = ragged(c)
    x = torch.randn(1200, 9, generator=torch.Generator().manual_seed(1)).double().numpy()
    moment = dense(codes, m).T @ x
    found = least_squares(shards(codes, 170), moment, m, limit)
    assert distance(found, expected(dense(codes, m), moment)) < 1e-5
    assert found.dtype == torch.float32
    assert not found[3].any()


def ragged(c: NDArray[np.float64]) -> Codes:
    """Of a dense matrix; the features of a token in no order."""
    token, index = np.nonzero(c)
    order = np.lexsort((np.random.default_rng(0).random(len(token)), token))
    start = np.concatenate([[0], np.cumsum(np.bincount(token, minlength=len(c)))])
    value = c[token, index].astype(np.float32)
    return Codes(
        torch.from_numpy(start), torch.from_numpy(index[order].astype(np.int32)), torch.from_numpy(value[order])
    )


def test_fewer_tokens_than_features() -> None:
    codes = random_codes(50, 80, 4)
    x = np.random.default_rng(0).normal(size=(50, 5))
    moment = dense(codes, 80).T @ x
    true = expected(dense(codes, 80), moment)
    for limit in (DENSE_LIMIT, 0):
        assert distance(least_squares(shards(codes, 50), moment, 80, limit), true) < 1e-4


def test_the_decoder_does_not_depend_on_shards() -> None:
    codes, moment = random_codes(700, 30, 4), np.random.default_rng(0).normal(size=(30, 5))
    assert torch.equal(least_squares(shards(codes, 64), moment, 30), least_squares(shards(codes, 700), moment, 30))


def test_no_feature_fires() -> None:
    nothing = Codes(torch.zeros(4, dtype=torch.int64), torch.zeros(0, dtype=torch.int32), torch.zeros(0))
    assert torch.equal(least_squares(lambda: [nothing], np.zeros((8, 2)), 8), torch.zeros(8, 2))


def test_conjugate_gradients_that_do_not_converge_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conjugate, "STEPS", 3)
    codes = random_codes(300, 60, 6)
    with pytest.raises(UserError, match="not solved in 3 steps"):
        least_squares(shards(codes, 300), np.random.default_rng(0).normal(size=(60, 4)), 60, 0)


def dictionary(**options: object) -> Dictionary:
    generator = torch.Generator().manual_seed(0)
    encoder = torch.nn.functional.normalize(torch.randn(48, 16, generator=generator), dim=1)
    fields = {"decoder": encoder * 0.5, "b_dec": torch.full((16,), 2.0), "k": 4, **options}
    return Dictionary("gaussian", "topk", encoder, torch.zeros(48), **fields)  # type: ignore[arg-type]


def sample(tokens: int) -> torch.Tensor:
    return 2 + torch.randn(tokens, 16, generator=torch.Generator().manual_seed(tokens))


@pytest.mark.parametrize("normalisation", ["none", "layer-norm", "constant-norm"])
def test_fidelity_is_the_dense_formula(normalisation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "TOKENS_AT_A_TIME", 100)
    made, held_out, fit = dictionary(normalisation=normalisation), sample(250), sample(400)
    mean = fit.mean(0)
    result = fidelity(held_out, fit, made, mean)

    def explained(x: torch.Tensor) -> float:
        error = (x - made.decode(made.encode(x), x)).double().square().sum()
        return 1 - float(error / (x - mean).double().square().sum())

    assert result.fve == pytest.approx(explained(held_out), abs=1e-6)
    assert result.fve_fit == pytest.approx(explained(fit), abs=1e-6)
    error = (held_out - made.decode(made.encode(held_out), held_out)).double()
    assert result.mse == pytest.approx(float(error.square().mean()))
    assert result.l0 == pytest.approx(float((dense(made.encode(held_out), 48) != 0).sum() / 250))


def test_a_perfect_reconstruction_has_fve_1() -> None:
    made = Dictionary(
        "neurons", "absolute-topk", torch.eye(16), torch.zeros(16), torch.eye(16), torch.zeros(16), k=16, centred=False
    )
    result = fidelity(sample(50), sample(60), made, sample(60).mean(0))
    assert result.fve == pytest.approx(1, abs=1e-12)
    assert result.mse == pytest.approx(0, abs=1e-12)
    assert result.l0 == 16


@pytest.mark.parametrize("without", [{"decoder": None}, {"reconstructs": False}])
def test_without_a_reconstruction_only_l0_is_known(without: dict[str, object]) -> None:
    result = fidelity(sample(50), sample(60), dictionary(**without), sample(60).mean(0))
    assert result == Fidelity(None, None, None, 4.0)


def test_a_sample_without_variance_is_refused() -> None:
    with pytest.raises(UserError, match="the held-out sample has 0 tokens"):
        fidelity(torch.zeros(0, 16), sample(60), dictionary(), sample(60).mean(0))
    constant = torch.ones(20, 16)
    with pytest.raises(UserError, match="the fitting sample has 20 tokens, all of them alike"):
        fidelity(sample(60), constant, dictionary(), constant[0])
