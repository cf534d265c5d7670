"""The TopK sparse autoencoder: x̂ = b + TopK(ReLU((x − b) E + e)) D, loss ‖x − x̂‖² (Gao et al. 2024, arXiv:2406.04093).

Gradients are written out by hand, because only k of m features take part for each token: two matrix products (choosing
the features, and the gradient of their activations) and sparse sums for everything else, in place of six dense products.
Decoder rows keep length 1: the gradient's part along the row is removed, and the row rescaled after each step.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from pipeline.dictionaries.dictionary import BLOCK


@dataclass(slots=True)
class TopKParameters:
    """`encoder[m, d]`, `decoder[m, d]`, `b_enc[m]`, `b_dec[d]`, in units in which activations have mean 0 and spread 1."""

    encoder: Tensor
    decoder: Tensor
    b_enc: Tensor
    b_dec: Tensor

    @classmethod
    def start(cls, directions: Tensor, x: Tensor, k: int) -> "TopKParameters":
        """Both matrices begin as the same unit directions `[m, d]`, the encoder times the scale that fits `x[token, d]` best."""
        m, d = directions.shape
        top = (x @ directions.T).topk(k, dim=1, sorted=False)
        unscaled = _decode(top.indices, top.values.relu(), directions)
        scale = (x * unscaled).sum() / unscaled.square().sum()
        return cls(directions * scale, directions.clone(), torch.zeros(m), torch.zeros(d))

    def tensors(self) -> list[Tensor]:
        return [self.encoder, self.decoder, self.b_enc, self.b_dec]


@dataclass(frozen=True, slots=True)
class Step:
    """One batch's loss (share of the variance left unexplained), its mean L0, and which features fired (`fired[m]`)."""

    loss: float
    l0: float
    fired: Tensor


def gradients(parameters: TopKParameters, x: Tensor, k: int) -> Step:
    """Set `.grad` of every parameter from a batch `x[token, d]`."""
    p = parameters
    m = len(p.encoder)
    centred = x - p.b_dec
    index, value = _encode(centred, p, k)
    error = _decode(index, value, p.decoder) + p.b_dec - x
    step = error * (2 / len(x))
    active = value > 0
    code_gradient = _at(index, step, p.decoder).mul_(active)
    by_feature = _ByFeature.of(index, m)
    p.decoder.grad = by_feature.sum(value, step)
    p.decoder.grad -= torch.linalg.vecdot(p.decoder.grad, p.decoder)[:, None] * p.decoder
    p.encoder.grad = by_feature.sum(code_gradient, centred)
    p.b_enc.grad = index.reshape(-1).bincount(code_gradient.reshape(-1), m)
    p.b_dec.grad = step.sum(0) - p.b_enc.grad @ p.encoder
    return Step(
        loss=float(error.square().sum() / len(x)),
        l0=float(active.sum()) / len(x),
        fired=index[active].bincount(minlength=m) > 0,
    )


def normalise(parameters: TopKParameters) -> None:
    parameters.decoder /= parameters.decoder.norm(dim=1, keepdim=True)


def _encode(centred: Tensor, p: TopKParameters, k: int) -> tuple[Tensor, Tensor]:
    """`index[token, k]` and `value[token, k]` of the strongest features, by blocks of rows that stay in cache."""
    index = torch.empty(len(centred), k, dtype=torch.int64)
    value = torch.empty(len(centred), k)
    weights, pre = p.encoder.T, torch.empty(BLOCK, len(p.encoder))
    for start in range(0, len(centred), BLOCK):
        rows = slice(start, min(start + BLOCK, len(centred)))
        block = torch.addmm(p.b_enc, centred[rows], weights, out=pre[: rows.stop - start])
        top = block.topk(k, dim=1, sorted=False)
        index[rows], value[rows] = top.indices, top.values.relu_()
    return index, value


def _decode(index: Tensor, value: Tensor, decoder: Tensor) -> Tensor:
    return torch.nn.functional.embedding_bag(index, decoder, per_sample_weights=value, mode="sum")


def _at(index: Tensor, rows: Tensor, directions: Tensor) -> Tensor:
    """`rows[token, d] · directions[index[token, k], d]`, `[token, k]`: a whole product by blocks beats gathering rows."""
    result = torch.empty(index.shape)
    weights, products = directions.T, torch.empty(BLOCK, len(directions))
    for start in range(0, len(rows), BLOCK):
        some = slice(start, min(start + BLOCK, len(rows)))
        block = torch.mm(rows[some], weights, out=products[: some.stop - start])
        torch.gather(block, 1, index[some], out=result[some])
    return result


@dataclass(frozen=True, slots=True)
class _ByFeature:
    """The (token, feature) pairs of a batch by feature, so that sums over tokens are one sparse product."""

    order: Tensor
    row_ends: Tensor
    tokens: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, index: Tensor, m: int) -> "_ByFeature":
        tokens, k = index.shape
        ends = np.arange(0, tokens * k + 1, k)
        pairs = sparse.csr_array((np.arange(tokens * k), index.numpy().reshape(-1), ends), shape=(tokens, m)).tocsc()
        order, row_ends, owners = (torch.from_numpy(part).long() for part in (pairs.data, pairs.indptr, pairs.indices))
        return cls(order, row_ends, owners, (m, tokens))

    def sum(self, weight: Tensor, rows: Tensor) -> Tensor:
        """For each feature the sum over its tokens of `weight[token, k]` × `rows[token, d]`: `[m, d]`."""
        values = weight.reshape(-1)[self.order]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            matrix = torch.sparse_csr_tensor(self.row_ends, self.tokens, values, self.shape, check_invariants=False)
        return matrix @ rows
