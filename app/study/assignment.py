"""Which item a rater gets next, and on which side its pages stand.

Neither asks what an item is: order follows from the seed, the rater and the item's random id; sides from the sides this
rater had before.
"""

from collections.abc import Sequence

from app.study.blinding import keyed

TASK_ORDER = ("page", "pair")  # solo pages first: their scores are then free of what pairs teach


def preference(seed: int, rater: str, item: str, task: str) -> tuple[int, bytes]:
    """Sort key of an item in one rater's order: task by task, and within a task a seeded order of the rater's own."""
    return TASK_ORDER.index(task), keyed(seed, "order", rater, item)


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
