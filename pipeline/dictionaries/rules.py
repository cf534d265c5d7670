"""Activation rules: from the pre-activations of some rows to the features that fire. One class for each way of choosing.

A collector takes blocks of rows, in order, and keeps indices and values only: what it is given is overwritten by the
next block. On a CUDA device it chooses there, and its codes come back to the CPU.
"""

from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.dictionaries import survivors
from pipeline.dictionaries.codes import Codes
from pipeline.topk import top_k

ROOMY_ROWS = 32  # room is made for as many rows in which everything fires, at a time

Rule = Literal["topk", "absolute-topk", "groupmax", "batch-topk", "relu", "jumprelu", "gated"]


class Collector(Protocol):
    def add(self, pre: Tensor, rows: slice) -> None:
        """Take the pre-activations `pre[row, m]` of the next tokens, `rows`."""

    def codes(self) -> Codes:
        """What fired on all tokens."""


class TopK:
    """The k largest pre-activations of a token; `positive`: cut off at 0 (before or after choosing is the same)."""

    def __init__(self, tokens: int, k: int, device: torch.device, positive: bool) -> None:
        self.index = torch.empty(tokens, k, dtype=torch.int32, device=device)
        self.value = torch.empty(tokens, k, device=device)
        self.positive = positive

    def add(self, pre: Tensor, rows: slice) -> None:
        top_k(pre, self.index.shape[1], self.index[rows], self.value[rows])

    def codes(self) -> Codes:
        value = self.value.relu_() if self.positive else self.value
        return Codes.of_top(self.index.cpu(), value.cpu())


class AbsoluteTopK(TopK):
    """The k pre-activations of a token that are largest in magnitude, with their signs."""

    def __init__(self, tokens: int, k: int, device: torch.device) -> None:
        super().__init__(tokens, k, device, positive=False)
        self.magnitude = torch.empty(0)

    def add(self, pre: Tensor, rows: slice) -> None:
        if len(self.magnitude) < len(pre):
            self.magnitude = torch.empty_like(pre)
        torch.abs(pre, out=self.magnitude[: len(pre)])
        top_k(self.magnitude[: len(pre)], self.index.shape[1], self.index[rows], self.value[rows])
        self.value[rows] = pre.gather(1, self.index[rows].long()).float()


class GroupMax(TopK):
    """The features in k groups of neighbours; of each group the largest pre-activation, where it is above 0."""

    def __init__(self, tokens: int, k: int, device: torch.device) -> None:
        super().__init__(tokens, k, device, positive=True)

    def add(self, pre: Tensor, rows: slice) -> None:
        k = self.index.shape[1]
        best = pre.view(len(pre), k, -1).max(2)
        first = torch.arange(0, pre.shape[1], pre.shape[1] // k, device=pre.device)
        self.index[rows] = (best.indices + first).int()
        self.value[rows] = best.values.float()


class Cut:
    """Every pre-activation above its limit, `limit[m]`; its value is `scale × pre + shift`, where that is above 0."""

    def __init__(self, tokens: int, limit: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> None:
        self.limit = limit
        self.scale = scale
        self.shift = shift
        self.counts = torch.zeros(tokens, dtype=torch.int64, device=limit.device)
        self.parts: list[tuple[Tensor, Tensor]] = []  # indices, values
        self.room: tuple[Tensor, Tensor] | None = None  # the same, of a few rows

    def add(self, pre: Tensor, rows: slice) -> None:
        if pre.device.type != "cpu":
            self._keep(rows.start, *above_of_torch(pre, self.limit))
            return
        if self.room is None:
            size = min(len(pre), ROOMY_ROWS) * pre.shape[1]
            self.room = torch.empty(size, dtype=torch.int32), torch.empty(size)
        (index, value), done = self.room, 0
        while done < len(pre):
            left = pre[done:]
            room = self.limit.numpy(), index.numpy(), value.numpy()
            if pre.dtype == torch.bfloat16:
                counts, filled = survivors.find_half(left.view(torch.int16).numpy().view(np.uint16), *room)
            else:
                counts, filled = survivors.find(left.numpy(), *room)
            self._keep(rows.start + done, torch.from_numpy(counts), index[:filled].clone(), value[:filled].clone())
            done += len(counts)

    def _keep(self, first: int, counts: Tensor, index: Tensor, value: Tensor) -> None:
        if self.scale is not None and self.shift is not None:
            value = self.scale[index] * value + self.shift[index]
            fires = value > 0
            row = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
            counts = row[fires].bincount(minlength=len(counts))
            index, value = index[fires], value[fires]
        self.counts[first : first + len(counts)] = counts
        self.parts.append((index, value))

    def codes(self) -> Codes:
        none = torch.empty(0, dtype=torch.int32), torch.empty(0)
        index, value = (torch.cat(part).cpu() for part in zip(*(self.parts or [none]), strict=True))
        start = torch.zeros(len(self.counts) + 1, dtype=torch.int64)
        torch.cumsum(self.counts.cpu(), 0, out=start[1:])
        return Codes(start, index, value)


def above_of_torch(pre: Tensor, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of `pre[row, m]` what is above `limit[m]`, by torch alone, on any device: counts by row, indices and values."""
    row, index = torch.gt(pre, limit).nonzero(as_tuple=True)
    return row.bincount(minlength=len(pre)), index.int(), pre[row, index].float()
