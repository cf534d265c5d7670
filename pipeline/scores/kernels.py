"""The inner loops of the scores, compiled: draws by seeded hash, and a bag-of-tokens classifier a feature.

All draws depend on a feature's own key and on what is drawn, never on what is scored beside it. Contexts are rows of
`token[context, position]`; hits are ragged: feature f owns `[start[f], start[f + 1])` of `context` and `peak`.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

ATTEMPTS = 256  # draws before a place is given up
Ints = NDArray[np.int64]


@compiled
def _mix(key: np.uint64, number: int) -> np.uint64:
    """SplitMix64's finaliser, as in pipeline.hashing, of one key and a number."""
    hashed = (key ^ np.uint64(number)) + np.uint64(0x9E3779B97F4A7C15)
    hashed = (hashed ^ (hashed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashed ^ (hashed >> np.uint64(31))


@compiled
def _draw(
    key: np.uint64, pool: Ints, open_: NDArray[np.bool_], document: Ints, peak: int, taken: Ints, size: int
) -> int:
    """A context of the pool in which `peak` is open and whose document is not among `taken[:size]`; −1 where none comes."""
    for attempt in range(ATTEMPTS):
        context = pool[_mix(key, attempt) % np.uint64(len(pool))]
        if open_[context, peak] and not _among(document[context], taken, size):
            return int(context)
    return -1


@compiled
def _among(value: int, values: Ints, size: int) -> bool:
    for place in range(size):  # noqa: SIM110 (numba compiles no generator)
        if values[place] == value:
            return True
    return False


@compiled
def draw_alike(
    key: NDArray[np.uint64],
    start: Ints,
    peak: Ints,
    pool: Ints,
    open_: NDArray[np.bool_],
    document: Ints,
    avoid: Ints,
    avoid_start: Ints,
    each: int,
    apart: bool,
) -> Ints:
    """For each hit, `each` contexts of the pool that are open where the hit peaks: `found[hit, each]`, −1 for none.

    None is of a document in `avoid` that the feature owns by `avoid_start`; where `apart`, no two of a feature's are of one
    document.
    """
    found = np.full((len(peak), each), -1, np.int64)
    for feature in range(len(key)):
        first, last = start[feature], start[feature + 1]
        known = avoid_start[feature + 1] - avoid_start[feature]
        taken = np.empty(known + (last - first) * each, np.int64)
        taken[:known] = avoid[avoid_start[feature] : avoid_start[feature + 1]]
        size = known
        for hit in range(first, last):
            for number in range(each):
                place = (hit - first) * each + number
                context = _draw(_mix(key[feature], place), pool, open_, document, peak[hit], taken, size)
                found[hit, number] = context
                if apart and context >= 0:
                    taken[size] = document[context]
                    size += 1
    return found


@compiled
def _add(
    token: NDArray[np.int32],
    context: int,
    peak: int,
    reach: int,
    amount: int,
    at_peak: NDArray[np.int32],
    around: NDArray[np.int32],
) -> int:
    """Count a hit's tokens, or take them back; tells how many stand around it."""
    at_peak[token[context, peak]] += amount
    size = 0
    for position in range(max(0, peak - reach), min(token.shape[1], peak + reach + 1)):
        if position != peak and token[context, position] >= 0:
            around[token[context, position]] += amount
            size += 1
    return size


@compiled
def _odds(count: int, total: int, share: float, weight: float) -> float:
    """Log of how much more often a token stands here than in the text at large; `weight` occurrences speak for none.

    In this form all tokens that are not seen here are worth exactly the same.
    """
    return float(np.log((count / share + weight) / (total + weight)))


@compiled
def _auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Share of pairs in which the positive one is larger; ties count half."""
    won = 0.0
    for one in positive:
        for other in negative:
            won += 1.0 if one > other else 0.5 if one == other else 0.0
    return won / (len(positive) * len(negative))


@compiled
def _score(
    token: NDArray[np.int32],
    share: NDArray[np.float64],
    context: int,
    peak: int,
    reach: int,
    weight: tuple[float, float],
    learnt: int,
    size: int,
    at_peak: NDArray[np.int32],
    around: NDArray[np.int32],
) -> tuple[float, float]:
    """How a place looks to what was learnt: by the token there alone, and with those around it."""
    centre = token[context, peak]
    alone = _odds(at_peak[centre], learnt, share[centre], weight[0])
    others = 0.0
    for position in range(max(0, peak - reach), min(token.shape[1], peak + reach + 1)):
        other = token[context, position]
        if position != peak and other >= 0:
            others += _odds(around[other], size, share[other], weight[1])
    return alone, alone + others


@compiled
def _judge(
    token: NDArray[np.int32],
    share: NDArray[np.float64],
    learn: Ints,
    judge: Ints,
    context: Ints,
    peak: Ints,
    negative: Ints,
    reach: int,
    weight: tuple[float, float],
    at_peak: NDArray[np.int32],
    around: NDArray[np.int32],
) -> tuple[float, float]:
    """The two AUROCs of the hits `judge`, against their negatives, by what the hits `learn` say."""
    size = 0
    for hit in learn:
        size += _add(token, context[hit], peak[hit], reach, 1, at_peak, around)
    yes, no = np.empty((2, len(judge))), np.empty((2, len(judge) * negative.shape[1]))
    opposed = 0
    for number, hit in enumerate(judge):
        yes[0, number], yes[1, number] = _score(
            token, share, context[hit], peak[hit], reach, weight, len(learn), size, at_peak, around
        )
        for other in negative[hit]:
            if other >= 0:
                no[0, opposed], no[1, opposed] = _score(
                    token, share, other, peak[hit], reach, weight, len(learn), size, at_peak, around
                )
                opposed += 1
    for hit in learn:
        _add(token, context[hit], peak[hit], reach, -1, at_peak, around)
    return _auroc(yes[0], no[0, :opposed]), _auroc(yes[1], no[1, :opposed])


@compiled
def bags(
    token: NDArray[np.int32],
    share: NDArray[np.float64],
    half: NDArray[np.int8],
    start: Ints,
    context: Ints,
    peak: Ints,
    tested: NDArray[np.bool_],
    negative: Ints,
    reach: int,
    weight: tuple[float, float],
    least: int,
) -> NDArray[np.float64]:
    """`auroc[feature, 2]`, from the token at the peak alone and with those around it; NaN where documents do not suffice.

    `share[token]`: how often a token stands in the text; `half[context]`: 0 or 1, by document; `negative[hit, n]`: contexts
    that stand against a hit, at its place, −1 for none. Learnt on one half's hits and judged on those hits of the other
    that are `tested`, both ways; `least` hits are needed on either side. The classifier is naive Bayes's, with one table
    for the token at the peak and one for those around it, each with its `weight`.
    """
    result = np.full((len(start) - 1, 2), np.nan)
    at_peak, around = np.zeros(len(share), np.int32), np.zeros(len(share), np.int32)
    for feature in range(len(start) - 1):
        hits = np.arange(start[feature], start[feature + 1])
        alone, whole, judged = 0.0, 0.0, 0
        for fold in range(2):
            own = half[context[hits]] == fold
            learn, judge = hits[own], hits[~own & tested[hits]]
            against = 0
            for hit in judge:
                against += np.sum(negative[hit] >= 0)
            if min(len(learn), len(judge), against) >= least:
                first, second = _judge(
                    token, share, learn, judge, context, peak, negative, reach, weight, at_peak, around
                )
                alone += first * len(judge)
                whole += second * len(judge)
                judged += len(judge)
        if judged:
            result[feature, 0], result[feature, 1] = alone / judged, whole / judged
    return result


@compiled
def draw_trials(
    key: NDArray[np.uint64], start: Ints, third: NDArray[np.int8], document: Ints, trials: int, pieces: int
) -> Ints:
    """`hit[feature, third, trial, pieces]`: hits of one third, each of a document of its own, by lot; −1 where too few."""
    found = np.full((len(key), 3, trials, pieces), -1, np.int64)
    for feature in range(len(key)):
        for part in range(3):
            for trial in range(trials):
                lot = _mix(_mix(key[feature], part), trial)
                order = np.arange(start[feature], start[feature + 1])
                for place in range(len(order) - 1, 0, -1):  # Fisher and Yates
                    other = _mix(lot, place) % np.uint64(place + 1)
                    held = order[place]
                    order[place] = order[other]
                    order[other] = held
                documents = np.empty(pieces, np.int64)
                size = 0
                for hit in order:
                    if size < pieces and third[hit] == part and not _among(document[hit], documents, size):
                        documents[size] = document[hit]
                        found[feature, part, trial, size] = hit
                        size += 1
                if size < pieces:
                    found[feature, part, trial] = -1
    return found
