"""How the directions of dictionaries lie to each other: nearest neighbours by cosine, MMCS, and curves of cosines.

A feature's direction is its decoder row, scaled to length 1; its encoder row where the dictionary has no decoder. A row
that is zero or not finite is no direction: it has no neighbours, is nobody's neighbour, and enters no mean. Cosines are
signed: a direction and its opposite are far apart.

MMCS (Sharkey, Braun and Millidge 2022, "Taking features out of superposition with sparse autoencoders"): the mean, over
one dictionary's features, of the largest cosine with any feature of the other. It is not symmetric. Within a dictionary
the feature itself is left out.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.ranking import Ranked, both_ways, largest
from pipeline.tables import Comparison, Related

RANKS = (1, 10, 100)  # neighbours whose cosines are drawn as curves
QUANTILES = (0.0, 0.01, 0.05, *(tenth / 10 for tenth in range(1, 10)), 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Directions:
    """`rows[row, d]` of length 1, and the numbers of the features that they are of: those without a direction are left out."""

    rows: Tensor
    features: Tensor
    m: int

    @classmethod
    def of(cls, dictionary: Dictionary, device: str = "cpu") -> "Directions":
        """The dictionary's, on the device where they are to be multiplied."""
        return cls.of_rows((dictionary.encoder if dictionary.decoder is None else dictionary.decoder).to(device))

    @classmethod
    def of_rows(cls, rows: Tensor) -> "Directions":
        lengths = rows.double().norm(dim=1)
        directed = (lengths > 0) & lengths.isfinite()
        unit = (rows[directed] / lengths[directed, None].float()).float()
        return cls(unit, directed.nonzero()[:, 0].cpu(), len(rows))


def compare(own: Directions, other: Directions | None, name: str, neighbours: int) -> tuple[Related, Comparison]:
    """The nearest features in the dictionary called `name`, `other`, of every feature of `own`; None is `own` itself.

    One blocked product. `neighbours` are kept a feature; the curves need up to the hundredth whatever is kept.
    """
    among = own if other is None else other
    found = largest(own.rows, among.rows, max(neighbours, *RANKS), itself=other is not None)
    return _compared(found, own, among, name, neighbours)


def compare_both(
    one: Directions, other: Directions, names: tuple[str, str], neighbours: int
) -> tuple[tuple[Related, Comparison], tuple[Related, Comparison]]:
    """What `compare` finds for `one` in `other`, and for `other` in `one`; `names` of the two. One blocked product."""
    there, back = both_ways(one.rows, other.rows, max(neighbours, *RANKS))
    return _compared(there, one, other, names[1], neighbours), _compared(back, other, one, names[0], neighbours)


def _compared(
    found: Ranked, own: Directions, among: Directions, name: str, neighbours: int
) -> tuple[Related, Comparison]:
    kept = min(neighbours, found.index.shape[1])
    feature = np.full((own.m, kept), -1, np.int32)
    value = np.zeros((own.m, kept), np.float32)
    feature[own.features.numpy()] = among.features.numpy()[found.index[:, :kept]]
    value[own.features.numpy()] = found.value[:, :kept]
    curves: dict[str, list[float]] = {"quantiles": list(QUANTILES)}
    for rank in RANKS:
        if rank <= found.value.shape[1] and len(found.value):
            curves[str(rank)] = [round(float(q), 6) for q in np.quantile(found.value[:, rank - 1], QUANTILES)]
    mmcs = float(found.value[:, 0].mean(dtype=np.float64)) if found.value.size else 0.0
    return Related(name, "neighbour", feature, value), Comparison(name, mmcs, curves)


def mmcs(own: Tensor, other: Tensor) -> float:
    """Mean over the rows of `own[m, d]` of the largest cosine with a row of `other[m', d]`; nothing but that."""
    found = largest(Directions.of_rows(own).rows, Directions.of_rows(other).rows, 1)
    return float(found.value.mean(dtype=np.float64)) if found.value.size else 0.0
