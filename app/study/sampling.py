"""Which features a study shows: drawn by seed, in equal numbers from each tenth of the firing frequencies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.errors import UserError
from app.study.blinding import shuffled

DECILES = 10


@dataclass(frozen=True, slots=True)
class Candidate:
    """A feature that can fill a page."""

    dictionary: str
    feature: int
    frequency: float
    single_token: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    candidate: Candidate
    decile: int  # 0 (rarest tenth of its dictionary's candidates) … 9; of fewer or more parts, if the study has them


def deciles(candidates: Iterable[Candidate], parts: int = DECILES) -> list[list[Candidate]]:
    """The candidates of one dictionary in ten parts, or so many, of equal size (to within one), rarest first."""
    ranked = sorted(candidates, key=lambda candidate: (candidate.frequency, candidate.feature))
    bounds = [len(ranked) * decile // parts for decile in range(parts + 1)]
    return [ranked[start:end] for start, end in pairwise(bounds)]


def draw(name: str, candidates: Sequence[Candidate], count: int, seed: int, parts: int = DECILES) -> list[Drawn]:
    """Draw `count` features of the dictionary `name`, without replacement.

    They come decile after decile in a seeded order, so that every stretch of the result is spread over the deciles as
    evenly as its length allows, and so are the tasks that take stretches of it. Raises UserError where there are too
    few candidates.
    """
    if count > len(candidates):
        raise UserError(
            f"The study needs {count} features of {name}, but only {len(candidates)} can fill a page; ask for "
            "fewer, or build from more text."
        )
    queues = [
        shuffled([Drawn(candidate, decile) for candidate in part], seed, f"feature {decile}", _name)
        for decile, part in enumerate(deciles(candidates, parts))
    ]
    drawn: list[Drawn] = []
    lap = 0
    while len(drawn) < count:
        in_turn = shuffled([queue[lap] for queue in queues if lap < len(queue)], seed, f"lap {lap}", _name)
        drawn += in_turn[: count - len(drawn)]
        lap += 1
    return drawn


def draw_evenly(
    candidates: Mapping[str, Sequence[Candidate]], count: int, seed: int, parts: int = DECILES
) -> list[Drawn]:
    """Draw `count` features from several dictionaries in turn; the first give one more where it does not divide."""
    names = list(candidates)
    share = {name: count // len(names) + (place < count % len(names)) for place, name in enumerate(names)}
    queues = {name: draw(name, candidates[name], share[name], seed, parts) for name in names if share[name]}
    return [queue[lap] for lap in range(max(share.values())) for queue in queues.values() if lap < len(queue)]


def _name(drawn: Drawn) -> str:
    return f"{drawn.candidate.dictionary}/{drawn.candidate.feature}"
