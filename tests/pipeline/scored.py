"""Texts and features made to order, of which it is known what they score."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.scores.hits import SECOND, TOP, BlockHits, FeatureHits
from pipeline.scores.text import SiteText, StoredContext

LENGTH, CONTEXTS, PER_DOCUMENT = 64, 240, 2
TOPICS = 4
SEED = 0


def a_text(second: int = 0) -> SiteText:
    """Contexts of random words w0 … w399; each document has a topic, whose words t0 … are strewn over it. The first is masked."""
    random = np.random.default_rng(1)
    rows = []
    for number in range(CONTEXTS + second):
        words = [f" w{word}" for word in random.integers(0, 400, LENGTH)]
        topic = number // PER_DOCUMENT % TOPICS
        for place in random.choice(LENGTH, LENGTH // 2, replace=False):
            words[place] = f" t{topic}.{random.integers(0, 12)}"
        there = number >= CONTEXTS
        rows.append(StoredContext(number, number // PER_DOCUMENT, not there, there, words, [0]))
    return SiteText.of(rows, SEED)


def hits_where(text: SiteText, fires: Callable[[str], bool], wanted: int = 40) -> FeatureHits:
    """A feature that fires on some words, as strongly everywhere: one hit a document, its earliest, in the order of documents.

    The first 15 are its top contexts; all of them, in fifths, its sample.
    """
    context, peak = [], []
    for row in np.random.default_rng(2).permutation(CONTEXTS).tolist():
        places = [p for p in range(1, LENGTH) if fires(text.words[text.token[row, p]])]
        if places and text.document[row] not in text.document[context] and len(context) < wanted:
            context.append(row)
            peak.append(places[0])
    order = np.argsort(context)
    rank = np.argsort(order)
    return feature(np.array(context)[order], np.array(peak)[order], rank)


def feature(context: np.ndarray, peak: np.ndarray, strength: Sequence[int]) -> FeatureHits:
    """`strength`: places, strongest first."""
    fifths = np.array_split(np.asarray(strength), 5)
    groups = [np.asarray(strength)[:15], *fifths, np.zeros(0, int)]
    assert len(groups) == SECOND + 1 and TOP == 0
    return FeatureHits(context, peak, groups)


def block(text: SiteText, *hits: FeatureHits, names: Sequence[int] | None = None) -> BlockHits:
    return BlockHits.of(names or range(len(hits)), hits, text, SEED, "made")
