"""The measurements of `dartboard lab darts`, each by seed: random directions, Gaussian floors, centring, known features.

Every size follows from n, so that n = 1024 has the sizes of the published tables and a smaller n takes seconds: dictionaries of
n … 32n directions, k = n/32 of which fire.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.dictionaries.directions import random_sign
from pipeline.floors import gaussian
from pipeline.hashing import derive
from pipeline.lab import gaussian as gauss
from pipeline.lab import superposition, theory
from pipeline.lab.inner_products import Pairs, pairs_of_prefixes, products_with_one
from pipeline.progress import Stages

MULTIPLES = (1, 2, 4, 8, 16, 32)
GAMMAS = (1.0, 3.0, 10.0)
COSINE = 0.5  # "nearly collinear"
BINS = 81
UNIT = 1 << 20  # multiplications to a step of the progress bar


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes that follow from n; the second of the published shapes has half the dimension."""

    n: int

    @property
    def k(self) -> int:
        return self.n // 32

    @property
    def half(self) -> int:
        return self.n // 2

    @property
    def sweep(self) -> list[int]:
        return [self.n * multiple for multiple in MULTIPLES]

    @property
    def unscaled(self) -> tuple[int, int, int]:
        """n, m, k of the tied decoder without a scale: n = 1024 stands for GPT-2 small's 768, and 4 times as many that fire."""
        return self.n * 3 // 4, self.n * 24, self.n // 8

    @property
    def toy(self) -> tuple[int, int]:
        """Dimension and number of true features."""
        return self.n // 4, self.n // 2

    @property
    def centring(self) -> tuple[int, int, int, int]:
        """n, m, k, and tokens: 3 a feature."""
        return self.half, self.n * 8, self.k, self.n * 24


@dataclass(slots=True)
class Histogram:
    """Inner products of m sign vectors with one y: `count[bin]` between `edge[bin]` and `edge[bin + 1]`."""

    norm: float
    count: NDArray[np.int64]
    edge: NDArray[np.float64]


@dataclass(slots=True)
class Run:
    """What was measured: `pairs[seed][size]` and `floors[seed][size]` of the sweep, and `values[name][seed]` of the rest."""

    sizes: Sizes
    seeds: int
    pairs: list[list[Pairs]] = field(default_factory=list)
    floors: list[list[gauss.Floors]] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    histogram: Histogram | None = None

    def note(self, **values: float) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)


@dataclass(frozen=True, slots=True)
class Part:
    """One measurement of one seed, and about how many multiplications it takes."""

    name: str
    measure: Callable[[Run, int, Callable[[int], None]], None]
    work: Callable[[Sizes], int]


