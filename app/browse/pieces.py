"""Parts of a feature's page of which there are many small ones, as joined strings: rows of contexts, chips of tokens, bars.

Each text goes through `visible` or `html_line`, which escape it; tests feed these with hostile text.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from app.browse.related import RelatedGroup
from app.render import NOTHING, SPACE_SIGN, figure, figures, shown, visible, whole
from app.store.feature_schema import HISTOGRAM_BINS_PER_OCTAVE
from app.store.features import Feature

FEWEST_BINS = 8  # a feature that fires on one token is drawn as a bar, not as a wall
HEIGHT = 64
MARKED = ("", "<i>", "<i class=l2>", "<i class=l3>", "<i class=l4>")  # tags of a row's tokens, by level
# The place and the height of a bar, by its height in tenths.
BARS = [f"y={HEIGHT - tenths / 10:g} width=.85 height={tenths / 10:g}" for tenths in range(10 * HEIGHT + 1)]
PEAK = ("<b class=l0>", "<b>", "<b class=l2>", "<b class=l3>", "<b class=l4>")
SILENT = ('<span class="quiet small">never fired</span>', '<span class="quiet small">dead</span>')
SEAM = "¤"  # between tokens that are escaped at once; where a text has one, each is by itself


class Row(NamedTuple):
    """One context; `text` is the whole item of the list, as HTML."""

    value: float
    text: str
    context: int
    again: bool  # it stands on the page already, or its text does

    @property
    def html(self) -> Markup:
        return Markup(self.text)


def html_tokens(tokens: Sequence[str]) -> list[str]:
    """Tokens as HTML for between two tags, each on one line but for its `br`: all at once, since there are many."""
    text = SEAM.join(tokens)
    if text.count(SEAM) >= len(tokens):
        return [html_line(token) for token in tokens]
    return html_line(text).split(SEAM)


def html_line(text: str) -> str:
    """Text as HTML for between two tags, with signs for what shows nothing; a line break is a sign and a `br`."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if text.isprintable():
        return text
    text = text.replace("\n", "↵<br>").replace("\t", "⇥")
    # A no-break space is common, and harmless; whatever else cannot be printed gets a sign.
    return text if text.replace("\xa0", " ").isprintable() else shown(text)


def row_halves(
    text: str,
    starts: Sequence[int],
    marks: Iterable[tuple[int, int]],
    peak: int,
    numbers: Mapping[int, str] | None = None,
    found: Collection[int] = (),
) -> tuple[str, str]:
    """A context as the HTML of two halves, the second of which begins with the peak.

    text: the HTML of its tokens; starts: where each begins in it, and where the last one ends; marks: ascending (position,
    level 1–4) of the tokens that fire, the peak and those `found` by a search among them, with level 0 where they do not;
    numbers: by position, what stands behind a marked token. As `token_row`, in fewer bytes: `i` is a marked token, `b` the peak.
    """
    parts: list[str] = []
    done = before_peak = 0  # characters; parts
    for position, level in marks:
        end = starts[position + 1]
        token = text[starts[position] : end]
        word = token.lstrip(" ")
        parts.append(text[done : end - len(word or token)])
        word = word or SPACE_SIGN * len(token)
        if position in found:
            word = f"<mark>{word}</mark>"
        if position == peak:
            before_peak = len(parts)
            word = f"{PEAK[level]}{word}</b>"
        elif level:
            word = f"{MARKED[level]}{word}</i>"
        parts.append(word)
        if numbers and position in numbers:
            parts.append(f"<sub>{numbers[position]}</sub>")
        done = end
    parts.append(text[done:])
    return "".join(parts[:before_peak]), "".join(parts[before_peak:])


def context_row(
    anchor: str, value: float, strength: str, activations: str, halves: tuple[str, str], about: str, faded: bool
) -> str:
    """The HTML of one context in a list: a line aligned at its peak, which opens in place (by its own address, or by rows.js).

    anchor: an id of the page's own making; strength: the value as a figure; activations: a data attribute; halves: of
    `row_halves`; about: of `html_line`.
    """
    kind = " class=again" if faded else ""
    left, right = halves
    return (
        f"<li id={anchor}{kind} {activations} data-v={value:.6g}><a href=#{anchor}>{strength}</a>"
        f"<p><span><span>{left}</span></span><span>{right}</span></p><small>{about}</small></li>\n"
    )


