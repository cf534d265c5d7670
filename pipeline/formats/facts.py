"""What is kept of where a dictionary comes from, and what dartboard says of its own in the files that it writes."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.dictionaries import Dictionary
from pipeline.formats.site import residual_layer
from pipeline.hashing import hash_files

CARD = "README.md"  # what a dictionary's folder says of it, in Markdown
LONGEST_CARD = 32_768  # characters


def facts_of(
    name: str,
    folder: Path,
    files: Iterable[str],
    d: int,
    *,
    model_name: Any = None,
    hook_name: Any = None,
    layer: Any = None,
    context_size: Any = None,
    prepend_bos: Any = None,
) -> dict[str, Any]:
    """Provenance: card, format, file names and their hashes, and what the files say of the site; None where they say nothing.

    `layer` is the block after which the residual stream is read, as far as that is known.
    """
    if isinstance(hook_name, str) and (found := residual_layer(hook_name)) is not None:
        layer = found
    names = list(files)
    card = folder / CARD
    return {
        **({"card": card.read_text("utf-8", "replace")[:LONGEST_CARD]} if card.is_file() else {}),
        "format": name,
        "path": folder.name if len(names) > 1 else names[0],
        "files": {file: hash_files([folder / file]) for file in names},
        "d": d,
        "model_name": model_name,
        "hook_name": hook_name,
        "layer": layer if isinstance(layer, int) and not isinstance(layer, bool) else None,
        "context_size": context_size,
        "prepend_bos": prepend_bos,
    }


KEPT = ("curve", "seconds", "made")  # of a dictionary's provenance: how its training went, and what made it


def own_facts(dictionary: Dictionary) -> dict[str, Any]:
    """What other libraries have no place for, to be kept in extra keys of their files."""
    return {
        "kind": dictionary.kind,
        "rule": dictionary.rule,
        "k": dictionary.k,
        "centring": "centred" if dictionary.centred else "raw",
        "seed": dictionary.provenance.get("seed"),
        **{key: dictionary.provenance[key] for key in KEPT if key in dictionary.provenance},
    }


def restored(dictionary: Dictionary, metadata: dict[str, Any]) -> Dictionary:
    """The dictionary with what `own_facts` kept of it: kind, seed, training, and batch-topk where it was written as jumprelu."""
    own = metadata.get("dartboard")
    if not isinstance(own, dict):
        return dictionary
    kept = {key: own[key] for key in KEPT if key in own}
    short = {key: value for key, value in own.items() if key not in KEPT}
    changes: dict[str, Any] = {
        "provenance": {**dictionary.provenance, "seed": own.get("seed"), **kept, "dartboard": short}
    }
    if isinstance(own.get("kind"), str):
        changes["kind"] = own["kind"]
    if own.get("rule") == "batch-topk" and dictionary.rule == "jumprelu":
        changes |= {"rule": "batch-topk", "k": own.get("k")}
    return replace(dictionary, **changes)
