"""What the words say: a bag-of-tokens classifier for each feature, judged on documents that it was not learnt from."""

import numpy as np
from numpy.typing import NDArray

from pipeline.scores.hits import BlockHits
from pipeline.scores.kernels import bags
from pipeline.scores.text import SiteText

REACH = 5  # tokens on either side of the peak
WEIGHTS = (20.0, 2000.0)  # tokens, at the peak and around it, that speak for nothing: how slowly few hits convince
EACH = 4  # random places that stand against a hit
LEAST = 5  # hits to learn from, and hits to judge


def word_scores(hits: BlockHits, text: SiteText) -> dict[str, NDArray[np.float64]]:
    """`token_auroc`, `window_auroc` and their difference, `abstractness`; NaN where a feature has too few documents.

    Learnt from all of a feature's hits in one half of the documents, judged on its sampled hits, a uniform sample of
    its range, in the other.
    """
    own = np.flatnonzero(hits.first_text)
    start = np.searchsorted(own, hits.start)
    found = bags(
        text.token,
        text.share,
        text.half,
        start,
        hits.context[own],
        hits.peak[own],
        hits.sampled[own],
        hits.against(text, EACH, "words", own),
        REACH,
        WEIGHTS,
        LEAST,
    )
    return {"token_auroc": found[:, 0], "window_auroc": found[:, 1], "abstractness": found[:, 1] - found[:, 0]}
