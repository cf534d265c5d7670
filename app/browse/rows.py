"""Contexts of a feature as rows: aligned at the peak token, each with its whole text to open in place."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from app.render import figure, token_row
from app.store.features import Context, Feature, FeatureStore
from app.store.packing import Group, PackedHit
from app.study.content import level

REACH = 16  # tokens shown on each side of the peak
INLINE = str.maketrans({"\n": "↵", "\t": "⇥"})  # an aligned row is one line

GROUPS: Mapping[Group, str] = {
    "top": "Top contexts",
    "q1": "Strongest fifth",
    "q2": "Second fifth",
    "q3": "Middle fifth",
    "q4": "Fourth fifth",
    "q5": "Weakest fifth",
    "bottom": "Negative tail",
    "second": "Second text",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One context. `left` ends before the peak token, `right` begins with it, `full` is the whole text."""

    value: float
    left: Markup
    right: Markup
    full: Markup
    document: str
    context: int
    position: int  # of the peak token, from 1
    length: int
    held_out: bool


def rows(store: FeatureStore, feature: Feature, group: Group, limit: int | None = None) -> tuple[Row, ...]:
    """The contexts of one group, strongest first. Each side of zero has a scale of its own."""
    hits = store.hits(feature.dictionary_id, feature.index, group)[:limit]
    contexts = store.contexts(hit.context for hit in hits)
    scale = (feature.min or 0.0) if group == "bottom" else feature.max
    return tuple(row(hit, contexts[hit.context], scale) for hit in hits)


def row(hit: PackedHit, context: Context, scale: float) -> Row:
    """`scale`: the activation of the strongest colour; below 0 for the negative tail. The other side's tokens have none."""
    sign = -1 if scale < 0 else 1
    levels = [0] * len(context.tokens)
    titles = {}
    for position, value in zip(hit.positions, hit.values, strict=True):
        levels[position] = level(sign * value, sign * scale) if sign * value > 0 else 0
        titles[position] = figure(value)
    inline = [token.translate(INLINE) for token in context.tokens]
    start, end = max(hit.peak - REACH, 0), hit.peak + REACH + 1
    word = inline[hit.peak].lstrip(" ") or inline[hit.peak]
    space = inline[hit.peak].removesuffix(
        word
    )  # goes to the left, so that all peaks begin at the line they are aligned at
    return Row(
        value=hit.value,
        left=token_row([*inline[start : hit.peak], space], [*levels[start : hit.peak], 0]),
        right=token_row([word, *inline[hit.peak + 1 : end]], levels[hit.peak : end], 0),
        full=token_row(context.tokens, levels, hit.peak, titles),
        document=context.document,
        context=context.id,
        position=hit.peak + 1,
        length=len(context.tokens),
        held_out=context.held_out,
    )
