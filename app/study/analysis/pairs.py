"""Pairs: which of two pages is the more coherent. Net preference with ties counted, and the Davidson model.

    pair_results(tables, design, raters, rng)

Each pair of pages is one cluster: pairs are drawn within what stands against what, raters too from ten on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.study.analysis import davidson
from app.study.analysis.bootstrap import Resampling, counts, ratio
from app.study.analysis.davidson import UNBOUNDED, Comparisons
from app.study.analysis.design import Design
from app.study.analysis.figures import Figure, Floats, missing, percentile
from app.study.analysis.parts import Pairs, Preference, Strength
from app.study.analysis.tables import Row

CHUNK = 4_000_000  # numbers held at a time
OUTCOME = {"left": 0, "tie": 1, "neither": 1, "right": 2}


@dataclass(slots=True)
class Choice:
    """One rater's answer to one pair."""

    item: str
    rater: int
    left: str
    right: str
    choice: str | None  # None: skipped
    scores: dict[str, int] = field(default_factory=dict)  # by side

    @property
    def group(self) -> tuple[str, str]:
        return (min(self.left, self.right), max(self.left, self.right))


def pair_results(
    rows: Iterable[Row], design: Design, raters: Sequence[str], rng: np.random.Generator, resamples: int
) -> Pairs | None:
    """Everything of the pairs' first answers; None where the study asked for none."""
    every = choices(rows, raters)
    if not every:
        return None
    chosen = [one for one in every if one.choice is not None]
    if not chosen:
        none = missing("Every pair was skipped.", 0, "pairs")
        return Pairs((), (), none, none, ("Every pair was skipped.",))
    groups = sorted({one.group for one in every if one.left != one.right}, key=lambda group: _order(design, group))
    cells = sorted({(one.left, one.right) for one in chosen})
    scored = [_Scored.of(design, group, chosen) for group in groups]
    columns = [_table(chosen, cells), *(one.columns for one in scored)]
    sums = _draws(chosen, np.concatenate(columns, axis=1), rng, resamples)
    tables, *own = np.split(sums, np.cumsum([part.shape[1] for part in columns])[:-1], axis=1)
    preferences = tuple(_preference(design, one, every, chosen, drawn) for one, drawn in zip(scored, own, strict=True))
    return _modelled(design, chosen, cells, tables.reshape(resamples, len(cells), 3), preferences)


def choices(rows: Iterable[Row], raters: Sequence[str]) -> list[Choice]:
    """First answers to main pairs by these raters, in order of item and rater."""
    place = {rater: number for number, rater in enumerate(raters)}
    found: dict[tuple[str, str], Choice] = {}
    scores: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        if row["purpose"] != "main" or row["repeat"] != 0 or row["rater"] not in place:
            continue
        key = str(row["item"]), str(row["rater"])
        if row["task"] == "pair-choice":
            choice = None if row["value"] is None else str(row["value"])
            found[key] = Choice(key[0], place[key[1]], str(row["arm"]), str(row["other_arm"]), choice)
        elif row["task"] == "pair-score" and row["value"] is not None:
            scores.setdefault(key, {})[str(row["side"])] = int(str(row["value"]))
    for key, given in scores.items():
        if key in found:
            found[key].scores = given
    return [found[key] for key in sorted(found)]


