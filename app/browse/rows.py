"""Contexts of a feature as rows: one line each, aligned at the peak token, that opens in place to the whole text.

Made of joined strings, since a page has twenty of them and a template would take longer than all the rest. What a script
needs to say which token fires how strongly travels as base64: the positions, then each activation as a share of the row's.
"""

import random
from array import array
from binascii import b2a_base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from app.browse.kept import kept, replace_kept
from app.browse.pieces import Row, context_row, html_line, html_tokens, row_halves
from app.render import figures
from app.store.feature_rows import ShownContext, hit_contexts, read_blob, read_contexts
from app.store.features import Context, FeatureScale, FeatureStore
from app.store.packing import GROUPS as STORED
from app.store.packing import UNIT, Group, HitArrays, PackedHit, unpack_arrays
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
REACH = 16  # tokens told of on each side of a peak where there is no room for all
AROUND = 8  # tokens on each side of the peak that make two contexts the same
KEPT = 16_384  # contexts of one store
RANDOM_EACH = 2  # contexts of each fifth among the random ones


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
    feature: FeatureScale,
    group: Group,
    limit: int | None = None,
    *,
    first: int = 0,
    look: Look = PLAIN,
) -> tuple[Row, ...]:
    """The contexts of one group, strongest first. Each side of zero has a scale of its own."""
    blob = read_blob(store, feature.dictionary_id, feature.index)
    return packed_rows(store, feature, group, blob, limit, first=first, look=look)


def packed_rows(
    store: FeatureStore,
    feature: FeatureScale,
    group: Group,
    blob: bytes | None,
    limit: int | None = None,
    *,
    first: int = 0,
    look: Look = PLAIN,
) -> tuple[Row, ...]:
    """As `rows`, of the feature's hits as they were read."""
    if blob is None:
        return ()
    hits = unpack_arrays(blob, group, first, limit)
    return _rows(feature, group, hits, laid_out(store, hits.context.tolist()), look)


def random_rows(store: FeatureStore, feature: FeatureScale, seed: int, look: Look = PLAIN) -> tuple[Row, ...]:
    """A seeded draw from the fifths' contexts, as many of each, so that every context it fires on had the same chance."""
    generator = random.Random(f"{feature.dictionary_id} {feature.index} {seed}")
    drawn: list[Row] = []
    look = replace(look, name="random")
    for group in FIFTHS:
        some = rows(store, feature, group, look=look)
        drawn += generator.sample(some, min(RANDOM_EACH, len(some)))
    return tuple(sorted(drawn, key=lambda row: -row.value))


def shown_above(store: FeatureStore, feature: FeatureScale) -> frozenset[int]:
    """The top contexts: what a lower group shows again."""
    return frozenset(hit_contexts(store, feature.dictionary_id, feature.index, "top"))


def row(feature: FeatureScale, hit: PackedHit, context: Context, *, found: Collection[int] = ()) -> Row:
    """One context by itself, on the scale of its side of zero. `found`: positions that a search was for."""
    values = np.array(hit.values)
    one = HitArrays(
        np.array([hit.context]),
        np.array([hit.value]),
        np.array([hit.peak]),
        np.array([len(values)]),
        np.array(hit.positions, "<u1" if len(context.tokens) <= 256 else "<u2"),
        values,
        np.rint(values / hit.value * UNIT).clip(0, UNIT).astype("<u2"),
    )
    shown = Laid.of(context)
    return _rows(feature, "top" if hit.value >= 0 else "bottom", one, {hit.context: shown}, PLAIN, found)[0]


@dataclass(frozen=True, slots=True)
class Laid:
    """A context ready to be shown: the HTML of its tokens as one text, where each begins in it, and where the last one ends."""

    text: str
    starts: "array[int]"
    length: int  # tokens
    document: str  # as HTML
    held_out: bool

    @classmethod
    def of(cls, context: Context | ShownContext) -> "Laid":
        tokens = html_tokens(context.tokens)
        starts = array("I", accumulate(map(len, tokens), initial=0))
        return cls("".join(tokens), starts, len(tokens), html_line(context.document), context.held_out)

    def around(self, peak: int) -> str:
        """The text by which two contexts are told to be the same."""
        start, end = peak - AROUND, peak + AROUND + 1
        return self.text[
            self.starts[start if start > 0 else 0] : self.starts[end if end < self.length else self.length]
        ]


