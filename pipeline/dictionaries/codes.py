"""What a dictionary says of tokens: which features fire, and how strongly. Never dense."""

from dataclasses import dataclass

import torch
from scipy import sparse
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Codes:
    """Ragged by token: token t owns `index[start[t]:start[t + 1]]` (int32) and as many of `value` (float32, never 0).

    `start[token + 1]` is int64. A feature occurs at most once a token; values below 0 occur under signed rules alone.
    """

    start: Tensor
    index: Tensor
    value: Tensor

    @classmethod
    def of_top(cls, index: Tensor, value: Tensor) -> "Codes":
        """From `index[token, k]`, `value[token, k]`; entries of value 0 do not fire and go."""
        fires = value != 0
        if bool(fires.all()):  # as nearly always: nothing to take out
            start = torch.arange(0, value.numel() + 1, value.shape[1])
            return cls(start, index.reshape(-1).int(), value.reshape(-1))
        start = torch.zeros(len(value) + 1, dtype=torch.int64)
        torch.cumsum(fires.sum(1), 0, out=start[1:])
        return cls(start, index[fires].int(), value[fires])

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.start) - 1

    def owners(self) -> Tensor:
        """The token of each entry, int64."""
        return torch.repeat_interleave(torch.arange(len(self)), self.start.diff())

    def take(self, chosen: Tensor) -> "Codes":
        """The codes of the tokens where `chosen[token]` (bool) is true."""
        sizes = self.start.diff()
        entries = torch.repeat_interleave(chosen, sizes)
        start = torch.zeros(int(chosen.sum()) + 1, dtype=torch.int64)
        torch.cumsum(sizes[chosen], 0, out=start[1:])
        return Codes(start, self.index[entries], self.value[entries])

    def csr(self, m: int) -> sparse.csr_array:
        """As a sparse matrix `[token, m]`, float32."""
        return sparse.csr_array((self.value.numpy(), self.index.numpy(), self.start.numpy()), shape=(len(self), m))

    def decode(self, decoder: Tensor) -> Tensor:
        """The sum of `value × decoder row` over the features of each token, `[token, d]`."""
        if not len(self.index):
            return torch.zeros(len(self), decoder.shape[1])
        return torch.nn.functional.embedding_bag(
            self.index.long(), decoder, self.start, per_sample_weights=self.value, mode="sum", include_last_offset=True
        )

    @staticmethod
    def concatenate(parts: "list[Codes]") -> "Codes":
        start = torch.zeros(sum(map(len, parts)) + 1, dtype=torch.int64)
        torch.cumsum(torch.cat([part.start.diff() for part in parts]), 0, out=start[1:])
        return Codes(start, torch.cat([part.index for part in parts]), torch.cat([part.value for part in parts]))
