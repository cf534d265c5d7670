"""Find what an address names in the feature store, or say what is there instead."""

import difflib
import random
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from app.errors import NotFound
from app.state import state
from app.store.feature_rows import read_feature, read_scale
from app.store.features import Context, Dictionary, Feature, FeatureFilter, FeatureScale, FeatureStore, Site

T = TypeVar("T")

NO_STORE = "There is no feature store yet; make one with `dartboard build BUILD.toml`, then load this page again."


def current_store(request: Request) -> FeatureStore:
    """The feature store as it is now. Raises NotFound where none was built."""
    store = state(request).features
    if store is None:
        raise NotFound(NO_STORE)
    return store


def find_dictionary(store: FeatureStore, name: str) -> Dictionary:
    """The dictionary of that name. Raises NotFound with the most similar name."""
    dictionaries = {dictionary.name: dictionary for dictionary in store.dictionaries()}
    if name in dictionaries:
        return dictionaries[name]
    close = difflib.get_close_matches(name[:80], dictionaries, n=1, cutoff=0)
    raise NotFound(
        f"There is no dictionary “{name[:80]}”; the nearest name is {close[0]}.",
        nearest=f"/dictionaries/{close[0]}",
    )


def find_feature(store: FeatureStore, dictionary: Dictionary, index: str) -> Feature:
    """The feature whose number the address gives as text. Raises NotFound with the nearest number."""
    return find(store, dictionary, index, read_feature)


def find_scale(store: FeatureStore, dictionary: Dictionary, index: str) -> FeatureScale:
    """As `find_feature`, for a page of contexts alone."""
    return find(store, dictionary, index, read_scale)


def find(
    store: FeatureStore, dictionary: Dictionary, index: str, read: Callable[[FeatureStore, int, int], T | None]
) -> T:
    digits = index.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        nearest = 0
    else:
        # Numbers too long for any store need no exact value, and Python refuses to read very long ones.
        number = int(digits) if len(digits) < 12 else dictionary.m
        wanted = -number if index.startswith("-") else number
        nearest = min(max(wanted, 0), dictionary.m - 1)
        if wanted == nearest and (found := read(store, dictionary.id, wanted)) is not None:
            return found
    raise NotFound(
        f"{dictionary.name} has no feature {index[:20]}; its features are numbered 0 to {dictionary.m - 1}, "
        f"and the nearest is {nearest}.",
        nearest=feature_url(dictionary, nearest),
    )


def find_context(store: FeatureStore, number: str) -> Context:
    """The context whose number the address gives as text. Raises NotFound with the nearest number that the store keeps."""
    wanted = int(number) if number.isascii() and number.isdigit() and len(number) < 12 else 0
    found = store.contexts([wanted]).get(wanted) if str(wanted) == number else None
    if found is not None:
        return found
    nearest = store.nearest_context(wanted)
    raise NotFound(
        f"This store keeps no context {number[:20]}: a build keeps those that some page shows. The nearest is {nearest}.",
        nearest=f"/api/contexts/{nearest}",
    )


def site_of(store: FeatureStore, dictionary: Dictionary) -> Site:
    return next(site for site in store.sites() if site.id == dictionary.site_id)


def feature_url(dictionary: Dictionary, index: int) -> str:
    return f"/dictionaries/{dictionary.name}/features/{index}"


def random_feature(store: FeatureStore, dictionary: Dictionary, seed: str | None = None) -> Feature | None:
    """A live feature drawn uniformly; the same one for the same seed. None where there is no live feature."""
    live = FeatureFilter(state="live")
    count = store.count(dictionary.id, live)
    if not count:
        return None
    place = random.Random(seed).randrange(count)
    return store.features(dictionary.id, where=live, sort="index", limit=1, offset=place)[0]
