"""Every kind of direction against what defines it, written out in numpy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from app.errors import UserError
from pipeline.dictionaries import Dictionary, clusters, independent
from pipeline.dictionaries import directions as kinds
from pipeline.dictionaries.clusters import k_means
from pipeline.dictionaries.covariance import Axes, unit
from pipeline.dictionaries.directions import directions, encoder_of, random_sign, starting_rows, tied_rows
from pipeline.dictionaries.threshold import batch_topk_threshold
from pipeline.entries import AnyDictionary

D = 24
ALL = (
    "random-sign",
    "gaussian",
    "covariance-gaussian",
    "data-points",
    "k-means",
    "embedding",
    "unembedding",
    "pca",
    "ica",
    "neurons",
)


def sample(tokens: int = 2000, seed: int = 0) -> Tensor:
    """Skewed, correlated activations, far from zero."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(D, D, generator=generator) * torch.logspace(0.5, -1, D)
    return torch.randn(tokens, D, generator=generator).pow(3) @ mixing + 5


def vocabulary(which: str) -> Tensor:
    return torch.randn(90, D, generator=torch.Generator().manual_seed(len(which))) + 1


def draw(kind: str, m: int, seed: int = 0, x: Tensor | None = None, encoding: str = "centred", **more: Any) -> Tensor:
    config = TypeAdapter(AnyDictionary).validate_python(
        {"kind": kind, "name": "d", "title": "d", "site": "s", "m": m, "encoding": encoding, "seed": seed, "k": 2}
    )
    x = sample() if x is None else x
    return directions(config, m, x, x.mean(0), seed, vocabulary, **more)


def covariance(x: Tensor) -> NDArray[np.float64]:
    return np.cov(x.double().numpy().T, bias=True)


@pytest.mark.parametrize("encoding", ["centred", "raw", "whitened"])
@pytest.mark.parametrize("kind", ALL)
def test_rows_have_length_one_and_come_from_the_seed(kind: str, encoding: str) -> None:
    rows = draw(kind, 20, encoding=encoding)
    assert rows.shape == (20, D)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(20))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert torch.equal(rows, draw(kind, 20, encoding=encoding))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(rows, draw(kind, 20, seed=1, encoding=encoding)) == (kind in ("pca", "neurons"))


def test_random_signs_are_as_far_from_each_other_as_theory_says() -> None:
    products = random_sign(1024, 1024, 0) @ random_sign(1024, 1024, 0).T
    assert 0.143 < float((products - torch.eye(1024)).abs().max()) < 0.163


def test_gaussian_directions_have_no_preferred_axis() -> None:
    rows = draw("gaussian", 20_000).double()
    np.testing.assert_allclose(rows.T @ rows / 20_000 * D, np.eye(D), atol=6 * (2 / 20_000) ** 0.5)


def test_covariance_gaussian_has_the_covariance_of_the_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "unit", lambda rows: rows)  # before their lengths are made equal
    rows, x = draw("covariance-gaussian", 50_000), sample()
    true = covariance(x)
    assert np.linalg.norm(covariance(rows) - true) / np.linalg.norm(true) < 0.03
    assert float(rows.mean(0).abs().max()) < 5 * true.diagonal().max() ** 0.5 / 50_000**0.5


def test_principal_components_are_numpy_s() -> None:
    x = sample()
    rows = draw("pca", D, x=x).double().numpy()
    values, vectors = np.linalg.eigh(covariance(x))
    np.testing.assert_allclose(np.abs(np.sum(rows * vectors[:, ::-1].T, axis=1)), 1, atol=1e-6)
    np.testing.assert_allclose(np.diag(rows @ covariance(x) @ rows.T), values[::-1], rtol=1e-5)
    assert (rows[np.arange(D), np.abs(rows).argmax(1)] > 0).all()
    np.testing.assert_array_equal(rows[:7], draw("pca", 7, x=x).double().numpy())


def test_data_points_are_tokens_less_the_mean() -> None:
    x = sample()
    rows = starting_rows("data-points", 300, x, x.mean(0), 5)
    cosines = rows @ unit(x - x.mean(0)).T
    assert len(set(cosines.argmax(1).tolist())) == 300
    torch.testing.assert_close(cosines.amax(1), torch.ones(300))


