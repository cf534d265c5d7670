"""dictionary_learning: ae.pt, a pickled state dict, beside config.json, which names the class that it is of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from app.errors import UserError
from pipeline.dictionaries import Dictionary
from pipeline.formats.facts import facts_of
from pipeline.formats.sources import read_json, section
from pipeline.formats.weights import Weights, listed, same_size, whole_number

CONFIG, WEIGHTS = "config.json", "ae.pt"
INTERRUPTED = {"step", "ae", "optimizer"}


@dataclass(frozen=True, slots=True)
class _Class:
    """One of the library's classes: the tensor that only it has (none: the configuration must say), and its reader."""

    tell_tale: str | None
    read: Callable[[Weights, dict[str, Any]], dict[str, Any]]


def read_dictionary_learning(file: Path, values: dict[str, Any]) -> Dictionary:
    """`file` is ae.pt, or another name for it; `values` are what it holds. Raises UserError where no rule covers what is there."""
    if values.keys() >= INTERRUPTED:
        raise UserError(
            f"{file} is a checkpoint of an interrupted run (step {values['step']}), whose biases are not in the scale of the "
            "activations yet; let the run finish, and use what it saves at the end."
        )
    path = file.parent / CONFIG
    config = read_json(path) if path.is_file() else {}
    trainer = section(config, "trainer", path)
    weights = Weights(file, values)
    found = trainer.get("dict_class") or _told(weights)
    if found not in CLASSES:
        raise UserError(f"{path}: dict_class {found!r} is not supported; supported are {', '.join(CLASSES)}.")
    made = CLASSES[found].read(weights, trainer)
    weights.finish()
    same_size(path, "activation_dim", trainer.get("activation_dim"), weights.d)
    same_size(path, "dict_size", trainer.get("dict_size"), weights.m)
    names = [file.name, CONFIG] if path.is_file() else [file.name]
    submodule = trainer.get("submodule_name")
    facts = facts_of(
        "dictionary-learning",
        file.parent,
        names,
        weights.d,
        model_name=trainer.get("lm_name"),
        hook_name=submodule,
        layer=trainer.get("layer"),
        context_size=section(config, "buffer", path).get("ctx_len"),
    )
    return Dictionary(kind="file", provenance={**facts, "architecture": found, "seed": trainer.get("seed")}, **made)


def _told(weights: Weights) -> str:
    """The class, by tensors that no other class has."""
    for name, known in CLASSES.items():
        if known.tell_tale is not None and known.tell_tale in weights:
            return name
    if "W_enc" in weights and "threshold" in weights:
        return "JumpReluAutoEncoder"
    raise UserError(
        f"{weights.path} has no {CONFIG} beside it, and its tensors ({listed(weights.names)}) don't tell which class they are "
        "of: AutoEncoderTopK and BatchTopKSAE have the same ones; put the run's config.json there."
    )


def _auto_encoder(weights: Weights, trainer: dict[str, Any]) -> dict[str, Any]:
    """On loading, the library scales decoder rows to length 1, and the encoder the other way."""
    made = _linear(weights)
    norms = made["decoder"].norm(dim=1)
    if not torch.allclose(norms, torch.ones_like(norms)):
        if not bool(norms.all()):
            raise UserError(
                f"{weights.path}: decoder.weight has features of length 0, which can't be scaled to length 1."
            )
        made["decoder"] = made["decoder"] / norms[:, None]
        made["encoder"], made["b_enc"] = made["encoder"] * norms[:, None], made["b_enc"] * norms
    return {**made, "rule": "relu", "b_dec": weights.take("bias", weights.d)}


def _auto_encoder_new(weights: Weights, trainer: dict[str, Any]) -> dict[str, Any]:
    made = _linear(weights)
    return {**made, "rule": "relu", "b_dec": weights.take("decoder.bias", weights.d), "centred": False}


def _gated(weights: Weights, trainer: dict[str, Any]) -> dict[str, Any]:
    encoder = weights.encoder("encoder.weight", features_first=True)
    m, d = encoder.shape
    return {
        "rule": "gated",
        "encoder": encoder,
        "decoder": weights.matrix("decoder.weight", features_first=False),
        "b_enc": weights.take("mag_bias", m),
        "b_gate": weights.take("gate_bias", m),
        "r_mag": weights.take("r_mag", m),
        "b_dec": weights.take("decoder_bias", d),
    }


def _top_k(weights: Weights, trainer: dict[str, Any]) -> dict[str, Any]:
    """Encodes by the k largest of a token; the threshold that newer versions keep beside it is not used."""
    made = {**_linear(weights), "rule": "topk", "b_dec": weights.take("b_dec", weights.d)}
    made["k"] = _k(weights, trainer)
    weights.drop(["threshold"])
    return made


def _batch_top_k(weights: Weights, trainer: dict[str, Any]) -> dict[str, Any]:
    made = {**_linear(weights), "rule": "batch-topk", "b_dec": weights.take("b_dec", weights.d)}
    return {**made, "threshold": weights.take("threshold"), "k": _k(weights, trainer)}


def _matryoshka(weights: Weights, trainer: dict[str, Any]) -> dict[str, Any]:
    made = _plain(weights)
    weights.drop(["group_sizes"])  # nested prefixes of the features: all of them are active outside training
    return {**made, "rule": "batch-topk", "threshold": weights.take("threshold"), "k": _k(weights, trainer)}


def _jump_relu(weights: Weights, trainer: dict[str, Any]) -> dict[str, Any]:
    made = _plain(weights)
    return {**made, "rule": "jumprelu", "threshold": weights.take("threshold", weights.m), "centred": False}


def _linear(weights: Weights) -> dict[str, Any]:
    encoder = weights.encoder("encoder.weight", features_first=True)
    b_enc = weights.take("encoder.bias", weights.m)
    return {"encoder": encoder, "b_enc": b_enc, "decoder": weights.matrix("decoder.weight", features_first=False)}


def _plain(weights: Weights) -> dict[str, Any]:
    return {
        "encoder": weights.encoder("W_enc", features_first=False),
        "b_enc": weights.take("b_enc", weights.m),
        "decoder": weights.matrix("W_dec", features_first=True),
        "b_dec": weights.take("b_dec", weights.d),
    }


def _k(weights: Weights, trainer: dict[str, Any]) -> int:
    own = int(weights.take("k")) if "k" in weights else None
    stated = trainer.get("k")
    if own is not None and stated is not None and own != stated:
        raise UserError(f"{weights.path}: k is {own}, but {CONFIG} says {stated!r}.")
    return whole_number(stated if own is None else own, f"{weights.path}: k", weights.m)


CLASSES = {
    "AutoEncoder": _Class("bias", _auto_encoder),
    "AutoEncoderNew": _Class("decoder.bias", _auto_encoder_new),
    "GatedAutoEncoder": _Class("gate_bias", _gated),
    "AutoEncoderTopK": _Class(None, _top_k),
    "BatchTopKSAE": _Class(None, _batch_top_k),
    "MatryoshkaBatchTopKSAE": _Class("group_sizes", _matryoshka),
    "JumpReluAutoEncoder": _Class(None, _jump_relu),
}
