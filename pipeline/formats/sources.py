"""Files of a dictionary, opened with care: what is missing, cut short, or more than data, is refused in a sentence."""

import json
import pickle
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from app.errors import UserError
from pipeline.files import read_tensors

AGAIN = "copy or download it again"


def need(path: Path) -> Path:
    """The path, if a file is there."""
    if not path.is_file():
        raise UserError(f"{path.name} is missing in {path.parent}; a dictionary of this format has it.")
    return path


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(need(path).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); {AGAIN}.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a JSON {type(value).__name__}, where an object was expected; {AGAIN}.")
    return value


def section(config: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    """An object inside a configuration; empty if it is not there."""
    value = config.get(key)
    if value is not None and not isinstance(value, dict):
        raise UserError(f"{path}: {key} is {value!r}, where an object was expected.")
    return value or {}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(need(path))
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is not a whole safetensors file ({error}); {AGAIN}.") from error


def read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(need(path), allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("one array, not an archive of several")
            return {name: torch.from_numpy(_native(arrays[name])) for name in arrays.files}
    except (ValueError, TypeError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is not a whole npz file of numbers ({error}); {AGAIN}.") from error


def read_pickle(path: Path) -> dict[str, Any]:
    """A pickled state dict: tensors and plain values only. Code is never run: a pickle that names any is refused."""
    try:
        value = torch.load(need(path), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if not named:
            raise UserError(f"{path} is not a whole file of tensors; {AGAIN}.") from error
        raise UserError(
            f"{path} holds more than tensors: it asks for {named[1]}, and a pickle that names code may do anything when "
            "it is loaded; save the state dict alone, or better, as safetensors."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OSError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is not a whole file of tensors ({why}); {AGAIN}.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}, where a state dict was expected.")
    return value


def _native(array: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    """In this machine's byte order, writeable."""
    return np.array(array, array.dtype.newbyteorder("="))
