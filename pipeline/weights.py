"""The dictionaries of a feature store, left beside it by its build, for whatever encodes another text with them.

    DATA/weights/<build key>/<dictionary>.safetensors

Directions alone would not do: what a random dictionary subtracts, and what a data-driven one is made of, is known only once the
text was read. So every dictionary is kept, as the build has it, by a hard link to the file in its work folder, which costs
nothing. What the store says of each, its SHA-256, decides whether the file is the one.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError

from app.errors import NotFound, UserError
from pipeline.dictionaries import Dictionary
from pipeline.files import whole
from pipeline.published import WEIGHTS, weights_folder

AGAIN = "run its `dartboard build` again, with --weights"


def keep_weights(folder: Path, places: Mapping[str, Path]) -> None:
    """Leave dictionaries, which are at `places` by name, in a folder; what is there already is replaced."""
    for name, place in places.items():
        with whole(folder / f"{name}.safetensors") as temporary:
            temporary.unlink(missing_ok=True)
            try:
                os.link(place, temporary)
            except OSError:  # a file system without hard links
                shutil.copyfile(place, temporary)


def forget_other_weights(data: Path, key: str | None) -> None:
    """Remove what builds before this one left, whose store is gone, and models unpacked for them. None: of all builds."""
    mine = None if key is None else weights_folder(data, key)
    for folder in (data / WEIGHTS).glob("*"):
        if folder.is_dir() and folder != mine:
            shutil.rmtree(folder, ignore_errors=True)


def load_weights(folder: Path, name: str, sha256: str) -> Dictionary:
    """A dictionary that a build left. Raises NotFound where it did not, UserError where it is not the store's."""
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise NotFound(f"The dictionary {name} is not beside the feature store; {AGAIN}.")
    try:
        dictionary = Dictionary.load(path)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not whole ({error}); {AGAIN}.") from error
    if dictionary.hash() != sha256:
        raise UserError(f"{path} is not the dictionary that the feature store is of; {AGAIN}.")
    return dictionary
