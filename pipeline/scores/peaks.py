"""What the tokens at the peaks say: how many there are, whether they fade with strength, whether another text has them."""

import numpy as np
from numpy.typing import NDArray

from pipeline.hashing import mix
from pipeline.runs import firsts
from pipeline.scores.hits import SECOND, TOP, BlockHits
from pipeline.scores.text import SiteText

DECILES = 10
Values = NDArray[np.float64]


def shares(
    feature: NDArray[np.int64], token: NDArray[np.integer], m: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Values]:
    """Runs `feature[r]`, `token[r]`, and the share of its feature's entries that each has."""
    keys = np.sort(feature << 32 | token)
    begins = firsts(keys)
    runs = keys[begins]
    owner = runs >> 32
    share = np.diff(begins, append=len(keys)) / np.bincount(feature, minlength=m)[owner]
    return owner, runs & 0xFFFFFFFF, share


def entropy(owner: NDArray[np.int64], share: Values, m: int) -> Values:
    """In nats, of each feature; 0 where it has no entry."""
    return np.abs(np.bincount(owner, -share * np.log(share), m))


def peak_scores(hits: BlockHits, text: SiteText) -> dict[str, Values]:
    """`peak_entropy` and `top_token_share` of the top contexts; NaN where a feature has none."""
    m = len(hits)
    feature, hit = hits.of_group(TOP)
    owner, _, share = shares(feature, text.token[hits.context[hit], hits.peak[hit]].astype(np.int64), m)
    largest = np.zeros(m)
    np.maximum.at(largest, owner, share)
    none = np.bincount(feature, minlength=m) == 0
    return {
        "peak_entropy": np.where(none, np.nan, entropy(owner, share, m)),
        "top_token_share": np.where(none, np.nan, largest),
    }


def stability(hits: BlockHits, text: SiteText) -> Values:
    """As `second_stability` of the store: 1 − the Jensen–Shannon divergence of the peak tokens in the two texts, in bits."""
    m, sides = len(hits), []
    for group in (TOP, SECOND):
        feature, hit = hits.of_group(group)
        sides.append(shares(feature, text.token[hits.context[hit], hits.peak[hit]].astype(np.int64), m))
    apart = sum(entropy(owner, share, m) for owner, _, share in sides) / 2
    keys = np.concatenate([owner << 32 | token for owner, token, _ in sides])
    half = np.concatenate([share / 2 for _, _, share in sides])
    order = np.argsort(keys, kind="stable")
    begins = firsts(keys[order])
    mixed = np.add.reduceat(half[order], begins) if len(begins) else half
    together = entropy(keys[order][begins] >> 32, mixed, m)
    both = np.all([np.bincount(owner, minlength=m) > 0 for owner, _, _ in sides], axis=0)
    return np.where(both, np.clip(1 - (together - apart) / np.log(2), 0, 1), np.nan)


def null_slope(hits: BlockHits, text: SiteText, sampled: NDArray[np.int64]) -> Values:
    """The decile slope of as many random peaks as the feature's own is measured on, `sampled[feature]`.

    The token that is followed is the most common one at the peaks of the (random) top contexts.
    """
    m = len(hits)
    feature, hit = hits.of_group(TOP)
    owner, token, share = shares(feature, text.token[hits.context[hit], hits.peak[hit]].astype(np.int64), m)
    followed = np.full(m, -1, np.int64)
    order = np.lexsort((-share, owner))
    best = order[firsts(owner[order])]
    followed[owner[best]] = token[best]
    places = np.flatnonzero((text.open[text.pool]).reshape(-1))
    tokens = text.token[text.pool].reshape(-1)[places]
    most = int(sampled.max(initial=1))
    drawn = tokens[mix(0, hits.key[:, None], np.arange(most)[None]) % np.uint64(max(len(tokens), 1))]
    inside = np.arange(most)[None] < sampled[:, None]
    decile = np.arange(most)[None] * DECILES // np.maximum(sampled, 1)[:, None]
    cell = (np.arange(m)[:, None] * DECILES + decile)[inside]
    size = np.bincount(cell, minlength=m * DECILES)
    same = np.bincount(cell, (drawn == followed[:, None])[inside], m * DECILES)
    centred = np.arange(DECILES) - (DECILES - 1) / 2
    share_of = (same / np.maximum(size, 1)).reshape(m, DECILES)
    return np.where(followed >= 0, (share_of * centred).sum(1) / (centred**2).sum(), np.nan)
