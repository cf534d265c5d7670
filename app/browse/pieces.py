"""Parts of a feature's page of which there are many small ones, as joined strings: chips of tokens, features near it, bars.

Each text goes through `visible`, which escapes it; tests feed these with hostile text.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from app.browse.related import RelatedGroup
from app.render import figure, visible, whole
from app.store.feature_schema import HISTOGRAM_BINS_PER_OCTAVE
from app.store.features import Feature

FEWEST_BINS = 8  # a feature that fires on one token is drawn as a bar, not as a wall
HEIGHT = 64


@lru_cache(maxsize=4096)
def edge(bin_number: float) -> str:
    """The activation at which a bin of a histogram begins."""
    return figure(2 ** (bin_number / HISTOGRAM_BINS_PER_OCTAVE))


@lru_cache(maxsize=16_384)
def chip(token: str) -> str:
    """A token by itself, on one line; one that is nothing but spaces shows them."""
    text = token if token.strip(" ") else token.replace(" ", "␣")
    return f"<span class=token>{visible(text.replace(chr(10), '↵'))}</span>"


def outputs(tokens: Iterable[Sequence[Any]]) -> Markup:
    """Output tokens with their values, most extreme first."""
    items = (f"<li>{chip(token)} <small>{figure(value, 2)}</small></li>" for token, value in tokens)
    return Markup(f'<ol class="plain outputs">{"".join(items)}</ol>')


def related_list(groups: Iterable[RelatedGroup]) -> Markup:
    """A line a dictionary, each feature a link with its most common peak token and its value."""
    lines = []
    for group in groups:
        dictionary = group.dictionary
        title = f'<a href="/dictionaries/{visible(dictionary.name)}">{visible(dictionary.title)}</a>'
        # As seen from a feature's page; unquoted, for there are many: a name that is no slug is written in full escapes.
        there = "" if group.own else f"../../{quote(dictionary.name, safe='')}/features/"
        lines.append(f"<div><dt>{'This dictionary' if group.own else title}</dt><dd><ol class=plain>")
        for one in group.features:
            near = one.feature
            said = "dead" if near.state == "dead" else "never fired"
            token = chip(near.top_token) if near.top_token else f'<span class="quiet small">{said}</span>'
            value = figure(one.value, 2)
            lines.append(f"<li><a href={there}{near.index}>{near.index}</a> {token} <small>{value}</small></li>")
        lines.append("</ol></dd></div>")
    return Markup(f"<dl class=related>{''.join(lines)}</dl>")


def histogram(feature: Feature, label: str, *, below: bool = False) -> Markup:
    """How strongly a feature fires, on a logarithmic axis: above zero, or `below`. Empty where it never fired there."""
    found = feature.histogram.get("below") if below else feature.histogram
    counts: list[int] = found["counts"] if found else []
    if not found or not sum(counts):
        return Markup("")
    margin = max(FEWEST_BINS - len(counts), 0)
    first, bins = found["first"] - margin // 2, len(counts) + margin
    sign = "−" if below else ""
    names = [sign + edge(first + n) for n in range(bins + 1)]
    top = max(counts)
    bars = []
    for place, (count, (low, high)) in enumerate(zip(counts, list(pairwise(names))[margin // 2 :], strict=False)):
        if count:
            tall = max(HEIGHT * count / top, 1.5)
            said = f"{low} to {high}: {whole(count)} token{'' if count == 1 else 's'}"
            bars.append(
                f"<rect x={place + margin // 2} y={HEIGHT - tall:.3g} width=.85 height={tall:.3g}><title>{said}</title></rect>"
            )
    start, end = names[margin // 2], names[margin // 2 + len(counts)]
    most = names[margin // 2 + counts.index(top)]
    tokens = f"{whole(sum(counts))} token{'' if sum(counts) == 1 else 's'}"
    summary = f"Histogram of activations, logarithmic axis: {tokens} from {start} to {end}, most near {most}."
    ticks = (names[0], sign + edge(first + bins / 2), names[-1])
    return Markup(
        f"<figure class=chart><figcaption>{visible(label)}</figcaption>"
        f'<svg viewBox="0 0 {bins} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{summary}">'
        f"<g class=bars>{''.join(bars)}</g></svg>"
        f'<div class=ticks aria-hidden="true">{"".join(f"<span>{tick}</span>" for tick in ticks)}</div></figure>'
    )