def laid_out(store: FeatureStore, ids: Collection[int]) -> Mapping[int, Laid]:
    """At least the contexts of these ids. Features share contexts, so they are kept."""
    known: dict[int, Laid] = kept(store, "contexts laid out", dict)
    missing = {number for number in ids if number not in known}
    if not missing:
        return known
    if len(known) > KEPT:  # anew, and not emptied: another thread may be reading it
        known, missing = {}, set(ids)
        replace_kept(store, "contexts laid out", known)
    known.update({number: Laid.of(context) for number, context in read_contexts(store, missing).items()})
    return known


def _rows(
    feature: FeatureScale,
    group: Group,
    hits: HitArrays,
    contexts: Mapping[int, Laid],
    look: Look,
    found: Collection[int] = (),
) -> tuple[Row, ...]:
    levels = _levels(hits.values, (feature.min or 0.0) if group == "bottom" else feature.max)
    ends, positions, values, share = hits.active.cumsum(), hits.positions, hits.values, hits.share
    if not levels.all():  # what does not fire on this side of zero is not shown, unless it is the peak
        owner = np.repeat(np.arange(len(ends)), hits.active)
        lit = (levels > 0) | (positions == hits.peak[owner])
        positions, values, share, levels = positions[lit], values[lit], share[lit], levels[lit]
        ends = np.bincount(owner[lit], minlength=len(ends)).cumsum()
    raw, wide, shares = positions.tobytes(), positions.itemsize, share.tobytes()
    name = "data-w" if wide > 1 else "data-a"
    marks = list(zip(positions.tolist(), levels.tolist(), strict=True))
    numbers = figures(values.tolist()) if look.numbers else []
    anchor = f"{look.name or group}-{feature.dictionary_id}-{feature.index}-"
    seen: set[str] = set()
    made = []
    start = 0
    strongest = hits.value.tolist()
    columns = hits.context.tolist(), strongest, figures(strongest), hits.peak.tolist(), ends.tolist()
    for number, value, strength, peak, end in zip(*columns, strict=True):
        context = contexts[number]
        mine = marks[start:end]
        told = {at: text for (at, _), text in zip(mine, numbers[start:end], strict=True)} if numbers else None
        if found:
            mine = sorted({**dict.fromkeys(found, 0), **dict(mine)}.items())
        around, above = context.around(peak), number in look.above
        again = above or around in seen
        seen.add(around)
        about = f"{context.document} · token {peak + 1} of {context.length} · context {number}"
        if context.held_out:
            about += " · held out"
        if again:
            about += " · shown above" if above else " · the same text again"
        halves = row_halves(context.text, context.starts, mine, peak, told, found)
        packed = (
            b2a_base64(raw[wide * start : wide * end] + shares[2 * start : 2 * end], newline=False).decode().rstrip("=")
        )
        text = context_row(f"{anchor}{number}", value, strength, f"{name}={packed}", halves, about, again)
        made.append(Row(value, text, number, again))
        start = end
    return tuple(made)


def _levels(values: NDArray[np.floating], scale: float) -> NDArray[np.int8]:
    """Highlight levels of activations, as `app.study.content.level` gives them; 0 on the other side of zero."""
    if not scale:
        return np.ones(len(values), np.int8)
    return np.where(values * scale > 0, np.minimum(np.ceil(LEVELS * values / scale), LEVELS), 0).astype(np.int8)


def within(found: Sequence[Row], budget: int) -> list[bytes]:
    """The HTML of the first rows: of as many as fit in so many bytes, at least one."""
    made: list[bytes] = []
    for row in found:
        item = row.text.encode()
        budget -= len(item)
        if budget < 0 and made:
            break
        made.append(item)
    return made