def _draws(chosen: Sequence[Choice], columns: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Sums over answers of `columns[answer, …]`, each counted as often as in the draw: `[draw, …]`."""
    found = np.empty((resamples, columns.shape[1]))
    step = max(1, CHUNK // len(chosen))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        found[start : start + count] = _weights(chosen, rng, count) @ columns
    return found


def _weights(chosen: Sequence[Choice], rng: np.random.Generator, resamples: int) -> Floats:
    """How much each answer counts in each draw: as often as its pair times as often as its rater, `[draw, answer]`."""
    weights = np.ones((resamples, len(chosen)))
    by_group: dict[tuple[str, str], tuple[list[int], dict[str, int]]] = {}
    for number, one in enumerate(chosen):
        own, places = by_group.setdefault(one.group, ([], {}))
        own.append(number)
        places.setdefault(one.item, len(places))
    for own, places in by_group.values():
        size = max(len(places) - 1, 1)
        drawn = counts(rng.integers(0, len(places), (resamples, size)), len(places)) * (len(places) / size)
        weights[:, own] = drawn[:, [places[chosen[number].item] for number in own]]
    used = sorted({one.rater for one in chosen})
    plan = Resampling.plan(rng, resamples, len(used))
    if plan.raters is not None:
        at = {rater: number for number, rater in enumerate(used)}
        weights *= plan.raters[:, [at[one.rater] for one in chosen]]
    return weights


def _table(chosen: Sequence[Choice], cells: Sequence[tuple[str, str]]) -> Floats:
    """Which cell and outcome each answer is of, `[answer, 3 cell + outcome]`, in ones and zeros."""
    found = np.zeros((len(chosen), 3 * len(cells)))
    place = {cell: 3 * number for number, cell in enumerate(cells)}
    for number, one in enumerate(chosen):
        found[number, place[one.left, one.right] + OUTCOME[str(one.choice)]] = 1
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """The answers to pairs of one arm against another: `own`, who `won` (1, 0, −1), and the `gap` of scores, or NaN."""

    first: str
    second: str
    own: NDArray[np.bool_]
    won: Floats
    gap: Floats

    @classmethod
    def of(cls, design: Design, group: tuple[str, str], chosen: Sequence[Choice]) -> "_Scored":
        """The trained arm comes first, a control last."""
        rank = {name: number for number, name in enumerate(design.names)}
        kinds = {arm.name: arm.kind for arm in design.arms}
        first, second = sorted(
            group,
            key=lambda name: (name != design.trained, kinds.get(name) != "features", rank.get(name, len(rank)), name),
        )
        own = np.array([one.group == group for one in chosen])
        won = np.array([float(_won(one, first)) for one in chosen])
        return cls(first, second, own, won, np.array([_gap(one, first) for one in chosen]))

    @property
    def scored(self) -> NDArray[np.bool_]:
        return self.own & np.isfinite(self.gap)

    @property
    def columns(self) -> Floats:
        """What is summed in each draw: answers, wins less losses, answers with scores, their gaps."""
        own, scored = self.own.astype(np.float64), self.scored.astype(np.float64)
        return np.stack([own, own * self.won, scored, np.where(self.scored, self.gap, 0.0)], axis=1)


def _order(design: Design, group: tuple[str, str]) -> tuple[int, int]:
    """The contrast of trained and random first, then the others of trained, then the rest, as the arms come."""
    places = sorted(design.names.index(name) if name in design.names else len(design.names) for name in group)
    first = 0 if set(group) == {design.trained, design.random} else 1
    return first, places[0] * (len(design.names) + 1) + places[1]


def _preference(
    design: Design, of: _Scored, every: Sequence[Choice], chosen: Sequence[Choice], sums: Floats
) -> Preference:
    """One contrast, with the sums of its columns in each draw."""
    answers, net_sum, scores, gap_sum = sums.T
    group = (min(of.first, of.second), max(of.first, of.second))
    won, gap = of.won[of.own], of.gap[of.scored]
    wins, losses = int((won > 0).sum()), int((won < 0).sum())
    neither = sum(one.choice == "neither" for one in chosen if one.group == group)
    items = len({one.item for one in chosen if one.group == group})
    level = 1 - design.alpha
    net = percentile(float(won.mean()) if len(won) else np.nan, ratio(net_sum, answers), level, items, "pairs")
    if items and len(set(won.tolist())) == 1:
        net = net.warned("All answers are alike: no spread is seen, and the interval is too narrow.")
    mean_gap = float(gap.mean()) if len(gap) else np.nan
    return Preference(
        first=of.first,
        second=of.second,
        wins=wins,
        ties=len(won) - wins - losses - neither,
        neither=neither,
        losses=losses,
        skips=sum(one.choice is None for one in every if one.group == group),
        net=net,
        score_gap=percentile(mean_gap, ratio(gap_sum, scores), level, len(gap), "answers"),
    )


def _won(one: Choice, first: str) -> int:
    """1 where the page of arm `first` was preferred, −1 where the other was, else 0."""
    preferred = {"left": one.left, "right": one.right}.get(one.choice or "")
    return 0 if preferred is None else 1 if preferred == first else -1


def _gap(one: Choice, first: str) -> float:
    if len(one.scores) < 2:
        return float("nan")
    gap = one.scores["left"] - one.scores["right"]
    return float(gap if one.left == first else -gap)


def _modelled(
    design: Design,
    chosen: Sequence[Choice],
    cells: Sequence[tuple[str, str]],
    tables: Floats,
    preferences: tuple[Preference, ...],
) -> Pairs:
    """The Davidson model of all pairs, those of one arm with itself too; `tables[draw, cell, outcome]`."""
    present = {name for one in chosen for name in (one.left, one.right)}
    rest = [name for name in design.names if name in present and name != design.trained]
    arms = [str(name) for name in (design.trained,) if name in present] + rest
    arms += sorted(present - set(arms))
    level = 1 - design.alpha
    comparisons = Comparisons.of(arms, cells)
    seen = _table(chosen, cells).sum(0).reshape(1, len(cells), 3)
    once, drawn = davidson.fit(seen, comparisons), davidson.fit(tables, comparisons)
    items = len({one.item for one in chosen})
    warnings = []
    ties = int(seen[:, :, 1].sum())
    if ties == 0:
        warnings.append("No pair was called a tie: ν is 0, as far as can be seen.")
    if ties == len(chosen):
        warnings.append("Every pair was called a tie: neither a preference nor an effect of the side can be seen.")
        none = missing("Every pair was a tie.", items, "pairs")
        return Pairs(preferences, tuple(Strength(arm, none) for arm in arms[1:]), none, none, tuple(warnings))
    strengths = []
    for place, arm in enumerate(arms[1:], start=1):
        figure = percentile(float(once.beta[0, place]), drawn.beta[:, place], level, items, "pairs")
        problem = _unbounded(arms, arm, seen[0], cells, figure)
        strengths.append(Strength(arm, missing(problem, items, "pairs") if problem else figure))
    tie = percentile(float(once.tie[0]), drawn.tie, level, items, "pairs")
    if ties == 0:
        tie = Figure(0.0, n=items, unit="pairs", warning=warnings[0])
    side = percentile(float(once.side[0]), drawn.side, level, items, "pairs")
    if abs(once.side[0]) > UNBOUNDED:
        side = missing("Every decisive pair went to the same side: its effect has no bound.", items, "pairs")
    return Pairs(
        preferences=preferences,
        strengths=tuple(strengths),
        side=side,
        tie=tie,
        warnings=tuple(warnings),
    )


def _unbounded(
    arms: Sequence[str], arm: str, seen: Floats, cells: Sequence[tuple[str, str]], figure: Figure
) -> str | None:
    """Why an arm's β can't be had: it met no arm that leads to the first, or won or lost every decisive pair."""
    reached = {arms[0]}
    while grown := {name for cell in cells for name in cell if reached & set(cell)} - reached:
        reached |= grown
    if arm not in reached:
        return f"“{arm}” was never set against “{arms[0]}”, nor against an arm that was."
    wins = losses = 0.0
    for (left, right), (won_left, _, won_right) in zip(cells, seen.tolist(), strict=True):
        if left != right and arm in (left, right):
            wins += won_left if arm == left else won_right
            losses += won_right if arm == left else won_left
    if wins + losses and not (wins and losses):
        return f"“{arm}” {'won' if wins else 'lost'} every decisive pair: its strength has no bound."
    if figure.value is not None and abs(figure.value) > UNBOUNDED:
        return f"The strength of “{arm}” has no bound that these pairs could set."
    return None
