"""Read a dictionary of any supported format: told apart by what the files hold, then read by the format's own rule."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from app.errors import UserError
from pipeline.dictionaries import Dictionary
from pipeline.formats import dictionary_learning, gemma_scope, openai, saelens, sparsify
from pipeline.formats.sources import read_pickle
from pipeline.formats.weights import listed

FORMATS = ("saelens", "sparsify", "dictionary-learning", "openai", "gemma-scope")
# The file of weights that each format keeps in a folder.
IN_FOLDER = {
    saelens.WEIGHTS: "saelens",
    sparsify.WEIGHTS: "sparsify",
    dictionary_learning.WEIGHTS: "dictionary-learning",
    gemma_scope.NPZ: "gemma-scope",
    gemma_scope.SAFETENSORS: "gemma-scope",
}
# A tensor that tells the format of a safetensors file.
TELL_TALES = {"W_enc": "saelens", "encoder.weight": "sparsify", "w_enc": "gemma-scope"}


def read(source: Path | str, format: str = "auto", scale: float | None = None) -> Dictionary:
    """The dictionary in a folder or file. `scale` is for sae-lens's `expected_average_only_in` alone.

    Raises UserError where the format is not supported, or the files are missing, damaged or contradict each other.
    """
    path = Path(source).expanduser()
    if format != "auto" and format not in FORMATS:
        raise UserError(f"the format {format!r} is not supported; supported are auto, {', '.join(FORMATS)}.")
    file = _weights_file(path)
    found, reader = _reader(file, scale)
    if format not in ("auto", found):
        raise UserError(f"{path} is of the format {found}, not {format}; give that, or leave `format` out.")
    if scale is not None and found != "saelens":
        raise UserError(f"`scale` is for saelens dictionaries, but {path} is of the format {found}; drop it.")
    return reader()


def _weights_file(path: Path) -> Path:
    """The file with the weights: the path itself, or the one that a format keeps in a folder."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"{path} is not there; give the folder or file of a dictionary.")
    known = [name for name in IN_FOLDER if (path / name).is_file()]
    if len(known) > 1:
        raise UserError(f"{path} holds more than one dictionary ({listed(known)}); give the file of one.")
    if known:
        return path / known[0]
    pickles = sorted(path.glob("*.pt"))
    if len(pickles) == 1:
        return pickles[0]
    raise UserError(
        f"{path} holds no dictionary: none of {', '.join(IN_FOLDER)}, nor one .pt file; it has "
        f"{listed(entry.name for entry in path.iterdir())}."
    )


def _reader(file: Path, scale: float | None) -> tuple[str, Callable[[], Dictionary]]:
    """The format, and what reads it. By contents; by its name where they don't open: its reader says what is wrong with them."""
    if _is_npz(file):
        return "gemma-scope", lambda: gemma_scope.read_gemma_scope(file)
    names = _safetensors_names(file)
    found = IN_FOLDER.get(file.name) if names is None and file.suffix == ".safetensors" else None
    if names is not None:
        found = next((name for tell_tale, name in TELL_TALES.items() if tell_tale in names), None)
    match found:
        case "saelens":
            return found, lambda: saelens.read_saelens(_named(file, saelens.WEIGHTS), scale)
        case "sparsify":
            return found, lambda: sparsify.read_sparsify(_named(file, sparsify.WEIGHTS))
        case "gemma-scope":
            return found, lambda: gemma_scope.read_gemma_scope_2(file)
    if names is not None or file.suffix == ".safetensors":
        what = "a safetensors file of no supported format" if names else "not a whole safetensors file"
        raise UserError(f"{file} is {what}; it has {listed(names or ())}.")
    values = read_pickle(file)
    if "pre_bias" in values:
        return "openai", lambda: openai.read_openai(file, values)
    return "dictionary-learning", lambda: dictionary_learning.read_dictionary_learning(file, values)


def _is_npz(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return file.suffix == ".npz"
    with zipfile.ZipFile(file) as archive:
        return all(name.endswith(".npy") for name in archive.namelist())


def _safetensors_names(file: Path) -> set[str] | None:
    """Names of the tensors in a safetensors file, by its header; None where there is no such header."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        if size > file.stat().st_size or opened.read(1) != b"{":
            return None
        try:
            header = json.loads(b"{" + opened.read(size - 1))
        except ValueError:
            return None
    return set(header) - {"__metadata__"}


def _named(file: Path, name: str) -> Path:
    """The folder of a file that must have its usual name."""
    if file.name != name:
        raise UserError(f"{file} has to be named {name}, beside its cfg.json.")
    return file.parent
