"""Contexts of a feature as rows: one line each, aligned at the peak token, that opens in place to the whole text.

Made of joined strings, since a page has twenty of them and a template would take longer than all the rest. What a script
needs to say which token fires how strongly travels as base64: the positions, then each activation as a share of the row's.
"""

import random
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from app.browse.kept import kept, replace_kept
from app.render import RowHtml, context_row, figure, html_tokens, peak_row
from app.store.feature_rows import hit_contexts, read_contexts, read_hits
from app.store.features import Context, Feature, FeatureStore
from app.store.packing import GROUPS as STORED
from app.store.packing import UNIT, Group, HitArrays, PackedHit
from app.study.content import LEVELS

FIFTHS: tuple[Group, ...] = tuple(group for group in STORED if group.startswith("q"))
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
INLINE = str.maketrans({"\n": "↵", "\t": "⇥"})  # a row is one line
REACH = 16  # tokens told of on each side of a peak where there is no room for all
AROUND = 8  # tokens on each side of the peak that make two contexts the same
KEPT = 16_384  # contexts of one store
RANDOM_EACH = 2  # contexts of each fifth among the random ones


@dataclass(frozen=True, slots=True)
class Row:
    """One context; `html` is the whole item of the list."""

    value: float
    html: Markup
    document: str
    context: int
    position: int  # of the peak token, from 1
    length: int
    held_out: bool
    again: bool  # it stands on the page already, or its text does


@dataclass(frozen=True, slots=True)
class Look:
    """How rows are shown. `numbers`: each activation stands behind its token; `above`: contexts that stand above these;
    `name`: what their ids begin with, where the group's own name is taken.
    """

    numbers: bool = False
    above: Collection[int] = ()
    name: str = ""


PLAIN = Look()


def rows(
    store: FeatureStore,
    feature: Feature,
    group: Group,
    limit: int | None = None,
    *,
    first: int = 0,
    look: Look = PLAIN,
) -> tuple[Row, ...]:
    """The contexts of one group, strongest first. Each side of zero has a scale of its own."""
    hits = read_hits(store, feature.dictionary_id, feature.index, group, first, limit)
    return _rows(feature, group, hits, laid_out(store, hits.context.tolist()), look) if hits is not None else ()


def random_rows(store: FeatureStore, feature: Feature, seed: int, look: Look = PLAIN) -> tuple[Row, ...]:
    """A seeded draw from the fifths' contexts, as many of each, so that every context it fires on had the same chance."""
    generator = random.Random(f"{feature.dictionary_id} {feature.index} {seed}")
    drawn: list[Row] = []
    look = replace(look, name="random")
    for group in FIFTHS:
        some = rows(store, feature, group, look=look)
        drawn += generator.sample(some, min(RANDOM_EACH, len(some)))
    return tuple(sorted(drawn, key=lambda row: -row.value))


def shown_above(store: FeatureStore, feature: Feature) -> frozenset[int]:
    """The top contexts: what a lower group shows again."""
    return frozenset(hit_contexts(store, feature.dictionary_id, feature.index, "top"))


def row(feature: Feature, hit: PackedHit, context: Context, *, found: Collection[int] = ()) -> Row:
    """One context by itself, on the scale of its side of zero. `found`: positions that a search was for."""
    one = HitArrays(
        np.array([hit.context]),
        np.array([hit.value]),
        np.array([hit.peak]),
        np.array([len(hit.positions)]),
        np.array(hit.positions, "<u1" if len(context.tokens) <= 256 else "<u2"),
        np.array(hit.values),
    )
    shown = Laid(html_tokens(context.tokens), context.document, context.held_out)
    return _rows(feature, "top" if hit.value >= 0 else "bottom", one, {hit.context: shown}, PLAIN, found)[0]


@dataclass(frozen=True, slots=True)
class Laid:
    """A context ready to be shown: its tokens as `html_tokens` gives them."""

    tokens: list[str]
    document: str
    held_out: bool


def laid_out(store: FeatureStore, ids: Collection[int]) -> Mapping[int, Laid]:
    """At least the contexts of these ids. Features share contexts, so they are kept: a few pointers each, since tokens recur."""
    known: dict[int, Laid] = kept(store, "contexts laid out", dict)
    missing = {number for number in ids if number not in known}
    if not missing:
        return known
    if len(known) > KEPT:  # anew, and not emptied: another thread may be reading it
        known, missing = {}, set(ids)
        replace_kept(store, "contexts laid out", known)
    made = {
        number: Laid(html_tokens(context.tokens), context.document, context.held_out)
        for number, context in read_contexts(store, missing).items()
    }
    known.update(made)
    return known


def _rows(
    feature: Feature,
    group: Group,
    hits: HitArrays,
    contexts: Mapping[int, Laid],
    look: Look,
    found: Collection[int] = (),
) -> tuple[Row, ...]:
    levels = _levels(hits.values, (feature.min or 0.0) if group == "bottom" else feature.max)
    owner = np.repeat(np.arange(len(hits.context)), hits.active)
    lit = (levels > 0) | (hits.positions == hits.peak[owner])
    owner, positions, values, levels = owner[lit], hits.positions[lit], hits.values[lit], levels[lit]
    share = np.rint(values / hits.value[owner] * UNIT).clip(0, UNIT).astype("<u2").tobytes()
    raw, wide = positions.tobytes(), positions.itemsize
    marks = list(zip(positions.tolist(), levels.tolist(), strict=True))
    numbers = [figure(value) for value in values.tolist()] if look.numbers else []
    ends = np.bincount(owner, minlength=len(hits.context)).cumsum().tolist()
    seen: set[tuple[str, ...]] = set()
    made = []
    start = 0
    for number, value, peak, end in zip(
        hits.context.tolist(), hits.value.tolist(), hits.peak.tolist(), ends, strict=True
    ):
        context = contexts[number]
        mine = marks[start:end]
        told = {at: text for (at, _), text in zip(mine, numbers[start:end], strict=True)} if numbers else None
        if found:
            mine = sorted({**dict.fromkeys(found, 0), **dict(mine)}.items())
        around = tuple(context.tokens[max(peak - AROUND, 0) : peak + AROUND + 1])
        above, again = number in look.above, around in seen
        seen.add(around)
        left, right = peak_row(context.tokens, mine, peak, told, found)
        about = f"{context.document} · token {peak + 1} of {len(context.tokens)} · context {number}"
        about += " · held out" if context.held_out else ""
        about += " · shown above" if above else " · the same text again" if again else ""
        html = RowHtml(
            f"{look.name or group}-{feature.dictionary_id}-{feature.index}-{number}",
            value,
            figure(value),
            b64encode(raw[wide * start : wide * end] + share[2 * start : 2 * end]).decode().rstrip("="),
            wide > 1,
            left,
            right,
            about,
            above or again,
        )
        size = len(context.tokens)
        made.append(
            Row(value, context_row(html), context.document, number, peak + 1, size, context.held_out, above or again)
        )
        start = end
    return tuple(made)


def _levels(values: NDArray[np.floating], scale: float) -> NDArray[np.int8]:
    """Highlight levels of activations, as `app.study.content.level` gives them; 0 on the other side of zero."""
    if not scale:
        return np.ones(len(values), np.int8)
    return np.where(values * scale > 0, np.ceil(LEVELS * values / scale).clip(1, LEVELS), 0).astype(np.int8)


def within(found: Sequence[Row], budget: int) -> int:
    """How many rows fit in so many bytes of HTML, at least one."""
    total = 0
    for count, row in enumerate(found):
        total += len(row.html.encode())
        if total > budget:
            return max(count, 1)
    return len(found)