def test_data_points_leave_out_tokens_that_are_the_mean() -> None:
    x = torch.cat([torch.eye(4), -torch.eye(4), torch.zeros(5, 4)])
    rows = starting_rows("data-points", 8, x, torch.zeros(4), 0)
    assert sorted(rows.tolist()) == sorted(x[:8].tolist())
    with pytest.raises(UserError, match=r"9 directions .* has 8 that differ from the mean; raise `sample`"):
        starting_rows("data-points", 9, x, torch.zeros(4), 0)


def lloyd(x: NDArray[np.float64], centroids: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    for _ in range(steps):
        distance = ((x[:, None] - centroids[None]) ** 2).sum(2)
        nearest = distance.argmin(1)
        far = iter(np.argsort(-distance.min(1), kind="stable"))
        centroids = np.array(
            [x[nearest == j].mean(0) if (nearest == j).any() else x[next(far)] for j in range(len(centroids))]
        )
    return centroids


def test_k_means_is_lloyd_s_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "ITERATIONS", 4)
    monkeypatch.setattr(clusters, "LEAST_GAIN", 0.0)
    x = sample(1500) - 5
    start = x[:40].clone()
    start[7] = start[8] = start[9]  # two that are left without a token
    expected = lloyd(x.double().numpy(), start.double().numpy(), 4)
    np.testing.assert_allclose(k_means(x, start).numpy(), expected, atol=1e-3)


def test_k_means_finds_clusters_far_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(D)[:6] * 50
    x = centres.repeat(100, 1) + torch.randn(600, D, generator=generator)
    rows = draw("k-means", 24, x=x)
    cosines = rows @ unit(centres - x.mean(0)).T
    assert float(cosines.amax(0).min()) > 0.99
    assert float(cosines.amax(1).min()) > 0.98


def test_k_means_of_as_many_points_as_centroids() -> None:
    x = sample(30)
    assert sorted(draw("k-means", 30, x=x).sum(1).tolist()) == pytest.approx(
        sorted(unit(x - x.mean(0)).sum(1).tolist()), abs=1e-5
    )


def sources() -> tuple[Tensor, Tensor]:
    """Independent sources with long tails, positive ones for the first half, and their mixture."""
    generator = torch.Generator().manual_seed(3)
    uniform = torch.rand(8000, 10, generator=generator)
    signed = torch.where(torch.rand(8000, 10, generator=generator) < 0.5, -1.0, 1.0)
    found = -uniform.log() * torch.where(torch.arange(10) < 5, 1.0, signed)
    return found, (found - found.mean(0)) @ torch.randn(10, 10, generator=generator)


def test_independent_components_are_found() -> None:
    true, x = sources()
    notes: list[str] = []
    rows = draw("ica", 10, x=x, note=notes.append)
    found = (x - x.mean(0)) @ rows.T
    correlations = np.corrcoef(found.T, true.T)[:10, 10:]
    assert (np.abs(correlations).max(0) > 0.98).all()
    assert sorted(np.abs(correlations).argmax(1)) == list(range(10))
    assert (correlations[:, :5].max(0) > 0.98).all()  # the long tail is the positive one
    assert notes == []


def test_independent_components_that_do_not_settle_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independent, "STEPS", 2)
    notes: list[str] = []
    rows = draw("ica", D, note=notes.append)
    assert bool(rows.isfinite().all())
    assert len(notes) == 1
    assert notes[0].startswith("FastICA did not converge in 2 steps")


def test_neurons_are_the_standard_basis() -> None:
    assert torch.equal(draw("neurons", D), torch.eye(D))
    assert torch.equal(draw("neurons", 5), torch.eye(D)[:5])


@pytest.mark.parametrize("kind", ["embedding", "unembedding"])
def test_embedding_rows_are_the_vocabulary_s_less_its_mean(kind: str) -> None:
    matrix = vocabulary(kind)
    cosines = draw(kind, 60) @ unit(matrix - matrix.mean(0)).T
    assert len(set(cosines.argmax(1).tolist())) == 60
    torch.testing.assert_close(cosines.amax(1), torch.ones(60))


