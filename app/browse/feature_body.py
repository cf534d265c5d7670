"""What a feature's page says: the case from which its layout follows, and the texts that stand in it.

All pages of one case come out of one mould (app.render): a thousand a second are filled, and none is rendered.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from app.browse.charts import WIDTH, Chart, counted
from app.browse.kept import kept
from app.browse.lookup import site_of
from app.browse.pieces import chip, histogram, outputs, related_list
from app.browse.related import related
from app.browse.rows import FIFTHS, GROUPS, Look, packed_rows, within
from app.browse.shapes import shape
from app.render import figure, mould, percent, share, whole
from app.store.feature_rows import group_counts, read_blob
from app.store.features import Dictionary, Feature, FeatureStore, Site, State
from app.store.packing import Group

ROOM = 40_700  # bytes of a page; contexts that do not fit load when the reader gets to them
FRAME = 12_400  # bytes of a page beside its contexts, charts and lists, at most
FIFTH_TITLES = tuple((group, GROUPS[group]) for group in FIFTHS)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a feature stands among its dictionary's: `at`, from the left edge of the chart; `below`, the share that fires less."""

    at: str
    below: str


@dataclass(frozen=True, slots=True)
class FeatureCase:
    """All that the layout of a feature's page follows from: pages of one case differ in the texts of their slots alone."""

    dictionary: Dictionary
    site: Site
    state: State
    single_token: bool
    fires: bool
    first: bool  # of its dictionary
    last: bool
    numbers: bool  # each activation stands behind its token
    starred: bool | None  # None where nobody is signed in
    negative: bool  # it fires below zero, too
    sloped: bool  # it has a decile slope
    second: bool  # its figures on a second text are known
    outputs: bool  # the build made a table of output tokens
    neighbours: bool
    partners: bool
    contexts: bool
    short: bool  # top contexts are fewer than the build was to keep
    rest: bool  # some of them load later
    chart: Chart = field(compare=False)  # how often the dictionary's features fire
    fifths: tuple[tuple[Group, str], ...] = field(
        compare=False
    )  # those that can be; empty where there are too few contexts


def feature_html(
    store: FeatureStore,
    dictionary: Dictionary,
    feature: Feature,
    *,
    numbers: bool,
    starred: bool | None,
    parts: Mapping[str, Markup | bytes],
) -> bytes:
    """The whole page. `parts`: what stands in its slots `kept`, `ratings` and `scores`."""
    near = related(store, feature)
    found = feature.outputs or {"top": [], "bottom": []}
    beside = {
        "neighbours": related_list(near["neighbour"]).encode(),
        "partners": related_list(near["cofiring"]).encode(),
        "raised": outputs(found["top"]).encode(),
        "lowered": outputs(found["bottom"]).encode(),
        "histogram": histogram(feature, "How strongly it fires: tokens by activation").encode(),
        "below": histogram(feature, "Below zero", below=True).encode(),
    }
    blob = read_blob(store, feature.dictionary_id, feature.index)
    top = packed_rows(store, feature, "top", blob, look=Look(numbers))
    shown = within(top, ROOM - FRAME - sum(map(len, beside.values())))
    asked, counts = asked_for(store), group_counts(blob)
    stands = standing(store, dictionary, feature)
    case = FeatureCase(
        dictionary=dictionary,
        site=site_of(store, dictionary),
        state=feature.state,
        single_token=feature.single_token,
        fires=feature.count > 0,
        first=feature.index == 0,
        last=feature.index == dictionary.m - 1,
        numbers=numbers,
        starred=starred,
        negative=feature.min is not None,
        sloped=feature.decile_slope is not None,
        second=feature.second_frequency is not None,
        outputs=feature.outputs is not None,
        neighbours=bool(near["neighbour"]),
        partners=bool(near["cofiring"]),
        contexts=bool(top),
        short=asked > len(top),
        rest=len(shown) < len(top),
        chart=shape(store, dictionary).density,
        fifths=FIFTH_TITLES if feature.state == "live" else (),
    )
    texts: dict[str, object] = {
        "index": feature.index,
        "before": feature.index - 1,
        "after": feature.index + 1,
        "token": chip(feature.top_token),
        "frequency": share(feature.frequency),
        "count": whole(feature.count),
        "max": figure(feature.max),
        "min": figure(feature.min),
        "mean": figure(feature.mean),
        "entropy": figure(feature.peak_entropy, 2),
        "slope": figure(feature.decile_slope, 2),
        "second_frequency": share(feature.second_frequency),
        "second_stability": figure(feature.second_stability, 2),
        "at": stands.at if stands else "",
        "fewer": stands.below if stands else "",
        "total": len(top),
        "asked": asked,
        "rows": b"".join(shown),
        "shown": len(shown),
        "others": len(top) - len(shown),
        **beside,
        **counts,
        "bottom": counted(counts["bottom"], "context"),
        **parts,
    }
    return kept(store, case, lambda: mould("browse/feature.html", case)).fill(texts)


def standing(store: FeatureStore, dictionary: Dictionary, feature: Feature) -> Standing | None:
    """None for a feature that never fired."""
    if not feature.frequency:
        return None
    ordered = kept(store, ("frequencies in order", dictionary.id), lambda: np.sort(store.frequencies(dictionary.id)))
    fewer = float(ordered.searchsorted(feature.frequency)) / max(len(ordered), 1)
    place = min(max((math.log10(feature.frequency) + 6) / 6, 0.0), 1.0)
    return Standing(f"{place * WIDTH:.4g}", percent(fewer, 0))


def asked_for(store: FeatureStore) -> int:
    """How many top contexts a feature's page was to have; 0 where the build does not say."""

    def read() -> int:
        pages = store.provenance().get("config", {}).get("pages", {})
        return int(pages.get("top", 0)) if isinstance(pages, dict) else 0

    return kept(store, "top contexts asked for", read)
