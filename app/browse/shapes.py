"""How a dictionary's features are spread: histograms of density, maximum and entropy, each bar a link to its features."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.browse.charts import Chart, bars, counted
from app.browse.kept import figures, kept
from app.browse.listing import Listing
from app.render import figure, share
from app.store.features import Dictionary, FeatureStore

DECADES = range(-6, 1)  # every density histogram has the same axis, so that two can be compared at a glance
BINS_PER_DECADE = 8
MAXIMUM_BINS = 40
ENTROPY_STEP = 0.125  # nats a bin
FEWEST_ENTROPY_BINS = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """Only features that fired are counted; `maximum` and `entropy` are None where none did."""

    density: Chart
    maximum: Chart | None
    entropy: Chart | None


def shape(store: FeatureStore, dictionary: Dictionary) -> Shape:
    return kept(store, ("shape", dictionary.id), lambda: draw(store, dictionary))


def draw(store: FeatureStore, dictionary: Dictionary) -> Shape:
    columns = figures(store, dictionary.id)

    def link(listing: Listing) -> str:
        return f"/dictionaries/{dictionary.name}{listing.query()}#features"

    fired = columns.frequency > 0
    return Shape(
        density_chart(columns.frequency, link),
        maximum_chart(columns.max[fired], link) if fired.any() else None,
        entropy_chart(columns.peak_entropy[fired], link) if fired.any() else None,
    )


Link = Callable[[Listing], str]


def density_chart(frequencies: Sequence[float] | NDArray[np.float64], link: Link) -> Chart:
    """How often the features fire: share of tokens, from one in a million to all, logarithmic."""
    edges = rounded(10 ** (DECADES[0] + n / BINS_PER_DECADE) for n in range((len(DECADES) - 1) * BINS_PER_DECADE + 1))
    counts = count(np.asarray(frequencies, np.float64), edges)
    labels = [f"{share(low)} to {share(high)} of tokens" for low, high in pairwise(edges)]
    links = [
        link(Listing(min_frequency=low if n else None, max_frequency=high if n < len(counts) - 1 else None))
        for n, (low, high) in enumerate(pairwise(edges))
    ]
    busiest = edges[counts.index(max(counts))]
    return Chart(
        bars(counts, labels, "feature", links),
        ("0.0001%", "0.1%", "100%"),
        f"Histogram of how often features fire, logarithmic axis: {counted(sum(counts), 'feature')} on some token, "
        f"most on about {share(busiest)} of tokens.",
    )


def maximum_chart(maxima: NDArray[np.float64], link: Link) -> Chart | None:
    """The largest activation of each feature, on a logarithmic axis; None where none is above zero."""
    maxima = maxima[maxima > 0]
    if not len(maxima):
        return None
    low, high = float(maxima.min()), float(maxima.max())
    margin = max((math.log(8) - math.log(high / low)) / 2, 0)  # a few features alike are a bar, not a wall
    ends = (math.log(low) - margin - 1e-3, math.log(high) + margin + 1e-3)
    edges = rounded(np.exp(np.linspace(*ends, MAXIMUM_BINS + 1)).tolist())
    counts = count(maxima, edges)
    labels = [f"{figure(low)} to {figure(high)}" for low, high in pairwise(edges)]
    links = [link(Listing(min_max=low, max_max=high)) for low, high in pairwise(edges)]
    return Chart(
        bars(counts, labels, "feature", links),
        tuple(figure(edge) for edge in (edges[0], math.sqrt(edges[0] * edges[-1]), edges[-1])),
        f"Histogram of the features’ maxima, logarithmic axis: from {figure(low)} to {figure(high)}, half of them above "
        f"{figure(float(np.median(maxima)))}.",
    )


def entropy_chart(entropies: NDArray[np.float64], link: Link) -> Chart:
    """The entropy of the features' peak tokens, in nats; at 0 are those whose top contexts peak on one token."""
    number = max(math.ceil(float(entropies.max()) / ENTROPY_STEP + 1e-9), FEWEST_ENTROPY_BINS)
    edges = [ENTROPY_STEP * n for n in range(number + 1)]
    counts = count(entropies, edges)
    labels = [f"{low:g} to {high:g} nats" for low, high in pairwise(edges)]
    # Those that never fired have no peak, and an entropy of 0 in the list.
    links = [
        link(Listing(min_entropy=low, max_entropy=high) if low else Listing(max_entropy=high, min_frequency=1e-12))
        for low, high in pairwise(edges)
    ]
    return Chart(
        bars(counts, labels, "feature", links),
        tuple(f"{edge:.3g}" for edge in (0, edges[-1] / 2, edges[-1])),
        f"Histogram of peak entropy: from {entropies.min():.2g} to {entropies.max():.2g} nats, half of the features above "
        f"{np.median(entropies):.2g}; {counted(int((entropies <= 0).sum()), 'feature')} on one token.",
    )


def rounded(edges: Iterable[float]) -> list[float]:
    """To six digits, as an address has them: so that a bar's link finds what the bar counts."""
    return [float(f"{edge:.6g}") for edge in edges]


def count(values: NDArray[np.float64], edges: Sequence[float]) -> list[int]:
    """How many values above zero, or from the first edge on, lie in each bin; what lies outside is put in the outermost."""
    wanted = values[(values > 0) | (edges[0] <= 0)]
    found: list[int] = np.histogram(np.clip(wanted, edges[0], edges[-1]), edges)[0].tolist()
    return found
