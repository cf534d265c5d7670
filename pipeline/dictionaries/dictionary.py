"""The Dictionary: directions, biases and an activation rule. Random and trained ones differ in `kind` alone."""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from pipeline.dictionaries.codes import Codes
from pipeline.dictionaries.normalisation import Normalisation, normalise, undo
from pipeline.dictionaries.rules import AbsoluteTopK, Collector, Cut, GroupMax, Rule, TopK
from pipeline.dictionaries.shortlist import Shortlister, Shortlisting
from pipeline.files import read_tensors, read_tensors_header, write_tensors

BLOCK = 256  # rows encoded at a time: small enough for the block of pre-activations to stay in cache
DEVICE_ENTRIES = 2**28  # pre-activations at a time on a CUDA device

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Dictionary:
    """`encoder[m, d]`, `b_enc[m]`, `decoder[m, d]` (None until fitted, or where there is none), `b_dec[d]`, and a rule.

    Encoding: normalise x; subtract b_dec where `centred` (a raw one, the blog post's literal text, does not); then
    pre = x · encoder + b_enc; then the rule:

    - topk: the k largest, those above 0 (`postact="identity"`: whatever their sign)
    - absolute-topk: the k largest in magnitude, with their signs
    - groupmax: the largest of each of k groups of m/k neighbours, where above 0
    - relu: those above 0; jumprelu, batch-topk: those above 0 and `threshold`
    - gated: where x · encoder + b_gate > 0, relu(e^r_mag · (x · encoder) + b_enc)

    Reconstruction: codes · decoder + b_dec, brought back from the normalisation.
    """

    kind: str
    rule: Rule
    encoder: Tensor
    b_enc: Tensor
    decoder: Tensor | None
    b_dec: Tensor
    k: int | None = None  # topk, absolute-topk, groupmax; the mean L0 aimed at by batch-topk
    threshold: Tensor | None = None  # [m], or one for all: jumprelu, batch-topk
    centred: bool = True
    normalisation: Normalisation = "none"
    provenance: dict[str, Any] = field(default_factory=dict)
    postact: Literal["relu", "identity"] = "relu"
    b_gate: Tensor | None = None  # [m]: gated
    r_mag: Tensor | None = None  # [m]: gated
    reconstructs: bool = True  # false for a transcoder: its decoder writes something else than it reads
    dead: Tensor | None = None  # bool[m]: fired on nothing in its training, as its file says

    @property
    def m(self) -> int:
        return len(self.encoder)

    @property
    def signed(self) -> bool:
        """Whether features fire on both sides of zero, so that they have two tails."""
        return self.rule == "absolute-topk" or (self.rule == "topk" and self.postact == "identity")

    @torch.inference_mode()
    def encode(self, x: Tensor, precision: Precision = "float32") -> Codes:
        """Encode `x[token, d]` on the device where it is. In bfloat16 both operands of the product, and it, are rounded.

        On a CPU, top-k rules in float32 are exact: values are float64 sums, rounded once (`pipeline.dictionaries.shortlist`).
        """
        ready = _ready(self, x.device, precision)
        run = ready.begin(len(x))
        rows = BLOCK if x.device.type == "cpu" else max(BLOCK, DEVICE_ENTRIES // self.m // BLOCK * BLOCK)
        for start in range(0, len(x), rows):
            part = normalise(x[start : start + rows].float(), self.normalisation)
            if self.centred:
                part = part - ready.b_dec
            run.add(part, slice(start, start + len(part)))
        return run.codes()

    def decode(self, codes: Codes, x: Tensor | None = None) -> Tensor:
        """Reconstruct `x̂[token, d]`; under a normalisation, from the activations `x[token, d]` that were encoded."""
        if self.decoder is None:
            raise ValueError("this dictionary has no decoder")
        made = codes.decode(self.decoder) + self.b_dec
        if self.normalisation == "none" or not self.reconstructs:
            return made
        if x is None:
            raise ValueError(f"this dictionary reconstructs x from its codes and x itself ({self.normalisation})")
        return undo(made, x, self.normalisation)

    def hash(self) -> str:
        """SHA-256 (hex) of the weights and of what decides the encoding."""
        sha = hashlib.sha256(json.dumps(self._facts()).encode())
        for name, tensor in sorted(self._tensors().items()):
            if name != "dead":
                sha.update(name.encode())
                sha.update(tensor.contiguous().numpy().data)
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
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "provenance"}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def _facts(self) -> dict[str, Any]:
        names = ("kind", "rule", "k", "centred", "normalisation", "postact", "reconstructs")
        return {name: getattr(self, name) for name in names}


