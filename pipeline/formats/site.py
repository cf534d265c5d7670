"""Where a dictionary reads: what its file says of model and layer, held against the site that it is to be used on."""

import re
from pathlib import Path

from app.errors import UserError
from pipeline.dictionaries import Dictionary

# A hook's name, and how many blocks lie between it and the residual stream after the block that it names.
RESIDUAL = (
    (re.compile(r"blocks\.(\d+)\.hook_(?:resid_post|out)"), 0),  # TransformerLens
    (re.compile(r"blocks\.(\d+)\.hook_(?:resid_pre|in)"), -1),
    (re.compile(r"resid_post_layer_(\d+)"), 0),  # dictionary_learning
    (re.compile(r"resid_pre_layer_(\d+)"), -1),
    (re.compile(r"(?:\w+\.)*(?:layers|blocks|h)[._](\d+)(?:\.output)?"), 0),  # modules
)
ELSEWHERE = re.compile(r"mlp|attn|attention|hook_z|hook_[qkv]|resid_mid|embed|feedforward|transcoder|layernorm|ln\d?")
SAME_MODEL = {"gpt2small": "gpt2", "mistral7b": "mistral7bv01"}  # names that TransformerLens gives


def residual_layer(hook: str) -> int | None:
    """The block after which a hook reads the residual stream; −1 is before the first. None for anything else."""
    for pattern, offset in RESIDUAL:
        if match := pattern.fullmatch(hook):
            return int(match[1]) + offset
    return None


def check_site(dictionary: Dictionary, d: int, model_name: str, layer: int) -> None:
    """Raises UserError where a dictionary is for activations of another width, layer or model than the site's.

    `d` and `layer` are the site's; `model_name` is where its model comes from: a hub's name is compared with the one that
    the dictionary's file gives, a folder's says nothing.
    """
    facts = dictionary.provenance
    what = f"the dictionary in {facts.get('path', 'memory')}"
    width = dictionary.encoder.shape[1]
    if width != d:
        raise UserError(
            f"{what} reads activations of width {width}, but this site's have {d}; "
            "use a dictionary that was trained on this model."
        )
    hook, own_layer = facts.get("hook_name"), facts.get("layer")
    if isinstance(hook, str):
        found = residual_layer(hook)
        if found is None and ELSEWHERE.search(hook):
            raise UserError(
                f"{what} reads {hook}, but a site's activations are the residual stream after a block; "
                "use a dictionary of the residual stream."
            )
        own_layer = own_layer if found is None else found
    if isinstance(own_layer, int) and own_layer != layer:
        where = f"after block {own_layer}" if own_layer >= 0 else "before the first block"
        raise UserError(
            f"{what} reads the residual stream {where}{f' ({hook})' if hook else ''}, but this site has layer = {layer}; "
            "use it on a site of its own layer."
        )
    own_model = facts.get("model_name")
    if isinstance(own_model, str) and not _maybe_same(own_model, model_name):
        raise UserError(
            f"{what} was trained on {own_model}, but this site's model is {model_name}; use a dictionary of this model, "
            "or, if both are one, correct the name in the dictionary's configuration."
        )


def _maybe_same(one: str, other: str) -> bool:
    """Whether two names may be one model's: owners, case and punctuation aside. A folder or package may hold any model."""
    if any(name.startswith("package:") or Path(name).expanduser().exists() for name in (one, other)):
        return True
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", name.rstrip("/").rpartition("/")[2].lower())
    return SAME_MODEL.get(plain, plain)
