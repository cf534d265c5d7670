"""BatchTopK: of a batch of B tokens, the k·B strongest codes fire, however many a token has; loss ‖x − x̂‖² and AuxK.

Bussmann, Leask and Nanda (2024), arXiv:2412.06410. A token by itself is encoded with a threshold instead: the least code
that fired in a batch, averaged over the batches of the run, the latest weighing most.
"""

import numpy as np
import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.codes import Codes
from pipeline.dictionaries.dictionary import BLOCK
from pipeline.dictionaries.rules import Cut
from pipeline.train.family import Start
from pipeline.train.options import BatchTopKOptions
from pipeline.train.sparse import Chosen, Sparse

KEPT = 0.99  # of the average threshold, a step: the latest hundred batches count
MARGIN = 0.9  # candidates are what exceeds this share of the batch before's least chosen value


class BatchTopK(Sparse):
    """`state`: the average threshold before its correction, how much of it the run has filled, and the last batch's."""

    options: BatchTopKOptions

    def __init__(self, options: BatchTopKOptions, start: Start, sizes: tuple[int, ...] = ()) -> None:
        super().__init__(options, start, sizes)
        self.state = {"average": torch.zeros(1), "filled": torch.zeros(1), "last": torch.full((1,), -1.0)}

    def choose(self, centred: Tensor) -> Chosen:
        wanted = self.options.k * len(centred)
        last = float(self.state["last"])
        bound = MARGIN * (last if last >= 0 else self._first_guess(centred))
        candidates = self._above(centred, bound)
        while len(candidates.index) < wanted and bound > 0:
            bound = bound / 2 if bound > 1e-4 else 0.0
            candidates = self._above(centred, bound)
        index, starts = candidates.index.numpy(), candidates.start.numpy()
        value = self.values(centred, starts, index)
        least = float(np.partition(value, len(value) - wanted)[len(value) - wanted]) if len(value) > wanted else 0.0
        fires = (value >= least) & (value > 0)
        start = np.concatenate([[0], np.cumsum(fires)])[starts]
        self._note(float(value[fires].min()) if fires.any() else 0.0)
        return start, index[fires], value[fires]

    def _first_guess(self, centred: Tensor) -> float:
        """The value that k features of a token exceed, on average, in the first rows."""
        rows = centred[:BLOCK]
        pre = torch.addmm(self.tensors["b_enc"], rows, self.tensors["encoder"].T).reshape(-1)
        return max(0.0, float(pre.topk(self.options.k * len(rows), sorted=False).values.min()))

    def _above(self, centred: Tensor, bound: float) -> Codes:
        """Where the fast product exceeds a bound."""
        limit, found = bound - self.tensors["b_enc"], dict[int, Codes]()

        def take(pre: Tensor, first: int) -> None:
            cut = Cut(len(pre), limit)
            cut.add(pre, slice(0, len(pre)))
            found[first] = cut.codes()

        self.products(centred, take)
        return Codes.concatenate([found[first] for first in sorted(found)])

    def _note(self, least: float) -> None:
        for name, value in (("average", least), ("filled", 1.0)):
            self.state[name].mul_(KEPT).add_((1 - KEPT) * value)
        self.state["last"].fill_(least)

    def dictionary(self) -> Dictionary:
        p = self.tensors
        return Dictionary(
            kind="batch-topk-sae",
            rule="batch-topk",
            encoder=p["encoder"],
            b_enc=p["b_enc"],
            decoder=p["decoder"],
            b_dec=p["b_dec"],
            k=self.options.k,
            threshold=self.state["average"] / self.state["filled"].clamp_min(1e-12),
        )
