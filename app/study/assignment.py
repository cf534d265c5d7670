"""Which item a rater gets next, and on which side its pages stand.

Nothing here asks what an item is: order follows from the seed, the rater and the item's random id; sides from the sides
this rater had before; catch items and repeats from how far this rater is. The choice is made one screen at a time, since
others take places meanwhile: nobody's whole order can be written down beforehand.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from math import floor

from app.study.blinding import keyed

TASK_ORDER = ("page", "pair", "intruder")  # solo pages first: their scores are then free of what pairs teach
MIN_GAP = 2  # screens between two repeats while other items are left: a burst of them would be noticed


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier assignment of one rater."""

    item: str  # public id
    task: str
    purpose: str  # main, catch
    repeat: bool
    position: int


@dataclass(frozen=True, slots=True)
class Offer:
    """An item that this rater may have."""

    item: str  # public id
    task: str


@dataclass(frozen=True, slots=True)
class Choice:
    item: str
    repeat: bool


@dataclass(frozen=True, slots=True)
class Repeats:
    """A `share` of a rater's items comes once more, with `distance` questions or more in between."""

    share: float
    distance: int


def preference(seed: int, rater: str, item: str, task: str) -> tuple[int, bytes]:
    """Sort key of an item in one rater's order: task by task, and within a task a seeded order of the rater's own."""
    return TASK_ORDER.index(task), keyed(seed, "order", rater, item)


def next_item(
    seed: int, rater: str, past: Sequence[Past], free: Sequence[Offer], catch: Sequence[Offer], plan: Repeats
) -> Choice | None:
    """What comes next for a rater: a catch item or a repeat where one is due, else the first free item of its order.

    `free` are the main items that are still to be had, in the rater's order (`preference`), `catch` all catch items.
    Before the first item of another task, what is still due of the last one comes. None where nothing is left.
    """
    first = free[0] if free else None
    last = max(past, key=lambda one: one.position, default=None)
    if first is None and last is None:
        return None
    blocks = dict.fromkeys(found.task for found in (last, first) if found)
    asked = {one.task for one in past if one.purpose == "main"} | {offer.task for offer in free}
    shown = {one.item for one in past if one.purpose == "catch"}
    for task in blocks:
        left = sum(offer.task == task for offer in free)
        done = sum(one.purpose == "main" and one.task == task and not one.repeat for one in past)
        here = [offer.item for offer in catch if offer.task == task or offer.task not in asked]
        if due := next_catch(seed, rater, here, shown, done, left):
            return Choice(due, False)
        if due := next_repeat(seed, rater, past, task, plan, left):
            return Choice(due, True)
    return Choice(first.item, False) if first else None


def next_catch(seed: int, rater: str, items: Sequence[str], shown: Set[str], done: int, left: int) -> str | None:
    """The catch item that is due now, if any, of those not shown yet.

    They are spread over the rater's main items of their task, `done` of which were shown and `left` are still to be had:
    each at a seeded place within its own equal part of them. Where none is left, all that were not shown are due.
    """
    waiting = [item for item in items if item not in shown]
    if not waiting:
        return None
    number = len(items) - len(waiting)
    place = (number + _uniform(seed, "catch place", rater, number)) / len(items)
    if left and done < place * (done + left):
        return None
    return min(waiting, key=lambda item: keyed(seed, "catch", rater, item))


def next_repeat(seed: int, rater: str, past: Sequence[Past], task: str, plan: Repeats, left: int) -> str | None:
    """The earlier item of this task that comes again now, if one is due; `left` main items of the task are to be had.

    While items are left, a repeat follows another after MIN_GAP screens at the earliest, and then by a seeded coin.
    """
    mains, again = _of_task(past, task)
    position = 1 + max((one.position for one in past), default=0)
    if len(again) >= _wanted(seed, rater, task, plan, len(mains)):
        return None
    if left:
        recent = any(one.repeat and position - one.position <= MIN_GAP for one in past)
        if recent or _uniform(seed, "repeat now", rater, position) < 0.5:
            return None
    repeated = {one.item for one in again}
    due = [one.item for one in mains if position - one.position > plan.distance and one.item not in repeated]
    return min(due, key=lambda item: keyed(seed, "repeat", rater, item), default=None)


def repeats_ahead(seed: int, rater: str, past: Sequence[Past], task: str, plan: Repeats, left: int) -> int:
    """How many repeats of a task this rater has still to expect, for the count of what is left.

    Once one item is far enough away at the end, all that are wanted come: each repeat moves the next item away by one.
    """
    mains, again = _of_task(past, task)
    if left:
        possible = len(mains) + left > plan.distance
    else:
        repeated = {one.item for one in again}
        end = max((one.position for one in past), default=0)
        possible = any(end + 1 - one.position > plan.distance for one in mains if one.item not in repeated)
    return max(0, _wanted(seed, rater, task, plan, len(mains) + left) - len(again)) if possible else 0


def _of_task(past: Sequence[Past], task: str) -> tuple[list[Past], list[Past]]:
    """The rater's main items of a task, first times and repeats."""
    main = [one for one in past if one.purpose == "main" and one.task == task]
    return [one for one in main if not one.repeat], [one for one in main if one.repeat]


def _wanted(seed: int, rater: str, task: str, plan: Repeats, items: int) -> int:
    """So many repeats belong to so many items: the share, rounded up or down by seed so that it holds on average."""
    return floor(plan.share * items + _uniform(seed, "repeats", rater, task)) if plan.share else 0


def _uniform(seed: int, *parts: str | int) -> float:
    """A seeded number in [0, 1)."""
    return int.from_bytes(keyed(seed, *parts)[:6], "big") / 2**48


def next_flip(earlier: Sequence[tuple[int, bool]], turns: int, coin: bool) -> bool:
    """Whether page "b" of the next pair stands left, given (turns, flip) of this rater's earlier pairs.

    Pairs of one `turns` number come in blocks of two, once each way round. A block's first pair goes against the
    surplus over all pairs, or by the coin where there is none. With the two numbers in use (0, pairs of two arms
    compared; 1, the rest) both stay balanced to within one, and so does their sum.
    """
    own = sum(1 if flip else -1 for group, flip in earlier if group == turns)
    surplus = own or sum(1 if flip else -1 for _, flip in earlier)
    return surplus < 0 if surplus else coin


def coin(seed: int, rater: str, item: str) -> bool:
    return bool(keyed(seed, "side", rater, item)[0] & 1)
