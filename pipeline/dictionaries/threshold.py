"""The threshold of a batch-topk dictionary that was not trained (Bussmann et al. 2024, arXiv:2412.06410)."""

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.arithmetic import one_thread
from pipeline.dictionaries.dictionary import Dictionary

TOKENS_AT_A_TIME = 512


def batch_topk_threshold(dictionary: Dictionary, x: Tensor) -> Dictionary:
    """The dictionary with the one threshold above which k features fire on a token of `x[token, d]`, on average.

    The sample is taken as one batch: of its k × tokens largest pre-activations all are kept, and the largest of the rest
    is the threshold; 0 where fewer are above 0.
    """
    if dictionary.k is None:
        raise ValueError("a batch-topk dictionary has a k")
    wanted = dictionary.k * len(x)
    found, threshold = torch.zeros(0), 0.0
    with one_thread():
        for part in torch.split(x, TOKENS_AT_A_TIME):
            # Whatever is below the bound on what was seen so far can't be among the largest of all.
            values = replace(dictionary, threshold=torch.tensor([threshold])).encode(part).value
            found = torch.cat([found, values])
            if len(found) > 2 * wanted:
                found, threshold = _largest(found, wanted)
        if len(found) > wanted:
            found, threshold = _largest(found, wanted)
    return replace(dictionary, threshold=torch.tensor([threshold]))


def _largest(values: Tensor, count: int) -> tuple[Tensor, float]:
    """The `count` largest, and the largest of the rest."""
    kept = values.topk(count + 1, sorted=False).values
    least = float(kept.min())
    return kept[kept > least], least
