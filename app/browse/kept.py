"""What is worked out once a feature store: it never changes, and a dictionary of it may have 100,000 features."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from app.store.features import FeatureStore, Figures

T = TypeVar("T")
_KEPT: WeakKeyDictionary[FeatureStore, dict[Hashable, Any]] = WeakKeyDictionary()  # gone with a store that was replaced


def kept(store: FeatureStore, key: Hashable, make: Callable[[], T]) -> T:
    """What `make` gave the first time; two requests at once may both make it."""
    known = _KEPT.setdefault(store, {})
    if key not in known:
        known[key] = make()
    found: T = known[key]
    return found


def figures(store: FeatureStore, dictionary_id: int) -> Figures:
    return kept(store, ("figures", dictionary_id), lambda: store.figures(dictionary_id))


def replace_kept(store: FeatureStore, key: Hashable, value: Any) -> None:
    _KEPT.setdefault(store, {})[key] = value
