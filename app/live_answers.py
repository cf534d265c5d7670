"""What is asked of the live worker, and what it answers."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Reading:
    """A text to read. `first` and `last`: the tokens selected, both included, from 0; all where None.

    `features`: (dictionary's name, index) of those to trace; `site`: a name, None for the store's first; `top`: how many features
    of each dictionary are wanted.
    """

    text: str
    site: str | None = None
    first: int | None = None
    last: int | None = None
    features: tuple[tuple[str, int], ...] = ()
    top: int = 10

    def question(self) -> dict[str, Any]:
        return {
            "do": "read",
            "text": self.text,
            "site": self.site,
            "first": self.first,
            "last": self.last,
            "features": self.features,
            "top": self.top,
        }


@dataclass(frozen=True, slots=True)
class Strong:
    """A feature that fires on the selection: its extreme there, the token of that, and on how many tokens it fires."""

    feature: int
    value: float
    token: int
    count: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Where one feature fires in the text: by token, its activation."""

    dictionary: str
    feature: int
    values: dict[int, float]


@dataclass(frozen=True, slots=True)
class Read:
    """A text that was read. `special` and `sinks`: masked tokens; `begins`: the first token of each context it was cut into.

    `strongest`: by dictionary, strongest first; `differences`: sentences on what may make the last digits differ from the store's.
    """

    site: str
    tokens: tuple[str, ...]
    special: tuple[int, ...]
    sinks: tuple[int, ...]
    begins: tuple[int, ...]
    strongest: dict[str, tuple[Strong, ...]]
    traces: tuple[Trace, ...]
    differences: tuple[str, ...]

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Self:
        return cls(
            site=answer["site"],
            tokens=tuple(answer["tokens"]),
            special=tuple(answer["special"]),
            sinks=tuple(answer["sinks"]),
            begins=tuple(answer["begins"]),
            strongest={
                name: tuple(Strong(*entry) for entry in entries) for name, entries in answer["strongest"].items()
            },
            traces=tuple(
                Trace(one["dictionary"], one["feature"], dict(zip(one["positions"], one["values"], strict=True)))
                for one in answer["traces"]
            ),
            differences=tuple(answer["differences"]),
        )


@dataclass(frozen=True, slots=True)
class Near:
    """A context of the store, and the cosine of its embedding with a query's."""

    context: int
    cosine: float
