"""The Davidson (1970) model of paired comparisons with ties and an effect of the side (Davidson & Beaver 1977).

    fitted = fit(counts, Design.of(pairs))

With η = β_left − β_right + γ, left wins, tie and right wins have weights e^{η/2}, ν and e^{−η/2}. Pairs of one arm with itself
have η = γ, so they inform γ and ν alone. Many tables of counts are fitted at a time, by Newton's method.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.study.analysis.figures import Floats

OUTCOMES = ("left", "tie", "right")
RIDGE = 1e-3  # keeps a draw finite in which one arm wins all; moves an estimate from 100 pairs by less than .0001
STEPS = 40
LONGEST = 2.0  # a step of any parameter
UNBOUNDED = 5.0  # a β beyond this is odds of 150 to 1: it says “always”, and the ridge how far


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Which arms meet: `cells` are (left, right); the first of `arms` has β = 0. `weights[cell, outcome, parameter]`."""

    arms: tuple[str, ...]
    cells: tuple[tuple[str, str], ...]
    weights: Floats

    @classmethod
    def of(cls, arms: Sequence[str], cells: Sequence[tuple[str, str]]) -> "Comparisons":
        """Parameters are the β of all arms but the first, then γ, then log ν."""
        number = len(arms) + 1
        weights = np.zeros((len(cells), 3, number))
        for cell, (left, right) in enumerate(cells):
            slope = np.zeros(number)
            slope[-2] = 1
            for arm, sign in ((left, 1), (right, -1)):
                if arms.index(arm):
                    slope[arms.index(arm) - 1] += sign
            weights[cell, 0], weights[cell, 2] = slope / 2, -slope / 2
            weights[cell, 1, -1] = 1
        return cls(tuple(arms), tuple(cells), weights)

    def chances(self, parameters: Floats) -> Floats:
        """Chances of left, tie, right: `[…, cell, outcome]` of `parameters[…, parameter]`."""
        logs = np.einsum("ckp,...p->...ck", self.weights, parameters)
        top = np.exp(logs - logs.max(-1, keepdims=True))
        return np.asarray(top / top.sum(-1, keepdims=True))


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Estimates `[table]`, or `[table, arm]` for β, in order of the arms."""

    beta: Floats
    side: Floats
    tie: Floats


def fit(counts: Floats, comparisons: Comparisons) -> Fitted:
    """Fit each table of `counts[table, cell, outcome]`, with a ridge so small that it shows only where nothing else holds."""
    weights = comparisons.weights
    parameters = np.zeros((len(counts), weights.shape[2]))
    total = counts.sum(2)
    eye = RIDGE * np.eye(weights.shape[2])
    outer = np.einsum("ckp,ckq->ckpq", weights, weights)
    for _ in range(STEPS):
        chance = comparisons.chances(parameters)
        slope = np.einsum("bck,ckp->bp", counts - total[..., None] * chance, weights) - RIDGE * parameters
        centre = np.einsum("bck,ckp->bcp", chance, weights)
        curve = np.einsum("bck,ckpq->bpq", total[..., None] * chance, outer)
        curve -= np.einsum("bc,bcp,bcq->bpq", total, centre, centre) - eye
        step = np.clip(np.linalg.solve(curve, slope[..., None])[..., 0], -LONGEST, LONGEST)
        parameters = parameters + step
        if np.abs(step).max(initial=0) < 1e-9:
            break
    return Fitted(np.c_[np.zeros(len(counts)), parameters[:, :-2]], parameters[:, -2], np.exp(parameters[:, -1]))
