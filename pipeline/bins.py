"""How many activations of each feature fall into each bin of its histogram, compiled by numba."""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled


@compiled
def fill(
    bounds: NDArray[np.integer],
    within: NDArray[np.uint32],
    width: int,
    bins: NDArray[np.uint32],
    filling: NDArray[np.int64],
) -> int:
    """Fill `bins` (ascending, feature · width + bin) and `filling` with the bins that are not empty; how many they are.

    Feature f owns the activations `[bounds[f], bounds[f + 1])`, each of which is in the bin `within[n]` of its `width` bins.
    """
    counts = np.zeros(width, np.int64)
    found = 0
    for f in range(len(bounds) - 1):
        lowest, highest = width, -1
        for n in range(bounds[f], bounds[f + 1]):
            bin = int(within[n])
            counts[bin] += 1
            lowest, highest = min(lowest, bin), max(highest, bin)
        for bin in range(lowest, highest + 1):
            if counts[bin]:
                bins[found] = f * width + bin
                filling[found] = counts[bin]
                counts[bin] = 0
                found += 1
    return found
