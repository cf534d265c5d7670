"""What the meaning says: likeness of contexts to a sentence embedder, for top contexts and for intruder trials.

A context is read in the window of a fixed grid in whose middle its peak stands: all are equally long, and however many
features there are, a window is embedded once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.hashing import derive, mix
from pipeline.scores.hits import THIRDS, TOP, BlockHits
from pipeline.scores.kernels import draw_trials
from pipeline.scores.measures import PIECES
from pipeline.scores.text import SiteText

EACH = 5  # random windows that stand against a top context
TRIALS = 5  # of each third of a feature's range
LEAST = 5  # top contexts
AT_A_TIME = 64  # features

Windows = NDArray[np.int64]
Embedded = Callable[[Windows], NDArray[np.float32]]
"""`vector[…, width]`, of unit length, of windows by number."""
NAMES = ("top", "middle", "low")


@dataclass(frozen=True, slots=True)
class Asked:
    """The windows that a block's scores are made of, by number; −1 for none.

    `positive[feature, n]` and `negative[feature, n, EACH]` of top contexts; `trial[feature, third, trial, PIECES]`, the
    intruder last.
    """

    positive: Windows
    negative: Windows
    trial: Windows

    @property
    def windows(self) -> Windows:
        """All of them, once each."""
        found = np.unique(np.concatenate([part.reshape(-1) for part in (self.positive, self.negative, self.trial)]))
        return found[found >= 0]


def asked(hits: BlockHits, text: SiteText) -> Asked:
    """Negatives are of the pool, of documents in which the feature is not known to fire, at the hit's own place."""
    feature, hit = hits.of_group(TOP)
    width = int(np.bincount(feature, minlength=1).max(initial=0))
    rank = np.arange(len(feature)) - np.searchsorted(feature, feature)
    positive = np.full((len(hits), width), -1, np.int64)
    negative = np.full((len(hits), width, EACH), -1, np.int64)
    order = np.lexsort((hit, feature))
    against = np.empty((len(hit), EACH), np.int64)
    against[order] = hits.against(text, EACH, "meaning", hit[order])
    positive[feature, rank] = text.window(hits.context[hit], hits.peak[hit])
    negative[feature, rank] = np.where(against >= 0, text.window(against, hits.peak[hit][:, None]), -1)
    return Asked(positive, negative, _trials(hits, text))


def _trials(hits: BlockHits, text: SiteText) -> Windows:
    """Four hits of a third; in place of a fifth one, a context of the pool at that one's place."""
    key = mix(derive(0, "trials"), hits.key)
    found = draw_trials(key, hits.start, hits.third, text.document[hits.context], TRIALS, PIECES)
    hit = found.reshape(-1, PIECES)
    replaced = hit[:, -1]
    whole = np.flatnonzero(replaced >= 0)
    trial = np.full(hit.shape, -1, np.int64)
    trial[whole, :-1] = text.window(hits.context[hit[whole, :-1]], hits.peak[hit[whole, :-1]])
    # A hit may be replaced in several trials, each time by another context: as many are drawn as there are trials in all.
    some = np.unique(replaced[whole])
    each = THIRDS * TRIALS
    intruders = hits.against(text, each, "intruders", some)[np.searchsorted(some, replaced[whole]), whole % each]
    trial[whole, -1] = np.where(intruders >= 0, text.window(intruders, hits.peak[replaced[whole]]), -1)
    trial[trial[:, -1] < 0] = -1
    return trial.reshape(found.shape)


def meaning_scores(wanted: Asked, embedded: Embedded) -> dict[str, NDArray[np.float64]]:
    """`embedder_auroc`, `embedder_intruder` and its thirds; NaN where a feature has too few contexts."""
    m = len(wanted.positive)
    auroc, right = np.full(m, np.nan), np.full((m, THIRDS), np.nan)
    for first in range(0, m, AT_A_TIME):
        some = slice(first, first + AT_A_TIME)
        auroc[some] = _aurocs(wanted.positive[some], wanted.negative[some], embedded)
        right[some] = _found(wanted.trial[some], embedded)
    whole = np.where(np.isnan(right).any(1), np.nan, right.mean(1))
    thirds = {f"embedder_intruder_{name}": right[:, number] for number, name in enumerate(NAMES)}
    return {"embedder_auroc": auroc, "embedder_intruder": whole, **thirds}


def _aurocs(positive: Windows, negative: Windows, embedded: Embedded) -> NDArray[np.float64]:
    """Each top context is judged by its mean likeness to the others, each random window by that to all of them."""
    if not positive.size:
        return np.full(len(positive), np.nan)
    here, there = positive >= 0, negative.reshape(len(negative), -1) >= 0
    vector = embedded(np.maximum(positive, 0)) * here[..., None]
    number = here.sum(1)
    total = vector.sum(1)
    yes = (np.einsum("fnd,fd->fn", vector, total) - np.square(vector).sum(-1)) / np.maximum(number - 1, 1)[:, None]
    other = embedded(np.maximum(negative.reshape(len(negative), -1), 0))
    no = np.einsum("fnd,fd->fn", other, total) / np.maximum(number, 1)[:, None]
    pairs = here[:, :, None] & there[:, None]
    won = (yes[:, :, None] > no[:, None]) + 0.5 * (yes[:, :, None] == no[:, None])
    count = pairs.sum((1, 2))
    return np.where((number >= LEAST) & (count > 0), (won * pairs).sum((1, 2)) / np.maximum(count, 1), np.nan)


def _found(trial: Windows, embedded: Embedded) -> NDArray[np.float64]:
    """Share of each third's trials in which the piece least like the others is the last."""
    vector = embedded(np.maximum(trial, 0))
    like = np.einsum("...pd,...qd->...pq", vector, vector).sum(-1) - np.square(vector).sum(-1)
    held = trial[..., 0] >= 0
    right = (like.argmin(-1) == PIECES - 1) & held
    count = held.sum(-1)
    return np.where(count == TRIALS, right.sum(-1) / np.maximum(count, 1), np.nan)
