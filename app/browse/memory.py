"""Finished parts of pages, kept as long as there is room: the feature store never changes, so neither do they."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from markupsafe import Markup

from app.browse.kept import kept
from app.store.features import FeatureStore

ROOM = 32 * 1024 * 1024  # characters of one store's parts


class Memory:
    """Texts by key; those asked for longest ago go first. Safe among threads."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._parts: OrderedDict[Hashable, tuple[Markup, ...]] = OrderedDict()

    def get(self, key: Hashable) -> tuple[Markup, ...] | None:
        with self._lock:
            if key not in self._parts:
                return None
            self._parts.move_to_end(key)
            return self._parts[key]

    def put(self, key: Hashable, parts: tuple[Markup, ...]) -> None:
        with self._lock:
            if key in self._parts:
                return
            self._parts[key] = parts
            self._room -= sum(map(len, parts))
            while self._room < 0 and len(self._parts) > 1:
                self._room += sum(map(len, self._parts.popitem(last=False)[1]))


def remembered(store: FeatureStore, key: Hashable, make: Callable[[], tuple[Markup, ...]]) -> tuple[Markup, ...]:
    """What `make` gave for this key of this store, if it is still there, or else what it gives now."""
    memory = kept(store, "parts of pages", Memory)
    parts = memory.get(key)
    if parts is None:
        parts = make()
        memory.put(key, parts)
    return parts
