"""Matryoshka BatchTopK: the first features have to explain the activations without the later ones, by nested groups.

Bussmann, Nabeshima, Karvonen and Nanda (2025), arXiv:2503.17547. The loss is the mean over the groups of ‖x − x̂_g‖², where x̂_g is
decoded from the features up to the end of group g, and AuxK on what all of them leave over. Which features fire is chosen
once, from all.
"""

from pipeline.train.batch_topk import BatchTopK
from pipeline.train.family import Start
from pipeline.train.options import MatryoshkaOptions


class Matryoshka(BatchTopK):
    """`groups`: ends of the groups as shares of the features."""

    def __init__(self, options: MatryoshkaOptions, start: Start) -> None:
        m = len(start.directions)
        super().__init__(options, start, tuple(max(1, round(share * m)) for share in options.groups))
