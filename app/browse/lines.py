"""The lines of a list of features, made once a feature: what a line says does not follow from how the list is sorted."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from app.browse.kept import kept
from app.browse.memory import Memory
from app.browse.thumbs import thumbs
from app.render import environment
from app.store.feature_rows import lines
from app.store.features import Dictionary, FeatureStore

ROOM = 32 * 1024 * 1024  # characters of one store's lines


def feature_lines(store: FeatureStore, dictionary: Dictionary, indices: Sequence[int]) -> dict[int, Markup]:
    """By number, the cells of a feature's line: all but the first, which has the number, and the score."""
    memory = kept(store, "lines", lambda: Memory(ROOM))
    found: dict[int, Any] = {}
    for index in indices:
        if parts := memory.get(("line", dictionary.id, index)):
            found[index] = parts[0]
    missing = [index for index in indices if index not in found]
    if missing:
        some = lines(store, dictionary.id, missing).values()
        looks = thumbs(store, dictionary.id, some)
        line = environment().get_template("browse/_line.html").module.line  # type: ignore[attr-defined]
        for one in some:
            html: Markup = line(one, looks.get(one.index))
            memory.put(("line", dictionary.id, one.index), (html,))
            found[one.index] = html
    return found
