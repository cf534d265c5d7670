"""A feature's strongest context in one line of a list: a few tokens around the peak, aligned at it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from app.render import token_row
from app.store.feature_rows import FeatureLine, leading
from app.store.features import Feature, FeatureStore
from app.store.packing import PackedHit
from app.study.content import level

BEFORE, AFTER = 10, 14  # tokens shown around the peak
INLINE = str.maketrans({"\n": "↵", "\t": "⇥"})  # a thumbnail is one line


@dataclass(frozen=True, slots=True)
class Thumb:
    """`left` ends before the peak token, `right` begins with it."""

    left: Markup
    right: Markup


def thumbs(store: FeatureStore, dictionary_id: int, features: Iterable[Feature | FeatureLine]) -> dict[int, Thumb]:
    """By number, a thumbnail of each of these features that has a context: two queries, however many they are."""
    scales = {feature.index: feature.max for feature in features}
    found = leading(store, dictionary_id, scales)
    return {index: thumb(hit, context.tokens, scales[index]) for index, (hit, context) in found.items()}


def thumb(hit: PackedHit, text: Sequence[str], scale: float) -> Thumb:
    """`scale`: the activation of the strongest colour."""
    start, end = max(hit.peak - BEFORE, 0), hit.peak + 1 + AFTER
    tokens = [token.translate(INLINE) for token in text[start:end]]
    levels = [0] * len(tokens)
    for position, value in zip(hit.positions, hit.values, strict=True):
        if start <= position < end and value > 0:
            levels[position - start] = level(value, scale)
    peak = hit.peak - start
    word = tokens[peak].lstrip(" ") or tokens[peak]
    space = tokens[peak].removesuffix(word)  # goes to the left, so that all peaks begin at one line
    return Thumb(
        token_row([*tokens[:peak], space], [*levels[:peak], 0]),
        token_row([word, *tokens[peak + 1 :]], levels[peak:], 0),
    )
