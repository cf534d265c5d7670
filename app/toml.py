"""Read a TOML file into a pydantic model, with one clear sentence for whatever is wrong in it."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

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
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}") from error


def explain(error: ValidationError) -> str:
    """The first problem of a validation error as one sentence, with the key's path and how many more there are."""
    problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]  # a misspelt key before the one that it leaves missing
    where = key_path(first["loc"])
    if first["type"] == "extra_forbidden":
        what = f"unknown key {where}; check its spelling"
    elif first["type"] == "missing":
        what = f"the key {where} is missing"
    elif not where:
        what = first["msg"].removeprefix("Value error, ")
    else:
        got = first["input"]
        shown = f" (found {got!r})" if isinstance(got, str | int | float | bool) else ""
        what = f"{where}: {first['msg'].removeprefix('Value error, ')}{shown}"
    more = len(problems) - 1
    return f"{what}{f' (and {more} more)' if more else ''}."


def key_path(location: Iterable[int | str]) -> str:
    """`("dictionary", 2, "random-sign", "k")` → `dictionary[2].k`: union tags, which hold a dash, are left out."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif "-" not in part:
            path += f".{part}" if path else part
    return path
