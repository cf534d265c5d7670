"""A text that was read as a page shows it: tokens with their colours and links, and lists of features."""

from dataclasses import dataclass
from urllib.parse import urlencode

from app.browse.lookup import feature_url
from app.errors import NotFound
from app.live_answers import Read, Strong
from app.render import figure
from app.store.features import Dictionary, Feature, FeatureStore
from app.study.content import level

MASKED = {"special": "special token: no feature may fire here", "sink": "attention sink: no feature may fire here"}


@dataclass(frozen=True, slots=True)
class TextToken:
    """One token, numbered from 1. `href` selects it; `title`: its number, and what is known of it; `begins` a context."""

    number: int
    text: str
    href: str
    level: int
    title: str
    selected: bool
    masked: bool
    begins: bool


@dataclass(frozen=True, slots=True)
class StrongFeature:
    """A feature that fires on the selection. `href` colours the text by it; `share`: of its largest activation in the corpus."""

    feature: Feature
    url: str
    href: str
    value: float
    share: float | None
    level: int
    token: str
    count: int
    colours: bool


@dataclass(frozen=True, slots=True)
class StrongGroup:
    dictionary: Dictionary
    features: tuple[StrongFeature, ...]


@dataclass(frozen=True, slots=True)
class Colour:
    """The feature by which the text is coloured. `full`: the activation of the strongest colour; `fires`: on how many tokens.

    `largest` in this text, and `here`, on the selection; None where it does not fire there.
    """

    dictionary: Dictionary
    feature: Feature
    url: str
    full: float
    largest: float | None
    here: float | None
    fires: int


@dataclass(frozen=True, slots=True)
class TextView:
    """`first` and `last`: the selection, from 1; `words`: its text; None and the whole text where nothing is selected."""

    tokens: tuple[TextToken, ...]
    count: int
    contexts: int
    length: int  # of a context, in tokens
    first: int | None
    last: int | None
    words: str
    whole: str  # the query that selects everything
    colour: Colour | None
    strongest: tuple[StrongGroup, ...]
    differences: tuple[str, ...]


def view(
    store: FeatureStore, read: Read, first: int | None, last: int | None, chosen: tuple[Dictionary, Feature] | None
) -> TextView:
    """Raises NotFound where the selection is not in the text."""
    count = len(read.tokens)
    if last is not None and last >= count:
        raise NotFound(f"There is no token {last + 1} in this text; it has {count}.", nearest="?")
    colour = None if chosen is None else _colour(read, first, last, *chosen)
    feature = None if chosen is None else f"{chosen[0].name}:{chosen[1].index}"
    site = next(one for one in store.sites() if one.name == read.site)
    values = read.traces[0].values if read.traces else {}
    full = 0.0 if colour is None else colour.full
    masked = {**dict.fromkeys(read.special, "special"), **dict.fromkeys(read.sinks, "sink")}
    begins = frozenset(read.begins[1:])
    tokens = tuple(
        TextToken(
            number=place + 1,
            text=text,
            href=address(place, place, feature),
            level=level(abs(values[place]), full) if place in values else 0,
            title=_title(place, values.get(place), masked.get(place)),
            selected=first is not None and last is not None and first <= place <= last,
            masked=place in masked,
            begins=place in begins,
        )
        for place, text in enumerate(read.tokens)
        if text
    )
    return TextView(
        tokens=tokens,
        count=count,
        contexts=len(read.begins) if count else 0,
        length=site.context_length,
        first=None if first is None else first + 1,
        last=None if last is None else last + 1,
        words="".join(read.tokens if first is None or last is None else read.tokens[first : last + 1]),
        whole=address(None, None, feature),
        colour=colour,
        strongest=tuple(
            _group(store, store.dictionary(name), strong, read, (first, last), chosen)
            for name, strong in read.strongest.items()
        ),
        differences=read.differences,
    )


def address(first: int | None, last: int | None, feature: str | None) -> str:
    """The query of a selection, from 0, and of a feature's colours, within the text's own address."""
    values = [("from", first), ("to", last)]
    given = {name: str(value + 1) for name, value in values if value is not None}
    return "?" + urlencode(given | ({"feature": feature} if feature else {}))


def full_scale(feature: Feature, here: float) -> float:
    """The activation of the strongest colour: the feature's extreme in the corpus; in this text, where it never fired there."""
    return max(feature.max, -(feature.min or 0.0)) or here


def _colour(read: Read, first: int | None, last: int | None, dictionary: Dictionary, feature: Feature) -> Colour:
    values = read.traces[0].values if read.traces else {}
    largest = max(values.values(), key=abs, default=None)
    selected = range(first or 0, len(read.tokens) if last is None else last + 1)
    return Colour(
        dictionary,
        feature,
        feature_url(dictionary, feature.index),
        full=full_scale(feature, abs(largest or 0.0)),
        largest=largest,
        here=max((value for place, value in values.items() if place in selected), key=abs, default=None),
        fires=len(values),
    )


def _group(
    store: FeatureStore,
    dictionary: Dictionary,
    strong: tuple[Strong, ...],
    read: Read,
    selection: tuple[int | None, int | None],
    chosen: tuple[Dictionary, Feature] | None,
) -> StrongGroup:
    known = store.some(dictionary.id, (one.feature for one in strong))
    features = []
    for one in strong:
        feature = known[one.feature]
        extreme = feature.max if one.value >= 0 else feature.min
        features.append(
            StrongFeature(
                feature=feature,
                url=feature_url(dictionary, feature.index),
                href=address(*selection, f"{dictionary.name}:{feature.index}"),
                value=one.value,
                share=one.value / extreme if extreme else None,
                level=level(abs(one.value), full_scale(feature, abs(one.value))),
                token=read.tokens[one.token],
                count=one.count,
                colours=chosen is not None and (dictionary.id, feature.index) == (chosen[0].id, chosen[1].index),
            )
        )
    return StrongGroup(dictionary, tuple(features))


def _title(place: int, value: float | None, masked: str | None) -> str:
    more = MASKED[masked] if masked else f"activation {figure(value)}" if value is not None else ""
    return f"Token {place + 1}: {more}" if more else f"Token {place + 1}"