@lru_cache(maxsize=4096)
def edge(bin_number: float) -> str:
    """The activation at which a bin of a histogram begins."""
    return figure(2 ** (bin_number / HISTOGRAM_BINS_PER_OCTAVE))


@lru_cache(maxsize=65_536)
def chip(token: str) -> Markup:
    """A token by itself, on one line; one that is nothing but spaces shows them. A whole vocabulary of them is kept, or nearly."""
    text = token if token.strip(" ") else token.replace(" ", "␣")
    return Markup(f"<span class=token>{visible(text.replace(chr(10), '↵'))}</span>")


def outputs(some: Sequence[Sequence[Any]]) -> Markup:
    """Output tokens with their values, most extreme first."""
    values = figures([value for _, value in some], 2)
    items = [f"<li>{chip(token)} <small>{value}</small></li>" for (token, _), value in zip(some, values, strict=True)]
    return Markup(f'<ol class="plain outputs">{"".join(items)}</ol>')


def related_list(groups: Iterable[RelatedGroup]) -> Markup:
    """A line a dictionary, each feature a link with its most common peak token and its value."""
    lines = []
    for group in groups:
        title, there = ("This dictionary", "") if group.own else links(group.dictionary.name, group.dictionary.title)
        lines.append(f"<div><dt>{title}</dt><dd><ol class=plain>")
        values = figures([value for *_, value in group.features], 2)
        for (number, state, token, _), value in zip(group.features, values, strict=True):
            shown = chip(token) if token else SILENT[state == "dead"]
            lines.append(f"<li><a href={there}{number}>{number}</a> {shown} <small>{value}</small></li>")
        lines.append("</ol></dd></div>")
    return Markup(f"<dl class=related>{''.join(lines)}</dl>")


@lru_cache
def links(name: str, title: str) -> tuple[str, str]:
    """A dictionary's title as a link, and where its features are, as seen from another's page.

    That address stands without quotes, for there are many: a name that is no slug is written in full escapes.
    """
    return f'<a href="/dictionaries/{visible(name)}">{visible(title)}</a>', f"../../{quote(name, safe='')}/features/"


def histogram(feature: Feature, label: str, *, below: bool = False) -> Markup:
    """How strongly a feature fires, on a logarithmic axis: above zero, or `below`. Empty where it never fired there."""
    found = feature.histogram.get("below") if below else feature.histogram
    counts: list[int] = found["counts"] if found else []
    if not found or not sum(counts):
        return NOTHING
    margin = max(FEWEST_BINS - len(counts), 0)
    before, bins = margin // 2, len(counts) + margin
    start, end = found["first"], found["first"] + len(counts)
    sign = "−" if below else ""
    top = max(counts)
    bars = "".join(
        [
            f"<rect x={place} {BARS[max(10 * HEIGHT * count // top, 15)]}><title>{span(start - before + place, sign)}: "
            f"{tokens(count)}</title></rect>"
            for place, count in enumerate(counts, before)
            if count
        ]
    )
    summary = (
        f"Histogram of activations, logarithmic axis: {tokens(sum(counts))} from {sign}{edge(start)} to {sign}{edge(end)}, "
        f"most near {sign}{edge(start + counts.index(top))}."
    )
    ticks = "".join(f"<span>{sign}{edge(start - before + at)}</span>" for at in (0, bins / 2, bins))
    return Markup(
        f"<figure class=chart><figcaption>{visible(label)}</figcaption>"
        f'<svg viewBox="0 0 {bins} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{summary}">'
        f'<g class=bars>{bars}</g></svg><div class=ticks aria-hidden="true">{ticks}</div></figure>'
    )


@lru_cache(maxsize=4096)
def span(place: int, sign: str) -> str:
    """The activations of a bin of a histogram."""
    return f"{sign}{edge(place)} to {sign}{edge(place + 1)}"


@lru_cache(maxsize=16_384)
def tokens(count: int) -> str:
    return f"{whole(count)} token{'' if count == 1 else 's'}"
