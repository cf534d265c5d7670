"""Directions that need no training, of every kind that a build file can ask for.

They live in the space that the encoder reads: activations less the mean or, for a whitened encoding, those times Σ^−½.
Data points, centroids, components and embeddings are taken there; principal components are the same in both. Each kind is
drawn by seed from the sample in memory, on one thread.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from app.errors import UserError
from pipeline.arithmetic import one_thread
from pipeline.dictionaries.clusters import k_means
from pipeline.dictionaries.covariance import Axes, unit, whitening_axes
from pipeline.dictionaries.independent import independent_components
from pipeline.entries import NATURAL_SIZE, MadeConfig
from pipeline.hashing import derive, mix

Which = Literal["embedding", "unembedding"]
Encoding = Literal["centred", "raw", "whitened"]
EMBEDDINGS: tuple[Which, ...] = ("embedding", "unembedding")


def reads_sample(config: MadeConfig) -> bool:
    """Whether anything of the dictionary follows from the sample's activations, beside their mean."""
    apart = config.kind in ("random-sign", "gaussian", "neurons") or config.kind in EMBEDDINGS
    return not apart or config.encoding == "whitened" or config.rule == "batch-topk"


def directions(
    config: MadeConfig,
    m: int,
    x: Tensor,
    mean: Tensor,
    seed: int,
    matrix: Callable[[Which], Tensor],
    note: Callable[[str], None] = lambda _: None,
) -> Tensor:
    """Unit rows `[m, d]` of `config.kind`, from fitting activations `x[token, d]` with their `mean[d]`; x may be empty where
    `reads_sample` says so.

    `matrix` gives the model's embedding or unembedding, `[vocabulary, d]`; `note` hears of what should be known of the
    result. Raises UserError where the kind has no m directions here.
    """
    kind, d = config.kind, len(mean)
    _check_size(config, m, d, len(x))
    match kind:
        case "random-sign":
            return random_sign(m, d, seed)
        case "gaussian":
            return unit(_gaussian(m, d, seed))
        case "neurons":
            return torch.eye(d)[:m]
    with one_thread():
        if kind == "pca":
            return unit(Axes.of(x - mean).rows[:m])
        rows = _embedded(config, matrix(kind), m, d, seed) if kind in EMBEDDINGS else x - mean
        if config.encoding == "whitened":
            rows = (rows.double() @ whitening_axes(x, mean).power(-1)).float()
        return unit(rows if kind in EMBEDDINGS else _of_data(kind, rows, m, seed, note))


def random_sign(m: int, d: int, seed: int) -> Tensor:
    """`[m, d]` with entries ±1/√d, each sign by a fair coin ("Throwing darts in latent space"). Rows have length 1."""
    signs = np.random.Generator(np.random.Philox(seed)).integers(0, 2, (m, d), np.int8)
    return torch.from_numpy((2 * signs - 1).astype(np.float32) / np.float32(np.sqrt(d)))


def starting_rows(kind: str, m: int, x: Tensor, mean: Tensor, seed: int) -> Tensor:
    """Unit rows `[m, d]` from which training starts, of a kind that needs but the sample `x[token, d]` and its `mean[d]`.

    Raises UserError where the sample has too few tokens.
    """
    match kind:
        case "random-sign":
            return random_sign(m, len(mean), seed)
        case "gaussian":
            return unit(_gaussian(m, len(mean), seed))
    with one_thread():
        return unit(_of_data(kind, x - mean, m, seed, lambda _: None))


def encoder_of(directions: Tensor, x: Tensor, mean: Tensor, encoding: Encoding) -> Tensor:
    """`encoder[m, d]` that reads `directions[m, d]` off activations: times Σ^−½ for a whitened encoding, else as they are."""
    if encoding != "whitened":
        return directions
    with one_thread():
        return (directions.double() @ whitening_axes(x, mean).power(-1)).float()


def tied_rows(directions: Tensor, x: Tensor, mean: Tensor, encoding: Encoding) -> Tensor:
    """`rows[m, d]` that a tied decoder scales: `directions[m, d]` brought back from the whitened space, times Σ^½."""
    if encoding != "whitened":
        return directions
    with one_thread():
        return (directions.double() @ whitening_axes(x, mean).power(1)).float()


def check_natural_size(config: MadeConfig, m: int, d: int) -> None:
    """Raises UserError where a kind that has one direction a dimension is to have more than d."""
    if config.kind in NATURAL_SIZE and m > d:
        raise UserError(
            f"dictionary {config.name!r}: {config.kind} has at most as many directions as the model is wide, {d}, and m = {m}; "
            "drop m."
        )


def _check_size(config: MadeConfig, m: int, d: int, tokens: int) -> None:
    check_natural_size(config, m, d)
    if config.kind in ("pca", "ica") and tokens <= m:
        raise UserError(
            f"dictionary {config.name!r}: {m} components need more tokens than that, and the sample has {tokens}; "
            "raise `sample` or `contexts`, or lower m."
        )


def _of_data(kind: str, rows: Tensor, m: int, seed: int, note: Callable[[str], None]) -> Tensor:
    """`[m, d]`, not scaled yet, from the sample's `rows[token, d]`, less their mean and whitened where that is asked for."""
    match kind:
        case "covariance-gaussian":
            axes = Axes.of(rows)
            return (_gaussian(m, rows.shape[1], seed).double() * axes.variance.sqrt()) @ axes.rows
        case "data-points":
            return _drawn(rows, m, seed)
        case "k-means":
            with one_thread("medium"):
                return k_means(rows, _drawn(rows, m, seed))
        case "ica":
            with one_thread("medium"):
                return independent_components(rows, m, seed, note)
    raise ValueError(f"no directions of kind {kind!r} are made here")


def _gaussian(m: int, d: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.Generator(np.random.Philox(seed)).standard_normal((m, d), np.float32))


def _drawn(centred: Tensor, m: int, seed: int) -> Tensor:
    """The m rows that have a direction and whose number in the sample has the smallest seeded hash."""
    order = torch.from_numpy(np.argsort(mix(seed, np.arange(len(centred))), kind="stable"))
    order = order[centred.abs().amax(1)[order] > 0]
    if len(order) < m:
        raise UserError(
            f"{m} directions from data points need as many tokens, and the sample has {len(order)} that differ from the "
            "mean; raise `sample` or `contexts`, or lower m."
        )
    return centred[order[:m]]


def _embedded(config: MadeConfig, matrix: Tensor, m: int, d: int, seed: int) -> Tensor:
    """As many rows of `matrix[vocabulary, d]`, by seed, less the mean of all."""
    if matrix.shape[1] != d:
        raise UserError(
            f"dictionary {config.name!r}: the model's embeddings are {matrix.shape[1]} wide, its activations {d}; "
            "use another kind."
        )
    if m > len(matrix):
        raise UserError(
            f"dictionary {config.name!r}: m = {m} is more than the {len(matrix)} tokens of the vocabulary; lower m."
        )
    order = np.argsort(mix(derive(seed, "rows"), np.arange(len(matrix))), kind="stable")[:m]
    return matrix[torch.from_numpy(order)] - matrix.mean(0)
