"""Read a TOML file into a pydantic model, with one clear sentence for whatever is wrong in it."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.errors import NotFound, UserError

Model = TypeVar("Model", bound=BaseModel)


def load_toml(path: Path, model: type[Model]) -> Model:
    """Raises NotFound where the file is missing, UserError (naming the key's path) where it is not as it should be."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}; check the path.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from error
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}") from error


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a TOML text: the key's path ("" where it is the whole), and a sentence about it."""

    key: str
    message: str


def read_toml(text: str, model: type[Model]) -> Model | list[Problem]:
    """A TOML text as a model, or everything that is wrong in it, misspelt keys first."""
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        return [Problem("", f"This is not valid TOML: {error}.")]
    except ValidationError as error:
        return [Problem(key_path(problem["loc"]), f"{_say(problem)}.") for problem in _problems(error)]


def explain(error: ValidationError) -> str:
    """The first problem of a validation error as one sentence, with the key's path and how many more there are."""
    problems = _problems(error)
    more = len(problems) - 1
    return f"{_say(problems[0])}{f' (and {more} more)' if more else ''}."


def _problems(error: ValidationError) -> list[ErrorDetails]:
    """A misspelt key before the one that it leaves missing."""
    return sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")


def _say(problem: ErrorDetails) -> str:
    """One problem in words, without a full stop."""
    where = key_path(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where}; check its spelling"
    if problem["type"] == "missing":
        return f"the key {where} is missing"
    said = problem["msg"].removeprefix("Value error, ")
    if not where:
        return said
    got = problem["input"]
    return f"{where}: {said}{f' (found {got!r})' if isinstance(got, str | int | float | bool) else ''}"


def key_path(location: Iterable[int | str]) -> str:
    """`("dictionary", 2, "random-sign", "k")` → `dictionary[2].k`: union tags, which hold a dash, are left out."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif "-" not in part:
            path += f".{part}" if path else part
    return path
