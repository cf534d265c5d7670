"""The Dictionary: directions, biases and an activation rule. Random and trained ones differ in `kind` alone."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.files import read_tensors, write_tensors

BLOCK = 256  # rows encoded at a time: small enough for the block of pre-activations to stay in cache


@dataclass(frozen=True, slots=True)
class Codes:
    """Features that fire on each token: `index[token, k]` (int32), `value[token, k]` (float32, 0 where fewer than k fire)."""

    index: Tensor
    value: Tensor


@dataclass(frozen=True, slots=True)
class Dictionary:
    """`encoder[m, d]`, `b_enc[m]`, `decoder[m, d]` (None until fitted), `b_dec[d]`; the rule is top-k, then ReLU.

    A centred dictionary subtracts b_dec before it encodes; a raw one (the blog post's literal text) does not.
    """

    kind: str
    encoder: Tensor
    b_enc: Tensor
    decoder: Tensor | None
    b_dec: Tensor
    k: int
    centred: bool = True

    @property
    def m(self) -> int:
        return len(self.encoder)

    @property
    def rule(self) -> str:
        return "topk"

    @torch.inference_mode()
    def encode(self, x: Tensor) -> Codes:
        """Encode `x[token, d]`: the k largest of `(x − b_dec) · encoder + b_enc`, negative ones set to 0."""
        index = torch.empty(len(x), self.k, dtype=torch.int32)
        value = torch.empty(len(x), self.k)
        weights = self.encoder.T
        bias = self.b_enc - self.encoder @ self.b_dec if self.centred else self.b_enc
        for start in range(0, len(x), BLOCK):
            pre = torch.addmm(bias, x[start : start + BLOCK], weights)
            top = pre.topk(self.k, dim=1, sorted=False)
            index[start : start + BLOCK] = top.indices
            value[start : start + BLOCK] = top.values.relu()
        return Codes(index, value)

    def decode(self, codes: Codes) -> Tensor:
        """Reconstruct `x̂[token, d]`."""
        if self.decoder is None:
            raise ValueError("this dictionary has no decoder yet")
        return decode(codes, self.decoder) + self.b_dec

    def hash(self) -> str:
        """SHA-256 (hex) of the weights."""
        sha = hashlib.sha256(f"{self.kind}/{self.rule}/{self.k}/{self.centred}".encode())
        for tensor in (self.encoder, self.b_enc, self.decoder, self.b_dec):
            if tensor is not None:
                sha.update(tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def save(self, path: Path) -> None:
        tensors = {"encoder": self.encoder, "b_enc": self.b_enc, "b_dec": self.b_dec}
        if self.decoder is not None:
            tensors["decoder"] = self.decoder
        write_tensors(path, tensors, {"kind": self.kind, "k": str(self.k), "centred": str(self.centred)})

    @classmethod
    def load(cls, path: Path, kind: str, k: int, centred: bool) -> "Dictionary":
        tensors = read_tensors(path)
        return cls(kind, tensors["encoder"], tensors["b_enc"], tensors.get("decoder"), tensors["b_dec"], k, centred)


def decode(codes: Codes, decoder: Tensor) -> Tensor:
    """The sum of `value × decoder row` over the k features of each token, `[token, d]`, without dense codes."""
    return torch.nn.functional.embedding_bag(codes.index, decoder, per_sample_weights=codes.value, mode="sum")