class _Run(Protocol):
    """An encoding of some tokens, taken by blocks of rows."""

    def add(self, x: Tensor, rows: slice) -> None:
        """Encode `x[row, d]`, normalised and centred, the tokens `rows`."""

    def codes(self) -> Codes:
        """What fired on all tokens."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A dictionary on a device, for products of one precision; made once a process."""

    b_dec: Tensor
    begin: Callable[[int], _Run]  # told how many tokens will come


class _Whole:
    """The product with all directions, `weights[d, m]` and `bias[m]` (None where it is 0 everywhere), then the rule."""

    def __init__(self, tokens: int, weights: Tensor, bias: Tensor | None, rule: Callable[[int], Collector]) -> None:
        self.weights = weights
        self.bias = bias
        self.collector = rule(tokens)
        self.buffer = weights.new_empty(0, weights.shape[1])

    def add(self, x: Tensor, rows: slice) -> None:
        if len(self.buffer) < len(x):
            self.buffer = self.weights.new_empty(len(x), self.weights.shape[1])
        x, pre = x.to(self.weights.dtype), self.buffer[: len(x)]
        if self.bias is None:
            torch.mm(x, self.weights, out=pre)
        else:
            torch.addmm(self.bias, x, self.weights, out=pre)
        self.collector.add(pre, rows)

    def codes(self) -> Codes:
        return self.collector.codes()


_prepared: WeakKeyDictionary[Dictionary, dict[tuple[torch.device, Precision], _Ready]] = WeakKeyDictionary()


def _ready(dictionary: Dictionary, device: torch.device, precision: Precision) -> _Ready:
    known = _prepared.setdefault(dictionary, {})
    if (device, precision) not in known:
        known[device, precision] = _prepare(dictionary, device, precision)
    return known[device, precision]


def _prepare(dictionary: Dictionary, device: torch.device, precision: Precision) -> _Ready:
    return _Ready(dictionary.b_dec.to(device), _beginning(dictionary, device, precision))


def _beginning(dictionary: Dictionary, device: torch.device, precision: Precision) -> Callable[[int], _Run]:
    k, absolute = dictionary.k, dictionary.rule == "absolute-topk"
    if (
        precision == "float32"
        and device.type == "cpu"
        and k is not None
        and dictionary.rule in ("topk", "absolute-topk")
    ):
        by = Shortlister.of(dictionary.encoder, dictionary.b_enc, k, absolute)
        return functools.partial(Shortlisting, by=by, positive=not dictionary.signed)
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    gated = dictionary.rule == "gated"
    bias = None if gated or not bool(dictionary.b_enc.any()) else dictionary.b_enc.to(device, dtype)
    weights = dictionary.encoder.to(device, dtype).T
    return functools.partial(_Whole, weights=weights, bias=bias, rule=_collector(dictionary, device))


def _collector(dictionary: Dictionary, device: torch.device) -> Callable[[int], Collector]:
    """Raises ValueError where a dictionary lacks what its rule needs."""
    k, threshold = dictionary.k, dictionary.threshold
    match dictionary.rule:
        case "topk" if k is not None:
            return functools.partial(TopK, k=k, device=device, positive=dictionary.postact == "relu")
        case "absolute-topk" if k is not None:
            return functools.partial(AbsoluteTopK, k=k, device=device)
        case "groupmax" if k is not None:
            return functools.partial(GroupMax, k=k, device=device)
        case "relu":
            return functools.partial(Cut, limit=torch.zeros(dictionary.m, device=device))
        case "jumprelu" | "batch-topk" if threshold is not None:
            limit = threshold.clamp_min(0).expand(dictionary.m).contiguous()
            return functools.partial(Cut, limit=limit.to(device))
        case "gated" if dictionary.b_gate is not None and dictionary.r_mag is not None:
            scale, shift = dictionary.r_mag.exp().to(device), dictionary.b_enc.to(device)
            return functools.partial(Cut, limit=-dictionary.b_gate.to(device), scale=scale, shift=shift)
    raise ValueError(f"a dictionary of rule {dictionary.rule!r} lacks its k, threshold or gate")
