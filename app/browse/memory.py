"""Finished parts of pages, kept as long as there is room: the feature store never changes, so neither do they."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from markupsafe import Markup

from app.browse.kept import kept
from app.store.features import FeatureStore

Parts = tuple[Markup, ...] | tuple[bytes]
P = TypeVar("P", tuple[Markup, ...], tuple[bytes])
ROOM = 64 * 1024 * 1024  # characters and bytes of one store's parts


class Memory:
    """Texts by key; those asked for longest ago go first. Safe among threads."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._parts: OrderedDict[Hashable, Parts] = OrderedDict()

    def get(self, key: Hashable) -> Parts | None:
        with self._lock:
            if key not in self._parts:
                return None
            self._parts.move_to_end(key)
            return self._parts[key]

    def put(self, key: Hashable, parts: Parts) -> None:
        with self._lock:
            if key in self._parts:
                return
            self._parts[key] = parts
            self._room -= sum(map(len, parts))
            while self._room < 0 and len(self._parts) > 1:
                self._room += sum(map(len, self._parts.popitem(last=False)[1]))


def memory(store: FeatureStore) -> Memory:
    return kept(store, "parts of pages", Memory)


def remembered(store: FeatureStore, key: Hashable, make: Callable[[], P]) -> P:
    """What `make` gave for this key of this store, if it is still there, or else what it gives now."""
    parts: Any = memory(store).get(key)
    if parts is None:
        parts = make()
        memory(store).put(key, parts)
    made: P = parts
    return made