@pytest.mark.parametrize(
    ("kind", "m", "tokens", "message"),
    [
        ("pca", 25, 2000, "pca has at most as many directions as the model is wide, 24, and m = 25; drop m"),
        ("ica", 25, 2000, "ica has at most"),
        ("neurons", 48, 2000, "neurons has at most"),
        ("pca", 24, 24, "24 components need more tokens than that, and the sample has 24; raise `sample`"),
        ("data-points", 51, 50, "51 directions from data points need as many tokens, and the sample has 50"),
        ("k-means", 51, 50, "51 directions from data points"),
        ("unembedding", 91, 2000, "m = 91 is more than the 90 tokens of the vocabulary; lower m"),
    ],
)
def test_what_cannot_be_drawn_is_refused(kind: str, m: int, tokens: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        draw(kind, m, x=sample(tokens))


def test_activations_that_do_not_vary_are_refused() -> None:
    flat = torch.full((100, D), 3.0)
    for kind in ("pca", "ica", "covariance-gaussian"):
        with pytest.raises(UserError, match="the 100 tokens of the sample are all alike"):
            draw(kind, 4, x=flat)
    thin = sample(500)
    thin[:, 3:] = 1
    with pytest.raises(UserError, match="activations vary along 3 axes only, so there are no 10 independent"):
        draw("ica", 10, x=thin)


def test_a_vocabulary_of_another_width_is_refused() -> None:
    config = TypeAdapter(AnyDictionary).validate_python(
        {"kind": "embedding", "name": "d", "title": "d", "site": "s", "m": 4, "encoding": "raw", "seed": 0, "k": 2}
    )
    with pytest.raises(UserError, match="embeddings are 16 wide, its activations 24"):
        directions(config, 4, sample(), torch.zeros(D), 0, lambda _: torch.ones(50, 16))


def test_whitened_activations_have_identity_covariance() -> None:
    x = sample(4000)
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(covariance(x))
    expected = vectors * (values + 1e-6 * values.mean()) ** -0.5 @ vectors.T
    encoder = encoder_of(torch.eye(D), x, mean, "whitened")
    np.testing.assert_allclose(encoder, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    well = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1))  # so that the ridge is nothing
    white = (well - well.mean(0)) @ encoder_of(torch.eye(D), well, well.mean(0), "whitened").T
    np.testing.assert_allclose(covariance(white), np.eye(D), atol=1e-3)
    assert torch.equal(encoder_of(torch.eye(D), x, mean, "raw"), torch.eye(D))


def test_tied_rows_undo_the_whitening() -> None:
    x = sample(4000)
    mean = x.mean(0)
    neurons = torch.eye(D)
    encoder, rows = (make(neurons, x, mean, "whitened") for make in (encoder_of, tied_rows))
    codes = (x - mean) @ encoder.T
    torch.testing.assert_close(codes @ rows, x - mean, rtol=1e-3, atol=1e-3)
    assert torch.equal(tied_rows(neurons, x, mean, "centred"), neurons)


def test_whitening_needs_more_tokens_than_dimensions() -> None:
    x = sample(D)
    with pytest.raises(UserError, match=r"more tokens in the sample than the model's width of 24, and there are 24"):
        encoder_of(torch.eye(D), x, x.mean(0), "whitened")


def test_data_points_of_a_whitened_encoding_are_whitened_tokens() -> None:
    x = sample()
    axes = Axes.of(x - x.mean(0))
    white = unit((x - x.mean(0)).double() @ axes.power(-1))
    assert float((draw("data-points", 50, x=x, encoding="whitened") @ white.T).amax(1).min()) > 0.9999


def make_batch_topk(k: int, shift: float = 0.0) -> Dictionary:
    return Dictionary(
        "gaussian",
        "batch-topk",
        draw("gaussian", 40),
        torch.full((40,), shift),
        None,
        sample().mean(0),
        k=k,
    )


def test_the_batch_topk_threshold_lets_k_fire_on_average() -> None:
    x = sample(1300)
    made = batch_topk_threshold(make_batch_topk(3), x)
    assert len(made.encode(x).value) == 3 * 1300
    pre = (x - made.b_dec) @ made.encoder.T
    assert made.threshold is not None
    np.testing.assert_allclose(made.threshold, np.sort(pre.numpy(), axis=None)[-3 * 1300 - 1], rtol=1e-5)
    counts = made.encode(x).start.diff()
    assert counts.min() < 3 < counts.max()  # not k for each


def test_a_batch_topk_threshold_is_never_negative() -> None:
    x = sample(600)
    made = batch_topk_threshold(make_batch_topk(39), x)
    assert made.threshold is not None
    assert float(made.threshold) == 0


DRAWN: dict[str, Callable[[], Tensor]] = {"k-means": lambda: draw("k-means", 60), "ica": lambda: draw("ica", D)}


@pytest.mark.parametrize("kind", DRAWN)
def test_drawing_leaves_torch_as_it_was(kind: str) -> None:
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    DRAWN[kind]()
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before
