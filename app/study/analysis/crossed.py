"""An ordinal model with crossed random effects, by NUTS (numpyro): a sensitivity analysis, and never the headline.

    crossed_log_odds(grids, design, seed)

score ~ ordered logit of arm + feature + rater + rater × arm; skips are left out. Needs the extra `crossed`.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from app.errors import UserError
from app.study.analysis.design import Design
from app.study.analysis.figures import Figure, finite, missing
from app.study.analysis.outcome import SKIPPED, Grid
from app.study.answers import HIGHEST

WARM, DRAWS, CHAINS = 500, 500, 2
WIDEST = 1.05  # R̂ of chains that agree (Vehtari et al. 2021 ask for 1.01 of longer ones)


def crossed_log_odds(grids: Mapping[str, Grid], design: Design, seed: int, level: float) -> Figure:
    """The log-odds of a higher score on a random page than on a trained one: posterior mean and central interval.

    Raises UserError where numpyro is not installed.
    """
    try:
        import jax
        from numpyro.diagnostics import summary
        from numpyro.infer import MCMC, NUTS
    except ModuleNotFoundError as error:
        raise UserError(
            f"The crossed model needs {error.name}, which is not installed: pip install 'dartboard[crossed]'."
        ) from error
    if design.trained not in grids or design.random not in grids:
        return missing("An arm of the comparison has no solo page with an answer.")
    first = [str(design.trained), str(design.random)]
    arms = first + [name for name in grids if name not in first]
    data = _data(grids, arms)
    n = sum(grid.features for grid in grids.values())
    if len(np.unique(data["score"])) < 2:
        return missing("All scores are the same: the model has nothing to go by.", n, "features")
    sampler = MCMC(
        NUTS(_model),
        num_warmup=WARM,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method="sequential",
        progress_bar=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler.run(jax.random.PRNGKey(seed), arms=len(arms), **data)
    drawn = sampler.get_samples(group_by_chain=True)["arm"][..., 0]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    spread = float(summary({"arm": drawn})["arm"]["r_hat"])
    value = finite(np.mean(drawn))
    if value is None or not np.isfinite(spread):
        return missing("The model's chains have no finite values.", n, "features")
    figure = Figure(value, finite(low), finite(high), level, n, "features")
    if spread > WIDEST:
        return figure.warned(f"The model's chains do not agree (R̂ {spread:.2f}): do not rely on it.")
    return figure


def _data(grids: Mapping[str, Grid], arms: list[str]) -> dict[str, Any]:
    """`score[answer]` from 0, and what each answer is of: `arm`, `feature`, `rater`."""
    found: dict[str, list[np.ndarray[Any, Any]]] = {"score": [], "arm": [], "feature": [], "rater": []}
    offset = 0
    for place, name in enumerate(arms):
        feature, rater = np.nonzero(grids[name].score > SKIPPED)
        found["score"].append(grids[name].score[feature, rater].astype(np.int64) - 1)
        found["arm"].append(np.full(len(feature), place))
        found["feature"].append(feature + offset)
        found["rater"].append(rater)
        offset += grids[name].features
    return {f"{name}_of" if name != "score" else name: np.concatenate(parts) for name, parts in found.items()}


def _model(score: Any, arm_of: Any, feature_of: Any, rater_of: Any, arms: int) -> None:
    """Weakly informative priors: an arm's log-odds within ±4, standard deviations below 2 or so."""
    import jax.numpy as jnp
    import numpyro
    from numpyro import distributions as of

    features, raters = int(feature_of.max()) + 1, int(rater_of.max()) + 1
    cuts = numpyro.sample(
        "cuts",
        of.TransformedDistribution(
            of.Normal(0, 2.5).expand([HIGHEST - 1]).to_event(1), of.transforms.OrderedTransform()
        ),
    )
    arm = jnp.concatenate([jnp.zeros(1), numpyro.sample("arm", of.Normal(0, 2).expand([arms - 1]).to_event(1))])
    spreads = numpyro.sample("spreads", of.HalfNormal(1).expand([3]).to_event(1))
    feature = numpyro.sample("feature", of.Normal(0, 1).expand([features]).to_event(1))
    rater = numpyro.sample("rater", of.Normal(0, 1).expand([raters]).to_event(1))
    both = numpyro.sample("rater_by_arm", of.Normal(0, 1).expand([raters, arms]).to_event(2))
    place = (
        arm[arm_of]
        + spreads[0] * feature[feature_of]
        + spreads[1] * rater[rater_of]
        + spreads[2] * both[rater_of, arm_of]
    )
    numpyro.sample("score", of.OrderedLogistic(place, cuts), obs=score)