def measure(n: int, seeds: int, seed: int, stages: Stages) -> Run:
    """Measure everything for `seeds` seeds derived from `seed`."""
    run = Run(Sizes(n), seeds)
    for part in PARTS:
        total = part.work(run.sizes) * seeds
        with stages.stage(part.name, total=max(1, total // UNIT)) as advance:
            done = 0

            def count(products: int, advance: Callable[..., None] = advance) -> None:
                nonlocal done
                advance((done + products) // UNIT - done // UNIT)
                done += products

            for number in range(seeds):
                part.measure(run, derive(seed, "darts", part.name, str(number)), count)
    return run


def _pairs(run: Run, seed: int, advance: Callable[[int], None]) -> None:
    sizes = run.sizes
    run.pairs.append(pairs_of_prefixes(sizes.n, sizes.sweep, derive(seed, "n"), advance))
    # 64 times as many as dimensions: the other published size
    run.note(nearest_half=pairs_of_prefixes(sizes.half, [sizes.sweep[-1]], derive(seed, "n/2"), advance)[0].nearest)


def _one(run: Run, seed: int, advance: Callable[[int], None]) -> None:
    n, m = run.sizes.n, run.sizes.sweep[-1]
    y, products = products_with_one(n, m, seed)
    norm = float(np.linalg.norm(y))
    deviations = products / products.std()
    run.note(
        spread=float(products.std()),
        relative_spread=float(products.std()) / (norm / n**0.5),
        kurtosis=float((deviations**4).mean() - 3),
        best_cosine=float(products.max()) / norm,
        decades=-theory.log10_chance_of_cosine_signs(y, COSINE),
    )
    if run.histogram is None:
        limit = float(np.abs(products).max())
        count, edge = np.histogram(products, BINS, (-limit, limit))
        run.histogram = Histogram(norm, count, edge)
    advance(n * m)


def _floors(run: Run, seed: int, advance: Callable[[int], None]) -> None:
    n, k, sweep = run.sizes.n, run.sizes.k, run.sizes.sweep
    x = gaussian(gauss.TIED_TOKENS, n, derive(seed, "tokens"))
    directions = random_sign(sweep[-1], n, derive(seed, "directions"))
    run.floors.append([gauss.floors(directions[:m], x, k, advance) for m in sweep])
    run.note(pca=gauss.pca_fve(gaussian(4 * n, n, derive(seed, "fit")), x, k))

    n = run.sizes.half
    x = gaussian(gauss.TIED_TOKENS, n, derive(seed, "tokens of half"))
    found = gauss.floors(random_sign(32 * n, n, derive(seed, "directions of half")), x, k, advance)
    fit = gaussian(8 * n, n, derive(seed, "fit of half"))
    run.note(
        tied_half=found.tied,
        least_squares_half=found.least_squares,
        omp_half=found.omp,
        pca_half=gauss.pca_fve(fit, x, k),
    )

    n, m, k = run.sizes.unscaled
    x = gaussian(gauss.TIED_TOKENS, n, derive(seed, "tokens unscaled"))
    run.note(unscaled=gauss.tied_fve(random_sign(m, n, derive(seed, "directions unscaled")), x, k, scaled=False))
    advance(len(x) * n * m)


def _centring(run: Run, seed: int, advance: Callable[[int], None]) -> None:
    n, m, k, tokens = run.sizes.centring
    *raw, centred = gauss.shares_used(n, m, k, GAMMAS, tokens, seed, advance)
    run.note(used_centred=centred, **{f"used_{gamma:g}": share for gamma, share in zip(GAMMAS, raw, strict=True)})


def _known(run: Run, seed: int, advance: Callable[[int], None]) -> None:
    n, h = run.sizes.toy
    small, large, samples = 4 * run.sizes.n, run.sizes.sweep[-1], 30 * run.sizes.n
    run.note(
        mmcs_small=superposition.mmcs_of_random(n, h, small, derive(seed, "small")),
        mmcs_large=superposition.mmcs_of_random(n, h, large, derive(seed, "large")),
    )
    advance((small + large) * h * n)
    for kind, purity in superposition.purities(n, h, samples, 2 * h, derive(seed, "purity")).items():
        run.note(**{f"purity of {kind}": purity.mean, f"monosemantic among {kind}": purity.monosemantic})
    advance(samples * 6 * h * n)


def _floor_work(sizes: Sizes) -> int:
    tokens = gauss.TIED_TOKENS + gauss.OMP_TOKENS * sizes.k
    n, m, _ = sizes.unscaled
    return tokens * (sizes.n * sum(sizes.sweep) + 32 * sizes.half**2) + gauss.TIED_TOKENS * n * m


def _pair_work(sizes: Sizes) -> int:
    return sizes.sweep[-1] ** 2 // 2 * (sizes.n + sizes.half)


def _centring_work(sizes: Sizes) -> int:
    n, m, _, tokens = sizes.centring
    return (len(GAMMAS) + 1) * tokens * n * m


PARTS = (
    Part("All pairs of directions", _pairs, _pair_work),
    Part("Directions and one vector", _one, lambda sizes: sizes.n * sizes.sweep[-1]),
    Part("Gaussian floors", _floors, _floor_work),
    Part("Centring", _centring, _centring_work),
    Part("Known features", _known, lambda sizes: sizes.n**3 * (36 + 180) // 8),
)
