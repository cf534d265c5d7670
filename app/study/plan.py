"""Which questions a study asks, before any feature is drawn: pages and intruders by arm, the mix of pairs, the checks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import floor
from typing import TypeVar

from app.study.answers import Task
from app.study.frozen import Purpose
from app.study.intruders import THIRDS
from app.study.protocol import PairTask, Protocol

T = TypeVar("T")
COMPARED, OTHERS = 0, 1  # the two groups in which pairs take sides in turn
CATCH, PRACTICE = "catch", "practice"  # what the key calls the arm of items with a known answer


@dataclass(frozen=True, slots=True)
class Question:
    """Items to be: their task and the arm of each page, "a" first. One item, but for an intruder: all of a feature's."""

    task: Task
    arms: tuple[str, ...]
    turns: int = OTHERS
    purpose: Purpose = "main"
    instructed: bool = False  # of a catch item: its text says which score to give


def questions(protocol: Protocol) -> list[Question]:
    """Every question of a study, in the order of the protocol: what is asked of features, then the checks."""
    tasks, names = protocol.tasks, [arm.name for arm in protocol.arms]
    found: list[Question] = []
    if tasks.page:
        found += [Question("page", (name,)) for _ in range(tasks.page.features) for name in names]
    if tasks.pair:
        found += pairs(tasks.pair, [arm.name for arm in protocol.controls])
    if tasks.intruder:
        found += [Question("intruder", (name,)) for _ in range(tasks.intruder.features) for name in names]
    found += [Question("page", (name,), purpose="guess") for _ in range(protocol.guess.pages) for name in names]
    found += [Question("page", (CATCH,), purpose="catch")] * protocol.catch.planted
    found += [Question("page", (CATCH,), purpose="catch", instructed=True)] * protocol.catch.instructed
    found += [Question("page", (PRACTICE,), purpose="practice")] * protocol.practice.pages
    found += [Question("intruder", (PRACTICE,), purpose="practice")] * protocol.practice.intruders
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


def items(protocol: Protocol, asked: Question) -> int:
    """How many items a question becomes."""
    intruder = protocol.tasks.intruder
    main = asked.task == "intruder" and asked.purpose == "main" and intruder is not None
    return len(THIRDS) * intruder.trials if main and intruder else 1


def split(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the shares, adding up to the total: the largest remainders are rounded up."""
    exact = [round(total * share, 9) for share in shares]
    whole = [floor(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda place: whole[place] - exact[place])
    for place in by_remainder[: total - sum(whole)]:
        whole[place] += 1
    return whole


def demand(asked: Sequence[Question]) -> Counter[str]:
    """How many features each arm must give."""
    return Counter(arm for question in asked for arm in question.arms)


def _turns(values: Sequence[T], count: int) -> Iterator[T]:
    return islice(cycle(values), count)
