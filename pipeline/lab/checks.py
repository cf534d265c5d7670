"""Each measurement of `dartboard lab darts` beside what theory says and what was published, and whether they agree."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.lab import theory
from pipeline.lab.darts import COSINE, GAMMAS, Run
from pipeline.lab.superposition import ACTIVE, TOP

PUBLISHED_N = 1024


@dataclass(frozen=True, slots=True)
class Check:
    """One figure: its value by seed; what theory and publications say, None where they say nothing; how far off is still right."""

    table: str
    name: str
    values: tuple[float, ...]
    theory: float | None
    published: float | None
    tolerance: float
    note: str = ""
    digits: int = 3

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def within(self) -> bool | None:
        """Whether the mean over seeds is within the tolerance of each of the two; None where there is nothing to compare."""
        known = [value for value in (self.theory, self.published) if value is not None]
        return all(abs(self.mean - value) <= self.tolerance for value in known) if known else None


def checks(run: Run) -> list[Check]:
    """All checks; published values only at the size they were published for."""
    return [*_pairs(run), *_one(run), *_floors(run), *_centring(run), *_known(run)]


class _Rows:
    """Makes the checks of one table."""

    def __init__(self, run: Run, table: str) -> None:
        self.run, self.table = run, table
        self.checks: list[Check] = []

    def noise(self, deviation: float) -> float:
        """A tolerance for what varies by `deviation` from seed to seed: four standard errors of the mean."""
        return 4 * deviation / math.sqrt(self.run.seeds)

    def add(
        self,
        name: str,
        values: str | Sequence[float],
        theory: float | None,
        published: float | None,
        tolerance: float,
        note: str = "",
        digits: int = 3,
    ) -> None:
        measured = tuple(self.run.values[values] if isinstance(values, str) else values)
        known = published if self.run.sizes.n == PUBLISHED_N else None
        self.checks.append(Check(self.table, name, measured, theory, known, tolerance, note, digits))


def _pairs(run: Run) -> list[Check]:
    n, sweep = run.sizes.n, run.sizes.sweep
    rows = _Rows(run, "Inner products of random directions")
    first, eightfold, last = ([sizes[i] for sizes in run.pairs] for i in (0, 3, -1))
    rows.add(
        f"root mean square of xᵢ·xⱼ, {n} × {n}",
        [found.rms for found in first],
        n**-0.5,
        0.03125,
        rows.noise(n**-1.5),
        "1/√n",
        5,
    )
    for m, found, published in ((n, first, 0.156), (8 * n, eightfold, 0.171)):
        rows.add(
            f"largest xᵢ·xⱼ of either sign, {m} × {n}",
            [pairs.largest for pairs in found],
            theory.expected_largest_pair(n, m),
            published,
            rows.noise(0.25 / n**0.5),
            f"√(2 ln(m²/2)/n) = {theory.largest_pair(n, m):.3f}",
        )
    nearest = [found.nearest for found in last]
    rows.add(
        f"nearest neighbour's cosine, {sweep[-1]} × {n}",
        nearest,
        theory.expected_nearest(n, sweep[-1]),
        0.129,
        0.03 / n**0.5,
    )
    rows.add(
        f"nearest neighbour's cosine, {sweep[-1]} × {n // 2}",
        "nearest_half",
        theory.expected_nearest(n // 2, sweep[-1]),
        0.182,
        0.03 / n**0.5,
    )
    return rows.checks


def _one(run: Run) -> list[Check]:
    n, m = run.sizes.n, run.sizes.sweep[-1]
    rows = _Rows(run, "Random directions and one fixed y ~ N(0, I)")
    rows.add(
        f"standard deviation of xᵢ·y, {m} × {n}", "spread", 1, 1.04, 4 / (2 * n) ** 0.5, "‖y‖/√n, about 1 ± 1/√(2n)"
    )
    rows.add("the same ÷ (‖y‖/√n)", "relative_spread", 1, None, rows.noise((2 * m) ** -0.5))
    rows.add(
        "its excess kurtosis",
        "kurtosis",
        -6 / n,
        None,
        rows.noise((24 / m) ** 0.5),
        "0 for a Gaussian; −6/n for signs and a Gaussian y",
    )
    rows.add(
        "largest cosine with y", "best_cosine", theory.expected_nearest_uniform(n, m), None, rows.noise(0.32 / n**0.5)
    )
    uniform = -theory.log10_chance_of_cosine(n, COSINE)
    tail = -theory.log10_chance_of_cosine_gaussian(n, COSINE)
    rows.add(
        f"log₁₀ m for one xᵢ with cosine ≥ {COSINE:g} with y",
        "decades",
        uniform,
        65,
        0.03 * uniform,
        f"saddle point; theory: uniform directions; the Gaussian tail would say {tail:.1f}",
        1,
    )
    return rows.checks


def _floors(run: Run) -> list[Check]:
    n, k = run.sizes.n, run.sizes.k
    rows = _Rows(run, "FVE of isotropic Gaussian tokens")
    last = [floors[-1] for floors in run.floors]
    for d, tied, solved, omp, pca, published in (
        (n, [f.tied for f in last], [f.least_squares for f in last], [f.omp for f in last], "pca", (0.264, 0.270, 0.329, 0.031)),
        (n // 2, "tied_half", "least_squares_half", "omp_half", "pca_half", (0.391, 0.406, 0.533, 0.063)),
    ):  # fmt: skip
        shape, q = f"n={d}, m={32 * d}, k={k}", theory.energy_of_top(d, 32 * d, k)
        limit = theory.tied_fve(theory.energy_of_top_gaussian(d, 32 * d, k), k)
        note = f"kq/(1+(k−1)q), q exact; q of the Gaussian tail: {limit:.3f}"
        rows.add(f"tied decoder, best scale; {shape}", tied, theory.tied_fve(q, k), published[0], 0.002 + 0.6 / d, note)
        solvable = theory.least_squares_fve(q, d, k)
        rows.add(f"least squares on the support; {shape}", solved, solvable, published[1], 0.003 + 1.3 / d)
        rows.add(f"OMP; {shape}", omp, None, published[2], 0.004)
        rows.add(f"PCA with k components; {shape}", pca, k / d, published[3], 0.002, "k/n")
    d, m, many = run.sizes.unscaled
    predicted = theory.unscaled_fve(theory.energy_of_top(d, m, many), many)
    rows.add(f"tied decoder, unscaled; n={d}, m={m}, k={many}", "unscaled", predicted, -0.53, 0.03, "kq(1−(k−1)q)")
    return rows.checks


def _centring(run: Run) -> list[Check]:
    n, m, k, tokens = run.sizes.centring
    rows = _Rows(run, f"Share of directions that ever fire; n={n}, m={m}, k={k}, {tokens} tokens")
    for gamma, published in zip(GAMMAS, (0.61, 0.073, 0.011), strict=True):
        predicted = theory.share_used(m, k, gamma, tokens)
        rows.add(
            f"uncentred, γ = {gamma:g}",
            f"used_{gamma:g}",
            predicted,
            published,
            rows.noise(2 * (predicted * (1 - predicted) / m) ** 0.5),
        )
    rows.add("centred, any γ", "used_centred", theory.share_used(m, k, 0, tokens), 1, 0.001)
    return rows.checks


def _known(run: Run) -> list[Check]:
    (n, h), sizes = run.sizes.toy, run.sizes
    rows = _Rows(run, f"Random directions against {h} known features in {n} dimensions")
    for key, count, published in (("small", 4 * sizes.n, 0.224), ("large", sizes.sweep[-1], 0.255)):
        predicted = theory.expected_nearest_uniform(n, count)
        rows.add(
            f"MMCS of {count} random directions",
            f"mmcs_{key}",
            predicted,
            published,
            0.001 + rows.noise(0.35 / (n * h) ** 0.5),
        )
    null = theory.expected_purity(h, ACTIVE / h, TOP)
    known: dict[str, tuple[float, float]] = {
        "true features": (1, 1), "data points": (0.80, 0.58), "random sign": (0.27, 0), "neuron basis": (0.27, 0),
        "random samples": (0.12, 0),
    }  # fmt: skip
    for kind, (purity, share) in known.items():
        rows.add(f"purity: {kind}", f"purity of {kind}", null if kind == "random samples" else None, purity, 0.02)
        rows.add(f"monosemantic: {kind}", f"monosemantic among {kind}", None, share, 0.05)
    return rows.checks
