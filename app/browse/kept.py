"""What is worked out once a feature store: it never changes, and a dictionary of it may have 100,000 features."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from app.store.features import FeatureStore, Figures

T = TypeVar("T")
NONE = object()
_KEPT: WeakKeyDictionary[FeatureStore, dict[Hashable, Any]] = WeakKeyDictionary()  # gone with a store that was replaced


def kept(store: FeatureStore, key: Hashable, make: Callable[[], T]) -> T:
    """What `make` gave the first time; two requests at once may both make it."""
    known = _KEPT.setdefault(store, {})
    found: T | object = known.get(key, NONE)  # asked once: a key may be large
    if found is NONE:
        found = known[key] = make()
    return cast(T, found)


def figures(store: FeatureStore, dictionary_id: int) -> Figures:
    return kept(store, ("figures", dictionary_id), lambda: store.figures(dictionary_id))


def replace_kept(store: FeatureStore, key: Hashable, value: Any) -> None:
    _KEPT.setdefault(store, {})[key] = value
