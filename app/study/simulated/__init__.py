"""Simulated raters: studies whose truth is known, to try the analysis on.

Nothing made of them can pass for people's answers: the study's name begins with PREFIX, so the frozen protocol and its hash say
so too, the title does, each rater's source is SOURCE, and so does every explanation.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.study.protocol import Protocol

PREFIX = "simulated-"
TITLE = "Simulated: "
SOURCE = "simulated"
LONGEST = {"name": 60, "title": 120}


def as_simulated(protocol: Protocol) -> Protocol:
    """The same design under a name and a title that say what it is."""
    if protocol.name.startswith(PREFIX):
        return protocol
    name, title = f"{PREFIX}{protocol.name}", f"{TITLE}{protocol.title}"
    return protocol.model_copy(update={"name": name[: LONGEST["name"]].rstrip("-"), "title": title[: LONGEST["title"]]})


def is_simulated(raters: Iterable[Mapping[str, Any]]) -> bool:
    """Whether some of these rows of `raters` are no people."""
    return any(row.get("source") == SOURCE for row in raters)
