"""The same text under several features: where each of them fires in it, as far as the store holds its activations."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from markupsafe import Markup

from app.browse.text_code import MAX_CHARACTERS, text_url
from app.render import figure, token_row
from app.store.features import Context, Feature, FeatureStore
from app.store.packing import GROUPS, PackedHit
from app.study.content import level

TEXTS = 6
BEFORE, AFTER = 24, 24  # tokens shown around the peak of the feature that the text was taken from
KEPT = [group for group in GROUPS if group not in ("bottom", "second")]


@dataclass(frozen=True, slots=True)
class Reading:
    """The text as one feature reads it. `peak`: its largest activation there; None where none is kept of this text.

    `weakest`: what its last top context reaches. A text that is not kept may fire it: less than that, or as a near-duplicate
    of one that is kept.
    """

    text: Markup
    peak: float | None
    weakest: float


@dataclass(frozen=True, slots=True)
class SharedText:
    """A context; `source` is the place of the feature that it is a top context of, `readings` has one for each feature."""

    context: int
    document: str
    source: int
    readings: tuple[Reading | None, ...]  # None where there is no feature, or it is of another site
    url: str | None  # where the model reads it, under every feature; None for a text without words


def shared_texts(store: FeatureStore, features: Sequence[Feature | None]) -> tuple[SharedText, ...]:
    """Top contexts of the features in turn, strongest first, each under all of them: those that most of them keep come first."""
    tops = [store.hits(feature.dictionary_id, feature.index, "top") if feature else () for feature in features]
    order: dict[int, int] = {}
    for hits in zip_longest(*tops):
        for place, hit in enumerate(hits):
            if hit is not None:
                order.setdefault(hit.context, place)
    kept = [by_context(store, feature) if feature else {} for feature in features]
    chosen = sorted(order.items(), key=lambda item: -sum(item[0] in hits for hits in kept))[:TEXTS]
    contexts = store.contexts(context for context, _ in chosen)
    sites = {one.id: one.site_id for one in store.dictionaries()}
    weakest = [hits[-1].value if hits else 0.0 for hits in tops]
    found = []
    for number, source in chosen:
        context, peak = contexts[number], kept[source][number].peak
        readings = tuple(
            Reading(*read(context, peak, feature, hits.get(number)), least)
            if feature and sites[feature.dictionary_id] == context.site_id
            else None
            for feature, hits, least in zip(features, kept, weakest, strict=True)
        )
        found.append(SharedText(number, context.document, source, readings, address(context)))
    return tuple(found)


def address(context: Context) -> str | None:
    text = "".join(context.tokens)[:MAX_CHARACTERS]
    return text_url(text) if text.strip() else None


def by_context(store: FeatureStore, feature: Feature) -> dict[int, PackedHit]:
    """The feature's kept hits, by context: its top ones and those of each fifth."""
    return {hit.context: hit for group in KEPT for hit in store.hits(feature.dictionary_id, feature.index, group)}


def read(context: Context, peak: int, feature: Feature, hit: PackedHit | None) -> tuple[Markup, float | None]:
    """The text around `peak` with what fires in it, and the largest activation."""
    start, end = max(peak - BEFORE, 0), peak + 1 + AFTER
    tokens = context.tokens[start:end]
    levels, titles = [0] * len(tokens), {}
    if hit is None:
        return token_row(tokens, levels), None
    for position, value in zip(hit.positions, hit.values, strict=True):
        if start <= position < end and value > 0:
            levels[position - start] = level(value, feature.max)
            titles[position - start] = figure(value)
    own = hit.peak - start if start <= hit.peak < end else None
    return token_row(tokens, levels, own, titles), hit.value
