"""The Dictionary: directions, biases and an activation rule. Random and trained ones differ in `kind` alone."""

import hashlib
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pipeline.dictionaries.codes import Codes
from pipeline.files import read_tensors, read_tensors_header, write_tensors

BLOCK = 256  # rows encoded at a time: small enough for the block of pre-activations to stay in cache

Rule = Literal["topk", "absolute-topk", "batch-topk", "relu", "jumprelu", "gated"]
Normalisation = Literal["none", "constant-norm", "layer-norm"]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """`encoder[m, d]`, `b_enc[m]`, `decoder[m, d]` (None until fitted, or where there is none), `b_dec[d]`, and a rule.

    Encoding: normalise x; subtract b_dec where `centred` (a raw one, the blog post's literal text, does not); then
    pre = x · encoder + b_enc; then the rule.
    """

    kind: str
    rule: Rule
    encoder: Tensor
    b_enc: Tensor
    decoder: Tensor | None
    b_dec: Tensor
    k: int | None = None  # topk, absolute-topk; the mean L0 aimed at by batch-topk
    threshold: Tensor | None = None  # [m]: jumprelu, batch-topk
    centred: bool = True
    normalisation: Normalisation = "none"
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def m(self) -> int:
        return len(self.encoder)

    @property
    def signed(self) -> bool:
        """Whether features fire on both sides of zero, so that they have two tails."""
        return self.rule == "absolute-topk"

    @torch.inference_mode()
    def encode(self, x: Tensor) -> Codes:
        """Encode `x[token, d]` by the dictionary's rule."""
        if self.rule != "topk" or self.k is None:
            raise NotImplementedError(self.rule)
        index = torch.empty(len(x), self.k, dtype=torch.int32)
        value = torch.empty(len(x), self.k)
        weights = self.encoder.T
        bias = self.b_enc - self.encoder @ self.b_dec if self.centred else self.b_enc
        for start in range(0, len(x), BLOCK):
            pre = torch.addmm(bias, x[start : start + BLOCK], weights)
            top = pre.topk(self.k, dim=1, sorted=False)
            index[start : start + BLOCK] = top.indices
            value[start : start + BLOCK] = top.values.relu()
        return Codes.of_top(index, value)

    def decode(self, codes: Codes) -> Tensor:
        """Reconstruct `x̂[token, d]`."""
        if self.decoder is None:
            raise ValueError("this dictionary has no decoder")
        return codes.decode(self.decoder) + self.b_dec

    def hash(self) -> str:
        """SHA-256 (hex) of the weights and of what decides the encoding."""
        sha = hashlib.sha256(json.dumps(self._facts()).encode())
        for name, tensor in sorted(self._tensors().items()):
            sha.update(name.encode())
            sha.update(tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def save(self, path: Path) -> None:
        header = {"dictionary": json.dumps({**self._facts(), "provenance": self.provenance})}
        write_tensors(path, self._tensors(), header)

    @classmethod
    def load(cls, path: Path) -> "Dictionary":
        """Read what `save` wrote."""
        tensors: dict[str, Any] = {"decoder": None, **read_tensors(path)}
        return cls(**tensors, **json.loads(read_tensors_header(path)["dictionary"]))

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def _facts(self) -> dict[str, Any]:
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in self._tensors() and field.name not in ("decoder", "threshold", "provenance")
        }
