"""sae-lens: a folder with cfg.json and sae_weights.safetensors; read as version 6 and earlier ones, written as version 6."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from app.errors import UserError
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.normalisation import Normalisation
from pipeline.dictionaries.rules import Rule
from pipeline.files import write_json, write_tensors
from pipeline.formats.facts import facts_of, own_facts, restored
from pipeline.formats.sources import read_json, read_safetensors, section
from pipeline.formats.weights import Weights, same_size, whole_number

CONFIG, WEIGHTS, SPARSITY = "cfg.json", "sae_weights.safetensors", "sparsity.safetensors"
NEVER = -9.99  # of log10(frequency + 1e-10)
Dtype = Literal["float32", "bfloat16"]
WRITTEN_AS = "6.0.0"  # the first version that reads what is written here
RULES: dict[str, Rule] = {
    "standard": "relu",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
WHY_NOT = {
    "batchtopk": "a checkpoint of training; save it for inference, which makes it jumprelu",
    "matryoshka_batchtopk": "a checkpoint of training; save it for inference, which makes it jumprelu",
}
NORMALISATIONS: dict[str, Normalisation] = {
    "none": "none",
    "constant_norm_rescale": "constant-norm",
    "layer_norm": "layer-norm",
    "expected_average_only_in": "none",
}


@dataclass(frozen=True, slots=True)
class _Config:
    """What decides the encoding, from a configuration of any version."""

    architecture: str
    k: Any
    centred: bool
    normalise: str
    rescale: bool
    metadata: dict[str, Any]


def read_saelens(folder: Path, scale: float | None) -> Dictionary:
    """`scale`: the factor that `expected_average_only_in` needs. Raises UserError where no rule covers what is there."""
    path = folder / CONFIG
    raw = read_json(path)
    config = _config(raw, path)
    rule = RULES.get(config.architecture)
    if rule is None:
        why = WHY_NOT.get(config.architecture)
        raise UserError(
            f"{path}: architecture {config.architecture!r} is not supported{f': it is {why}' if why else ''}; "
            f"supported are {', '.join(RULES)}."
        )
    if config.normalise not in NORMALISATIONS:
        raise UserError(
            f"{path}: normalize_activations {config.normalise!r} is not supported; supported are {', '.join(NORMALISATIONS)}."
        )
    factor = _factor(config, scale, path)
    transcoder = config.architecture.endswith("transcoder")
    weights = Weights(folder / WEIGHTS, read_safetensors(folder / WEIGHTS))
    encoder = weights.encoder("W_enc", features_first=False) * factor
    m, d = encoder.shape
    same_size(path, "d_in", raw.get("d_in"), d)
    same_size(path, "d_sae", raw.get("d_sae"), m)
    decoder = weights.matrix("W_dec", features_first=True) / factor
    b_dec = weights.take("b_dec", d) / factor
    gated = rule == "gated"
    b_enc = weights.take("b_mag" if gated else "b_enc", m)
    if rule == "topk" and config.rescale:
        norms = decoder.norm(dim=1)
        encoder, b_enc = encoder * norms[:, None], b_enc * norms
        decoder = decoder / norms.clamp_min(torch.finfo(norms.dtype).tiny)[:, None]
    threshold = _threshold(weights, m) if rule == "jumprelu" else None
    b_gate, r_mag = (weights.take("b_gate", m), weights.take("r_mag", m)) if gated else (None, None)
    _finetuned(weights, m)
    if "skip" in config.architecture:
        weights.take("W_skip", d, d)
    weights.finish()
    k = whole_number(config.k, f"{path}: k", m) if rule == "topk" else None
    return restored(
        Dictionary(
            kind="file",
            rule=rule,
            encoder=encoder,
            b_enc=b_enc,
            decoder=decoder,
            b_dec=b_dec,
            k=k,
            threshold=threshold,
            centred=config.centred and not transcoder,
            normalisation=NORMALISATIONS[config.normalise],
            provenance=_provenance(folder, config, d, factor),
            b_gate=b_gate,
            r_mag=r_mag,
            reconstructs=not transcoder,
            dead=_dead(folder, m),
        ),
        config.metadata,
    )


def write_saelens(dictionary: Dictionary, folder: Path, dtype: Dtype = "float32") -> None:
    """Write a folder that `SAE.load_from_disk` of sae-lens 6 loads. Raises UserError where the format can't express it.

    Batch-topk is written as jumprelu, as sae-lens itself does. Metadata that the dictionary was read with is kept.
    In bfloat16 both matrices are rounded, which halves the file; vectors stay in float32, and so does what is read of it.
    """
    lacks = (
        ("transcoders" if not dictionary.reconstructs else None)
        or ("dictionaries without a decoder" if dictionary.decoder is None else None)
        or (f"the rule {dictionary.rule}" if dictionary.rule in ("absolute-topk", "groupmax") else None)
        or ("a topk that keeps values below 0" if dictionary.signed else None)
    )
    if lacks or dictionary.decoder is None:
        raise UserError(f"{lacks} can't be written for sae-lens; its rules are topk, relu, jumprelu and gated.")
    architectures = {"topk": "topk", "relu": "standard", "jumprelu": "jumprelu", "batch-topk": "jumprelu"}
    architecture = architectures.get(dictionary.rule, "gated")
    tensors = {"W_enc": dictionary.encoder.T, "W_dec": dictionary.decoder, "b_dec": dictionary.b_dec}
    if dictionary.b_gate is not None and dictionary.r_mag is not None:
        tensors |= {"b_mag": dictionary.b_enc, "b_gate": dictionary.b_gate, "r_mag": dictionary.r_mag}
    else:
        tensors["b_enc"] = dictionary.b_enc
    if dictionary.threshold is not None:
        tensors["threshold"] = dictionary.threshold.expand(dictionary.m)
    if dtype == "bfloat16":
        tensors |= {name: tensors[name].bfloat16() for name in ("W_enc", "W_dec")}
    facts = dictionary.provenance
    about = ("model_name", "hook_name", "context_size", "prepend_bos")
    config = {
        "architecture": architecture,
        "d_in": dictionary.encoder.shape[1],
        "d_sae": dictionary.m,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": dictionary.centred,
        "normalize_activations": next(
            name for name, ours in NORMALISATIONS.items() if ours == dictionary.normalisation
        ),
        "reshape_activations": facts.get("reshape_activations", "none"),
        **({"k": dictionary.k, "rescale_acts_by_decoder_norm": False} if architecture == "topk" else {}),
        "metadata": {
            **{key: facts[key] for key in about if facts.get(key) is not None},
            **facts.get("metadata", {}),
            "sae_lens_version": WRITTEN_AS,
            "dartboard": own_facts(dictionary),
        },
    }
    write_tensors(folder / WEIGHTS, tensors)
    write_json(folder / CONFIG, config)


def _config(config: dict[str, Any], path: Path) -> _Config:
    metadata = section(config, "metadata", path)
    version = str(config.get("sae_lens_version") or metadata.get("sae_lens_version") or "")
    if not re.match(r"([6-9]|\d\d+)\.", version):
        return _before_6(config, path)
    if "architecture" not in config:
        raise UserError(f"{path} has no architecture; supported are {', '.join(RULES)}.")
    return _Config(
        architecture=str(config["architecture"]),
        k=config.get("k"),
        centred=bool(config.get("apply_b_dec_to_input", True)),
        normalise=str(config.get("normalize_activations") or "none"),
        rescale=bool(config.get("rescale_acts_by_decoder_norm", False)),
        metadata={**metadata, "reshape_activations": _reshape(config, path)},
    )


def _before_6(config: dict[str, Any], path: Path) -> _Config:
    """One flat object, with other names for some keys."""
    activation = config.get("activation_fn_str") or config.get("activation_fn") or "relu"
    k = section(config, "activation_fn_kwargs", path).get("k", config.get("k"))
    architecture = str(config.get("architecture") or "standard")
    if activation == "topk" and architecture == "standard":
        architecture = "topk"
    if activation != "relu" and (activation, architecture) != ("topk", "topk"):
        raise UserError(
            f"{path}: activation function {activation!r} in a {architecture!r} dictionary is not supported; "
            "supported are relu, and topk in a standard one."
        )
    normalise = config.get("normalize_activations")
    if isinstance(normalise, bool):
        normalise = "expected_average_only_in" if normalise else "none"
    weights = {"activation_fn_str", "activation_fn_kwargs", "d_in", "d_sae", "dtype", "device"}
    metadata = {key: value for key, value in config.items() if key not in weights}
    metadata.setdefault("hook_name", config.get("hook_point"))
    metadata["reshape_activations"] = _reshape(config, path)
    return _Config(
        architecture=architecture,
        k=k,
        centred=bool(config.get("apply_b_dec_to_input", True)),
        normalise=str(normalise or "none"),
        rescale=False,
        metadata=metadata,
    )


def _reshape(config: dict[str, Any], path: Path) -> str:
    reshape = str(config.get("reshape_activations") or "none")
    if reshape not in ("none", "hook_z"):
        raise UserError(f"{path}: reshape_activations {reshape!r} is not supported; supported are none and hook_z.")
    return reshape


def _factor(config: _Config, scale: float | None, path: Path) -> float:
    """What activations are multiplied by before encoding, to be folded into the weights."""
    if config.normalise == "expected_average_only_in":
        if scale is None:
            raise UserError(
                f"{path}: normalize_activations is 'expected_average_only_in', whose factor is in no file of this format; "
                "give it as `scale`: √d over the mean norm of the activations that the dictionary was trained on."
            )
        return scale
    if scale is not None:
        raise UserError(
            f"`scale` is for normalize_activations 'expected_average_only_in', but {path} has {config.normalise!r}; drop it."
        )
    return 1.0


def _threshold(weights: Weights, m: int) -> Tensor:
    if "log_threshold" in weights and "threshold" not in weights:
        return weights.take("log_threshold", m).exp()
    return weights.take("threshold", m)


def _finetuned(weights: Weights, m: int) -> None:
    """A legacy tensor: without effect where it is 1 everywhere."""
    if "scaling_factor" in weights:
        factor = weights.take("scaling_factor", m)
        if not torch.allclose(factor, torch.ones_like(factor)):
            raise UserError(
                f"{weights.path}: scaling_factor is not 1 everywhere; a finetuned scale is not supported: "
                "multiply the rows of W_dec by it, and drop it."
            )


def _dead(folder: Path, m: int) -> Tensor | None:
    path = folder / SPARSITY
    if not path.is_file():
        return None
    return Weights(path, read_safetensors(path)).take("sparsity", m) < NEVER


def _provenance(folder: Path, config: _Config, d: int, factor: float) -> dict[str, Any]:
    names = [name for name in (CONFIG, WEIGHTS, SPARSITY) if (folder / name).is_file()]
    about = config.metadata
    facts = facts_of(
        "saelens",
        folder,
        names,
        d,
        model_name=about.get("model_name"),
        hook_name=about.get("hook_name"),
        context_size=about.get("context_size"),
        prepend_bos=about.get("prepend_bos"),
    )
    kept = {key: value for key, value in about.items() if key not in ("dartboard", "reshape_activations")}
    extra = {"scale": factor} if factor != 1 else {}
    return {**facts, **extra, "architecture": config.architecture, "metadata": kept, **_shape(about)}


def _shape(about: dict[str, Any]) -> dict[str, Any]:
    return {"reshape_activations": "hook_z"} if about.get("reshape_activations") == "hook_z" else {}
