"""What theory says of random directions: the formulas that `dartboard lab darts` sets beside its measurements.

n is the dimension, m the number of directions, k how many fire on a token. Sign vectors are x = z/√n with z uniform in
{±1}ⁿ, so that x·x' = S/n, where (n + S)/2 is binomial: tails are exact. The cosine of a uniform direction with a fixed one has a
squared cosine that is Beta(1/2, (n − 1)/2), whose tails are exact too.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize, special, stats

Array = NDArray[np.float64]


def energy_of_top(n: int, m: int, k: int) -> float:
    """The q = E[cos² | cos > c] with P(cos > c) = k/m: the share of a token's squared length along one direction that fires.

    Exact for a uniform direction: Σ of a Beta(1/2, (n − 1)/2) above c² is 1/n of a Beta(3/2, (n − 1)/2)'s tail.
    """
    rest = (n - 1) / 2
    least = stats.beta.isf(2 * k / m, 0.5, rest)
    return float(stats.beta.sf(least, 1.5, rest) / stats.beta.sf(least, 0.5, rest)) / n


def energy_of_top_gaussian(n: int, m: int, k: int) -> float:
    """The same as n → ∞: q = E[z² | z > t]/n with P(z > t) = k/m, where E[z² | z > t] = 1 + t φ(t)/P(z > t)."""
    chance = k / m
    threshold = float(stats.norm.isf(chance))
    return (1 + threshold * float(stats.norm.pdf(threshold)) / chance) / n


def tied_fve(q: float, k: int) -> float:
    """FVE of x̂ = s Σ (x·eⱼ) eⱼ at the best s, for isotropic Gaussian x: kq/(1 + (k − 1)q).

    Two directions that fire on one token have an inner product of about q, not 0: both look towards x.
    """
    return k * q / (1 + (k - 1) * q)


def unscaled_fve(q: float, k: int) -> float:
    """The same at s = 1: kq (1 − (k − 1)q), which is below 0 as soon as (k − 1)q > 1."""
    return k * q * (1 - (k - 1) * q)


def least_squares_fve(q: float, n: int, k: int) -> float:
    """FVE of the best combination of the k directions that fire: S/(1 + S), S = kq'/(1 − (k + 1)/n), q' = q/(1 − q).

    The parts of the eⱼ across x have length² 1 − q and are random in n − 1 dimensions: their Gram matrix is a Wishart one, whose
    inverse has the mean 1/(1 − (k + 1)/n). The rest is the matrix inversion lemma; terms of second order in 1/n are left out.
    """
    s = k * q / (1 - q) / (1 - (k + 1) / n)
    return s / (1 + s)


def largest_pair(n: int, m: int) -> float:
    """The usual estimate of the largest |xᵢ·xⱼ| over pairs: √(2 ln(m²/2)/n). It leaves out the tail's prefactor, so it is high."""
    return math.sqrt(2 * math.log(m * m / 2) / n)


def expected_largest_pair(n: int, m: int) -> float:
    """Mean of the largest |xᵢ·xⱼ| over pairs of sign vectors: exact binomial tails, pairs taken as independent."""
    inner, tail = _sign_tail(n)
    pairs = m * (m - 1) / 2
    return _expected_maximum(inner[inner >= 0], np.minimum(2 * tail[inner >= 0], 1), pairs)


def expected_nearest(n: int, m: int) -> float:
    """Mean over i of the largest xᵢ·xⱼ, j ≠ i, of sign vectors; exact but for the negative values, which need a tiny m."""
    inner, tail = _sign_tail(n)
    return _expected_maximum(inner[inner >= 0], tail[inner >= 0], m - 1)


def expected_nearest_uniform(n: int, count: int) -> float:
    """Mean of the largest cosine of one unit vector with `count` uniform directions: ∫ 1 − F(c)^count dc, over c ≥ 0."""
    found, _ = integrate.quad(
        lambda c: -math.expm1(count * math.log1p(-(10 ** log10_chance_of_cosine(n, c)))), 0, 1, limit=200
    )
    return float(found)


