"""Of hits in order of feature: those that no stronger one of the same feature and document stands beside."""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled


@compiled
def mark_single(
    first: NDArray[np.int64], document: NDArray[np.uint32], value: NDArray[np.float32], kept: NDArray[np.bool_]
) -> None:
    """Set `kept[h]`; feature f owns the hits `first[f]` to `first[f + 1]`, few enough that each is compared with each.

    Of a feature's hits on one document the strongest is kept; among equals, the first.
    """
    for f in range(len(first) - 1):
        begin, end = first[f], first[f + 1]
        for h in range(begin, end):
            mine, strength = document[h], abs(value[h])
            beaten = False
            for other in range(begin, h):
                beaten |= document[other] == mine and abs(value[other]) >= strength
            for other in range(h + 1, end):
                beaten |= document[other] == mine and abs(value[other]) > strength
            kept[h] = not beaten
