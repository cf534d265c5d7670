"""The TopK sparse autoencoder: x̂ = b + TopK(ReLU((x − b) E + e)) D, loss ‖x − x̂‖² and AuxK (Gao et al. 2024, arXiv:2406.04093)."""

import numpy as np
import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.topk import top_k_sum
from pipeline.train.options import TopKOptions
from pipeline.train.sparse import Chosen, Sparse


class TopK(Sparse):
    """The k strongest features of each token."""

    options: TopKOptions

    def choose(self, centred: Tensor) -> Chosen:
        k, count, bias = self.options.k, len(centred), self.tensors["b_enc"]
        index = torch.empty(count, k, dtype=torch.int32)

        def take(pre: Tensor, first: int) -> None:
            top_k_sum(pre, bias, k, index[first : first + len(pre)])

        self.products(centred, take)
        start, chosen = np.arange(0, count * k + 1, k), index.numpy().reshape(-1)
        return start, chosen, self.values(centred, start, chosen)

    def dictionary(self) -> Dictionary:
        p = self.tensors
        return Dictionary(
            kind="topk-sae",
            rule="topk",
            encoder=p["encoder"],
            b_enc=p["b_enc"],
            decoder=p["decoder"],
            b_dec=p["b_dec"],
            k=self.options.k,
        )
