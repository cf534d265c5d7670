"""Charts in the colours of the light theme: what is saved as a picture, or printed, is read on white.

The colours are read from the style sheets, so that they stand in one place.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from app.render import static_directory

SHEETS = ("css/tokens.css", "css/results.css")
PREFIX = "token:"


def in_light(spec: Any) -> Any:
    """The specification with each `token:name` replaced. Raises KeyError where no style sheet sets it."""
    return replaced(spec, light_tokens())


def replaced(spec: Any, tokens: Mapping[str, str]) -> Any:
    match spec:
        case dict():
            return {key: replaced(value, tokens) for key, value in spec.items()}
        case list() | tuple():
            return [replaced(value, tokens) for value in spec]
        case str() if spec.startswith(PREFIX):
            return tokens[spec.removeprefix(PREFIX)]
        case _:
            return spec


@lru_cache
def light_tokens() -> dict[str, str]:
    """Custom properties and their values, of the light theme: what stands before any media query."""
    found: dict[str, str] = {}
    for sheet in SHEETS:
        text = (static_directory() / sheet).read_text("utf-8").partition("@media (prefers-color-scheme: dark)")[0]
        found |= {name: " ".join(value.split()) for name, value in re.findall(r"--([\w-]+):\s*([^;]+);", text)}
    return found
