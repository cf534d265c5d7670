"""sparsify: a folder with cfg.json and sae.safetensors, of a hook point that the folder is named after."""

from pathlib import Path
from typing import Any

from app.errors import UserError
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.rules import Rule
from pipeline.files import write_json, write_tensors
from pipeline.formats.facts import facts_of, own_facts, restored
from pipeline.formats.site import ELSEWHERE, residual_layer
from pipeline.formats.sources import read_json, read_safetensors
from pipeline.formats.weights import Weights, same_size, whole_number

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"
RULES: dict[str, Rule] = {"topk": "topk", "groupmax": "groupmax"}


def read_sparsify(folder: Path) -> Dictionary:
    """Raises UserError where no rule covers what is there.

    A skip connection goes: its part of the reconstruction is no feature's, so that the dictionary counts as one that does
    not reconstruct, like a transcoder.
    """
    path = folder / CONFIG
    config = read_json(path)
    activation = config.get("activation") or "topk"
    if activation not in RULES or config.get("signed"):
        found = "signed topk" if config.get("signed") else activation
        raise UserError(f"{path}: activation {found!r} is not supported; supported are {', '.join(RULES)}.")
    weights = Weights(folder / WEIGHTS, read_safetensors(folder / WEIGHTS))
    encoder = weights.encoder("encoder.weight", features_first=True)
    m, d = encoder.shape
    same_size(path, "d_in", config.get("d_in"), d)
    if config.get("num_latents"):
        same_size(path, "num_latents", config["num_latents"], m)
    elif config.get("expansion_factor") is not None:
        same_size(path, "expansion_factor", config["expansion_factor"], m / d)
    b_enc = weights.take("encoder.bias", m)
    decoder, b_dec = weights.matrix("W_dec", features_first=True), weights.take("b_dec", d)
    skip, transcoder = bool(config.get("skip_connection")), bool(config.get("transcode"))
    if skip:
        weights.take("W_skip", d, d)
    weights.finish()
    k = whole_number(config.get("k"), f"{path}: k", m)
    if activation == "groupmax" and m % k:
        raise UserError(f"{path}: groupmax needs k groups of one size, but {m} features don't divide into {k}.")
    made = Dictionary(
        kind="file",
        rule=RULES[activation],
        encoder=encoder,
        b_enc=b_enc,
        decoder=decoder,
        b_dec=b_dec,
        k=k,
        centred=not transcoder,
        provenance={**_provenance(folder, d), "transcode": transcoder, "skip_connection": skip},
        reconstructs=not (transcoder or skip),
    )
    return restored(made, config)


def write_sparsify(dictionary: Dictionary, folder: Path) -> None:
    """Write a folder that `SparseCoder.load_from_disk` loads. Raises UserError where the format can't express it.

    sparsify always subtracts b_dec, so that of a dictionary that doesn't (a raw one), b_enc + encoder · b_dec is written
    for b_enc: the same features, up to rounding.
    """
    lacks = (
        ("transcoders" if not dictionary.reconstructs else None)
        or ("dictionaries without a decoder" if dictionary.decoder is None else None)
        or (f"the rule {dictionary.rule}" if dictionary.rule not in RULES else None)
        or ("a topk that keeps values below 0" if dictionary.signed else None)
        or (f"the normalisation {dictionary.normalisation}" if dictionary.normalisation != "none" else None)
    )
    if lacks or dictionary.decoder is None or dictionary.k is None:
        raise UserError(
            f"{lacks} can't be written for sparsify; its rules are topk and groupmax, without normalisation."
        )
    m, d = dictionary.encoder.shape
    b_enc = dictionary.b_enc
    if not dictionary.centred:
        b_enc = (b_enc.double() + dictionary.encoder.double() @ dictionary.b_dec.double()).float()
    tensors = {
        "encoder.weight": dictionary.encoder,
        "encoder.bias": b_enc,
        "W_dec": dictionary.decoder,
        "b_dec": dictionary.b_dec,
    }
    config = {
        "activation": dictionary.rule,
        "expansion_factor": max(1, m // d),
        "normalize_decoder": False,
        "num_latents": m,
        "k": dictionary.k,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": d,
        "dartboard": own_facts(dictionary),
    }
    write_tensors(folder / WEIGHTS, tensors)
    write_json(folder / CONFIG, config)


def _provenance(folder: Path, d: int) -> dict[str, Any]:
    """The site is in the folder's name (a module's), the model in the configuration of the run, one folder up."""
    name = folder.resolve().name
    hook = name if residual_layer(name) is not None or ELSEWHERE.search(name) else None
    above = folder.resolve().parent / "config.json"
    run = read_json(above) if hook is not None and above.is_file() else {}
    return facts_of(
        "sparsify",
        folder,
        [CONFIG, WEIGHTS],
        d,
        model_name=run.get("model"),
        hook_name=hook,
        context_size=run.get("ctx_len"),
    )
