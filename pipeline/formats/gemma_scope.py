"""Gemma Scope: params.npz in a folder that names layer and width; Gemma Scope 2: params.safetensors and config.json."""

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from app.errors import UserError
from pipeline.dictionaries import Dictionary
from pipeline.formats.facts import facts_of
from pipeline.formats.sources import read_json, read_npz, read_safetensors
from pipeline.formats.weights import Weights

NPZ, SAFETENSORS, CONFIG = "params.npz", "params.safetensors", "config.json"
LAYER = re.compile(r"layer_(\d+)")
REPOSITORY = re.compile(r"gemma-scope-(\w+)-(pt|it)-(res|mlp|att|transcoders)", re.IGNORECASE)
HOOKS = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z", "transcoders": "ln2.hook_normalized"}


def read_gemma_scope(file: Path) -> Dictionary:
    """The npz file of Gemma Scope; b_dec is not subtracted. Raises UserError where no rule covers what is there."""
    path = file.resolve()
    layer = next((int(match[1]) for part in reversed(path.parts) if (match := LAYER.fullmatch(part))), None)
    repository = next((match for part in reversed(path.parts) if (match := REPOSITORY.search(part))), None)
    what = None if repository is None else repository[3].lower()
    hook = None
    if path.parent.parent.parent.name == "embedding":
        hook = "hook_embed"
    elif layer is not None and what is not None:
        hook = f"blocks.{layer}.{HOOKS[what]}"
    model = None if repository is None else f"gemma-2-{repository[1]}{'-it' if repository[2].lower() == 'it' else ''}"
    weights = Weights(file, read_npz(file))
    about = {"model_name": model, "hook_name": hook, "layer": layer}
    return _made(weights, upper_case=True, files=[file.name], about=about, transcoder=what == "transcoders", extra={})


def read_gemma_scope_2(file: Path) -> Dictionary:
    """The safetensors file of Gemma Scope 2, with lower-case names. Raises UserError where no rule covers what is there."""
    path = file.parent / CONFIG
    config = read_json(path) if path.is_file() else {}
    architecture = config.get("architecture", "jump_relu")
    if architecture != "jump_relu":
        raise UserError(f"{path}: architecture {architecture!r} is not supported; supported is jump_relu.")
    reads, writes = config.get("hf_hook_point_in"), config.get("hf_hook_point_out")
    folder = file.resolve().parent
    transcoder = writes not in (None, reads) if config else "transcoder" in folder.parent.name
    weights = Weights(file, read_safetensors(file))
    decoder: Tensor | None = weights.left.get("w_dec")
    if decoder is not None and decoder.ndim == 3:
        raise UserError(
            f"{file} is a cross-layer transcoder (w_dec of shape {list(decoder.shape)}), which is not supported; "
            "supported are dictionaries, and transcoders of one layer."
        )
    if "affine_skip_connection" in weights:
        transcoder = True
        weights.drop(["affine_skip_connection"])
    about = {"model_name": _hub_name(config.get("model_name")), "hook_name": reads}
    if reads is None and (match := LAYER.search(folder.name)):
        about["layer"] = int(match[1])
    names = [file.name, CONFIG] if path.is_file() else [file.name]
    extra = {"hook_name_out": writes} if transcoder else {}
    return _made(weights, upper_case=False, files=names, about=about, transcoder=transcoder, extra=extra)


def _made(
    weights: Weights,
    *,
    upper_case: bool,
    files: list[str],
    about: dict[str, Any],
    transcoder: bool,
    extra: dict[str, Any],
) -> Dictionary:
    w_enc, w_dec = ("W_enc", "W_dec") if upper_case else ("w_enc", "w_dec")
    encoder = weights.encoder(w_enc, features_first=False)
    m, d = encoder.shape
    made = Dictionary(
        kind="file",
        rule="jumprelu",
        encoder=encoder,
        b_enc=weights.take("b_enc", m),
        decoder=weights.matrix(w_dec, features_first=True),
        b_dec=weights.take("b_dec", d),
        threshold=weights.take("threshold", m),
        centred=False,
        provenance={**facts_of("gemma-scope", weights.path.parent, files, d, **about), **extra},
        reconstructs=not transcoder,
    )
    weights.finish()
    return made


def _hub_name(stated: Any) -> Any:
    """gemma-v3-1b-pt is the hub's gemma-3-1b-pt; there the smallest has no suffix."""
    if not isinstance(stated, str):
        return stated
    name = stated.replace("gemma-v3-", "gemma-3-")
    return name.removesuffix("-pt") if "270m" in name else name