def log10_chance_of_cosine(n: int, cosine: float) -> float:
    """log₁₀ P(cos ≥ c), 0 ≤ c < 1, of a uniform direction: ½ I₁₋c²((n−1)/2, 1/2), as a series that cannot underflow."""
    a, b, x = (n - 1) / 2, 0.5, 1 - cosine * cosine
    if x > 0.9:  # no underflow here, and the series is slow
        return math.log10(float(special.betainc(a, b, x)) / 2)
    series = float(special.hyp2f1(a + b, 1, a + 1, x))
    log = a * math.log(x) + b * math.log1p(-x) - math.log(a) - float(special.betaln(a, b)) + math.log(series)
    return (log - math.log(2)) / math.log(10)


def log10_chance_of_cosine_gaussian(n: int, cosine: float) -> float:
    """The same with x·y taken as Gaussian, P(z ≥ c√n): what the histogram of x·y suggests, too high far out in the tail."""
    return float(stats.norm.logsf(cosine * math.sqrt(n))) / math.log(10)


def log10_chance_of_cosine_signs(y: Array, cosine: float) -> float:
    """The same for sign vectors and this very `y[n]`: the saddle point of Σ zᵢyᵢ ≥ c √n ‖y‖ (Bahadur and Rao 1960)."""
    aim = cosine * math.sqrt(len(y)) * float(np.linalg.norm(y))
    if aim >= np.abs(y).sum():
        return -math.inf
    tilt = float(optimize.brentq(lambda t: float((y * np.tanh(t * y)).sum()) - aim, 0, 1e3))
    cumulant = float((np.logaddexp(tilt * y, -tilt * y) - math.log(2)).sum())
    spread = math.sqrt(float(np.square(y / np.cosh(np.clip(tilt * y, -300, 300))).sum()))
    return (cumulant - tilt * aim - math.log(tilt * spread * math.sqrt(2 * math.pi))) / math.log(10)


def share_used(m: int, k: int, gamma: float, tokens: int) -> float:
    """Share of uncentred top-k directions that fire at least once, for x = μ + σg with γ = ‖μ‖/‖σ‖.

    In units of σ, μ·xᵢ is N(0, γ²) over directions and g·xᵢ is N(0, 1) over tokens; the k-th largest of m of their sums is near
    t = √(1 + γ²) z, where P(N(0, 1) > z) = k/m. Share = E over a ~ N(0, γ²) of 1 − (1 − P(g > t − a))^tokens.
    """
    threshold = math.sqrt(1 + gamma * gamma) * float(stats.norm.isf(k / m))

    def fires(z: float) -> float:
        return -math.expm1(tokens * float(stats.norm.logcdf(threshold - gamma * z))) * float(stats.norm.pdf(z))

    found, _ = integrate.quad(fires, -9, 9, limit=400)
    return float(found)


def expected_purity(features: int, chance: float, top: int) -> float:
    """Mean over draws of `top` random samples of the largest share that hold one feature, each active with `chance`."""
    holders = np.arange(1, top + 1)
    return float(-np.expm1(features * np.log1p(-stats.binom.sf(holders - 1, top, chance))).sum()) / top


def _sign_tail(n: int) -> tuple[Array, Array]:
    """The values s/n that xᵢ·xⱼ takes, ascending, and P(xᵢ·xⱼ ≥ s/n)."""
    heads = np.arange(n + 1)
    return (2 * heads - n) / n, stats.binom.sf(heads - 1, n, 0.5)


def _expected_maximum(values: Array, tail: Array, count: float) -> float:
    """Mean of the largest of `count` independent draws, all ≥ 0, from P(draw ≥ values[i]) = tail[i]."""
    with np.errstate(divide="ignore"):
        reached = -np.expm1(count * np.log1p(-tail))
    return float(np.sum(np.diff(values, prepend=0.0) * reached))
