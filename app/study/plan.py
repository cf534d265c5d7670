"""Which questions a study asks, before any feature is drawn: solo pages by arm, and the mix of pairs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import floor
from typing import TypeVar

from app.study.answers import Task
from app.study.protocol import PairTask, Protocol

T = TypeVar("T")
COMPARED, OTHERS = 0, 1  # the two groups in which pairs take sides in turn


@dataclass(frozen=True, slots=True)
class Question:
    """An item to be: its task and the arm of each of its pages, "a" first."""

    task: Task
    arms: tuple[str, ...]
    turns: int = OTHERS


def questions(protocol: Protocol) -> list[Question]:
    """Every item of a study, in the order of the protocol."""
    found: list[Question] = []
    if protocol.tasks.page:
        found += [Question("page", (arm.name,)) for _ in range(protocol.tasks.page.features) for arm in protocol.arms]
    if protocol.tasks.pair:
        found += pairs(protocol.tasks.pair, [arm.name for arm in protocol.controls])
    return found


def pairs(task: PairTask, controls: Sequence[str]) -> list[Question]:
    """The pairs: arms of a contrast against each other, arms against themselves, arms against a control."""
    between, same, control = split(task.pairs, (task.mix.between, task.mix.same, task.mix.control))
    arms = list(dict.fromkeys(name for contrast in task.contrasts for name in contrast))
    against_control = [(arm, other) for other in controls for arm in arms]
    return [
        *(Question("pair", contrast, COMPARED) for contrast in _turns(task.contrasts, between)),
        *(Question("pair", (arm, arm)) for arm in _turns(arms, same)),
        *(Question("pair", both) for both in _turns(against_control, control)),
    ]


def split(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the shares, adding up to the total: the largest remainders are rounded up."""
    exact = [round(total * share, 9) for share in shares]
    whole = [floor(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda place: whole[place] - exact[place])
    for place in by_remainder[: total - sum(whole)]:
        whole[place] += 1
    return whole


def demand(asked: Sequence[Question]) -> Counter[str]:
    """How many pages each arm must give."""
    return Counter(arm for question in asked for arm in question.arms)


def _turns(values: Sequence[T], count: int) -> Iterator[T]:
    return islice(cycle(values), count)
