"""What we compute ourselves, and the libraries as we call them, against published results on published data.

R's figures were printed by R 4.2.2 with ordinal 2022.11.16 and BradleyTerry2 1.1.2; tests/simulation/published.R prints them again.
"""

from typing import Any

import krippendorff
import numpy as np
import pytest
from numpy.typing import NDArray

from app.study.analysis import davidson
from app.study.analysis.agreement import alpha, value_counts
from app.study.analysis.blinding import blinding
from app.study.analysis.design import Design
from app.study.analysis.headline import fieller
from app.study.analysis.ordinal import cumulative_logit, superiority
from app.study.analysis.outcome import Grid
from app.study.answers import UNKNOWN

RNG = np.random.default_rng(0)

# Bitterness of wine, nine judges (Randall 1989), as `wine` in R's ordinal: two bottles each of cold and warm, without and
# with contact; a row a bottle.
WINE = ("212323121", "323232122", "313343223", "432232232", "425332233", "435234332", "554535234", "544334344")

# Krippendorff's example of 4 observers and 12 units (Computing Krippendorff's alpha-reliability, 2011); 0: not asked.
OBSERVERS = ("123321412000", "123322412503", "033323422510", "123324412510")
ALPHAS = {"nominal": 0.743, "ordinal": 0.815, "interval": 0.849, "ratio": 0.797}

# Football among six clubs at home (rows) and away, 2008–2013: `football` of R's BradleyTerry2.
CLUBS = ("Ars", "Che", "Liv", "MnC", "MnU", "Tot")
HOME = ("011223", "301322", "030133", "342013", "434304", "325300")
DRAW = ("013211", "001123", "210411", "102010", "100000", "220130")
AWAY = ("031121", "203110", "310011", "111032", "021201", "010120")


def digits(rows: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([[int(digit) for digit in row] for row in rows])


def test_the_cumulative_link_model_is_r_ordinals_of_the_wine_data() -> None:
    """clm(rating ~ temp + contact), as its manual and vignette print it."""
    rating = digits(WINE)
    bottle = np.repeat(np.arange(8), 9)
    x = np.c_[bottle >= 4, bottle % 4 >= 2].astype(np.float64)
    found = cumulative_logit(rating.ravel(), x)
    assert found is not None
    assert found.coefficients == pytest.approx([2.5031, 1.5278], abs=1e-4)
    assert found.errors == pytest.approx([0.5287, 0.4766], abs=1e-4)
    assert found.thresholds == pytest.approx([-1.3444, 1.2508, 3.4669, 5.0064], abs=1e-4)
    assert found.log_likelihood == pytest.approx(-86.4919, abs=1e-4)


@pytest.mark.parametrize("level", ALPHAS)
def test_alpha_is_krippendorffs(level: Any) -> None:
    units = digits(OBSERVERS).T.astype(np.int8)
    counts = value_counts(units).astype(int)
    found = krippendorff.alpha(value_counts=counts, value_domain=[1, 2, 3, 4, 5], level_of_measurement=level)
    assert found == pytest.approx(ALPHAS[level], abs=5e-4)


def test_ours_is_the_ordinal_one() -> None:
    units = digits(OBSERVERS).T.astype(np.int8)
    found = alpha(value_counts(units), 0.95, RNG, 50)
    assert found.value == pytest.approx(ALPHAS["ordinal"], abs=5e-4)
    assert found.n == 11, "the last unit but one was seen by two, the twelfth by one observer alone"


def test_davidson_with_a_side_is_r_bradleyterry2s() -> None:
    """GenDavidson(…, home.adv = ~1): its tie.max is log(ν/2), its home.adv our γ. Our ridge moves β by .0003 here."""
    home, draw, away = digits(HOME), digits(DRAW), digits(AWAY)
    cells = [(one, other) for one in CLUBS for other in CLUBS if one != other]
    places = [(CLUBS.index(one), CLUBS.index(other)) for one, other in cells]
    counts = np.array([[[table[place] for table in (home, draw, away)] for place in places]], np.float64)
    found = davidson.fit(counts, davidson.Comparisons.of(CLUBS, cells))
    assert counts.sum() == 150
    assert found.side[0] == pytest.approx(0.6647138, abs=2e-4)
    assert np.log(found.tie[0] / 2) == pytest.approx(-1.0401314, abs=2e-4)
    worth = np.array([0.5754299, 0.8199549, 0.7224120, 0.7712095, 1.5124435, 0.8199549])
    assert found.beta[0] == pytest.approx(worth - worth[0], abs=5e-4)


def test_superiority_is_neubert_and_brunners() -> None:
    """Pain scores after surgery (Brunner & Munzel 2000; Neubert & Brunner 2007): .788961, as R's lawstat prints it."""
    treated, control = [1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 1, 1], [3, 3, 4, 3, 1, 2, 3, 1, 1, 5, 4]
    one, other = (Grid.of(arm, np.array(given, np.int8)[:, None]) for arm, given in (("t", treated), ("r", control)))
    assert superiority(one, other, RNG, 50, 0.95).value == pytest.approx(0.788961, abs=1e-6)


def test_bangs_index_is_that_of_the_crisp_trial() -> None:
    """Bang, Ni & Davis 2004, table 7: 82 right, 25 wrong, 170 “don't know” with the drug; 29, 27, 83 with placebo."""
    counts = {("drug", "drug"): 82, ("drug", "placebo"): 25, ("drug", UNKNOWN): 170}
    counts |= {("placebo", "placebo"): 29, ("placebo", "drug"): 27, ("placebo", UNKNOWN): 83}
    rows = [
        {"task": "guess", "purpose": "guess", "rater": "r", "item": f"{arm} {said} {n}", "arm": arm, "value": said}
        for (arm, said), number in counts.items()
        for n in range(number)
    ]
    found = blinding(rows, [], Design.given("drug", "placebo", None), ["r"], RNG, 50)
    index = {arm.name: arm.index.value for arm in found.arms}
    assert index == {"drug": pytest.approx((82 - 25) / 277), "placebo": pytest.approx((29 - 27) / 139)}
    assert index == {"drug": pytest.approx(0.21, abs=5e-3), "placebo": pytest.approx(0.01, abs=5e-3)}


def test_fiellers_limits_are_where_his_equation_says() -> None:
    """(a − ρ b)² = z² var(a − ρ b) at both limits (Fieller 1954); those of a alone where b is exact."""
    covariance = np.array([[0.0016, 0.0006], [0.0006, 0.0009]])
    found = fieller(0.3, 0.4, covariance, 0.95)
    assert found.value == pytest.approx(0.75)
    for limit in (found.low, found.high):
        assert limit is not None
        variance = covariance[0, 0] - 2 * limit * covariance[0, 1] + limit**2 * covariance[1, 1]
        assert (0.3 - limit * 0.4) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-5)
    exact = fieller(0.3, 0.4, np.diag([0.0016, 0.0]), 0.95)
    assert (exact.low, exact.high) == pytest.approx((0.75 - 1.959964 * 0.1, 0.75 + 1.959964 * 0.1), rel=1e-5)
