"""A feature as Markdown: its figures, its strongest contexts, what is near it. Hostile text stays text."""

import re
from collections.abc import Iterator, Sequence

from app.browse.related import RelatedGroup, related
from app.browse.rows import REACH
from app.render import figure, share, shown
from app.store.features import Dictionary, Feature, FeatureStore

CONTEXTS = 10
MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~&])")


def feature_markdown(store: FeatureStore, dictionary: Dictionary, feature: Feature, address: str) -> str:
    site = next(site for site in store.sites() if site.id == dictionary.site_id)
    return "\n".join(_lines(store, dictionary, feature, address, f"{site.model}, layer {site.layer}")) + "\n"


def plain(text: str) -> str:
    """Text on one line, with a backslash before whatever Markdown would take for its own."""
    return MARKUP.sub(r"\\\1", shown(text).replace("\n", "").replace("\t", ""))


def _lines(store: FeatureStore, dictionary: Dictionary, feature: Feature, address: str, site: str) -> Iterator[str]:
    yield f"# Feature {feature.index} of {plain(dictionary.title)}"
    yield ""
    yield f"<{address}>: {plain(site)}; {'trained' if dictionary.trained else 'not trained'}; {feature.state}."
    yield ""
    yield "| fires on | maximum | mean | peak entropy |"
    yield "|---|---|---|---|"
    figures = (share(feature.frequency), figure(feature.max), figure(feature.mean), figure(feature.peak_entropy, 2))
    yield f"| {' | '.join(figures)} |"
    hits = store.hits(feature.dictionary_id, feature.index)[:CONTEXTS]
    if hits:
        contexts = store.contexts(hit.context for hit in hits)
        yield from ("", "## Top contexts", "")
        for hit in hits:
            tokens = contexts[hit.context].tokens
            before = "".join(tokens[max(hit.peak - REACH, 0) : hit.peak])
            peak, after = tokens[hit.peak], "".join(tokens[hit.peak + 1 : hit.peak + 1 + REACH])
            word = peak.strip(" ") or "␣" * len(peak)
            left = plain(before) + (" " if peak.startswith(" ") and peak.strip(" ") else "")
            yield f"- {figure(hit.value)} · …{left}**{plain(word)}**{plain(after)}…"
    if feature.outputs is not None:
        yield from ("", "## Output tokens", "")
        for title, tokens_of in (("Raises", feature.outputs["top"]), ("Lowers", feature.outputs["bottom"])):
            yield f"- {title}: " + ", ".join(f"“{plain(token)}” {figure(value, 2)}" for token, value in tokens_of)
    near = related(store, feature)
    yield from _near("Nearest directions", near["neighbour"])
    yield from _near("Fires with", near["cofiring"])


def _near(title: str, groups: Sequence[RelatedGroup]) -> Iterator[str]:
    if not groups:
        return
    yield from ("", f"## {title}", "")
    for group in groups:
        some = (f"{number} “{plain(token)}” {figure(value, 2)}" for number, _, token, value in group.features)
        yield f"- {plain(group.dictionary.title)}: {', '.join(some)}"
