"""Files of every dictionary format, made from random numbers, each with its rule written out in plain numpy.

Nothing here knows how the readers work: the arrays go into a file as the format has them, and the rule is computed from
the same arrays in float64, densely.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

Array = NDArray[np.float64]
D, M, K = 8, 24, 5


@dataclass
class Case:
    """A dictionary on disk: `write(folder)` gives what to read; `encode(x)` is dense; `decode(codes, x)` reconstructs."""

    write: Callable[[Path], Path]
    encode: Callable[[Array], Array]
    decode: Callable[[Array, Array], Array] | None
    options: dict[str, Any] = field(default_factory=dict)
    rule: str = "relu"


def relu(pre: Array) -> Array:
    return np.maximum(pre, 0)


def top(pre: Array, k: int, key: Array | None = None) -> Array:
    """All but the k largest of each row (by `key`) set to 0."""
    chosen = np.argsort(-(pre if key is None else key), axis=1, kind="stable")[:, :k]
    kept = np.zeros_like(pre)
    np.put_along_axis(kept, chosen, np.take_along_axis(pre, chosen, 1), 1)
    return kept


def jump(pre: Array, threshold: Array | float) -> Array:
    return relu(pre) * (pre > threshold)


def layer_norm(x: Array) -> tuple[Array, Array, Array]:
    mean = x.mean(1, keepdims=True)
    deviation = x.std(1, ddof=1, keepdims=True)
    return (x - mean) / (deviation + 1e-5), mean, deviation


class Numbers:
    """Random arrays, float32, and the same in float64 for the rules."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def __call__(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> NDArray[np.float32]:
        return np.asarray(self.generator.standard_normal(shape) * scale + shift, np.float32)


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def tensors_of(arrays: dict[str, NDArray[np.float32]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


# --- sae-lens


def saelens_arrays(architecture: str, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    r = Numbers(seed)
    arrays = {"W_enc": r(D, M), "W_dec": r(M, D), "b_dec": r(D)}
    if architecture == "gated":
        return {**arrays, "b_gate": r(M), "b_mag": r(M), "r_mag": r(M, scale=0.3)}
    arrays["b_enc"] = r(M)
    if architecture.startswith("jumprelu"):
        arrays["threshold"] = r(M, shift=0.8)
    if "skip" in architecture:
        arrays["W_skip"] = r(D, D)
    return arrays


def saelens(
    architecture: str,
    normalize: str = "none",
    centred: bool = True,
    rescale: bool = False,
    scale: float | None = None,
    **config: Any,
) -> Case:
    arrays = saelens_arrays(architecture)
    transcoder = architecture.endswith("transcoder")
    centred = centred and not transcoder
    full = {
        "architecture": architecture,
        "d_in": D,
        "d_sae": M,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": centred,
        "normalize_activations": normalize,
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.20.1",
            "model_name": "gpt2-small",
            "hook_name": "blocks.3.hook_resid_pre",
            "prepend_bos": True,
            "context_size": 128,
        },
        **config,
    }
    if architecture == "topk":
        full |= {"k": K, "rescale_acts_by_decoder_norm": rescale}

    def write(folder: Path) -> Path:
        write_json(folder / "cfg.json", full)
        save_file(arrays, folder / "sae_weights.safetensors")
        return folder

    encode, decode = saelens_rule(architecture, arrays, normalize, centred, rescale, scale)
    rule = {"standard": "relu", "transcoder": "relu", "skip_transcoder": "relu"}.get(architecture)
    rule = rule or architecture.removesuffix("_transcoder").removesuffix("_skip")
    options = {} if scale is None else {"scale": scale}
    return Case(write, encode, None if transcoder else decode, options, rule)


def saelens_rule(
    architecture: str,
    arrays: dict[str, NDArray[np.float32]],
    normalize: str,
    centred: bool,
    rescale: bool,
    scale: float | None,
) -> tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]:
    a = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    norms = np.sqrt((a["W_dec"] ** 2).sum(1)) / (scale or 1)

    def into(x: Array) -> Array:
        if normalize == "constant_norm_rescale":
            return np.sqrt(D) * x / np.sqrt((x**2).sum(1, keepdims=True))
        if normalize == "layer_norm":
            return layer_norm(x)[0]
        return x * (scale or 1)

    def back(made: Array, x: Array) -> Array:
        if normalize == "constant_norm_rescale":
            return made * np.sqrt((x**2).sum(1, keepdims=True)) / np.sqrt(D)
        if normalize == "layer_norm":
            _, mean, deviation = layer_norm(x)
            return made * deviation + mean
        return made / (scale or 1)

    def encode(x: Array) -> Array:
        x = into(x) - (a["b_dec"] if centred else 0)
        if architecture == "gated":
            gate = x @ a["W_enc"] + a["b_gate"] > 0
            return gate * relu(x @ (a["W_enc"] * np.exp(a["r_mag"])) + a["b_mag"])
        pre = x @ a["W_enc"] + a["b_enc"]
        if architecture == "topk":
            return relu(top(pre * norms, K) if rescale else top(pre, K))
        return jump(pre, a["threshold"]) if "threshold" in a else relu(pre)

    def decode(codes: Array, x: Array) -> Array:
        return back((codes / norms if rescale else codes) @ a["W_dec"] + a["b_dec"], x)

    return encode, decode


def saelens_before_6(activation: str = "relu", k: int | None = None, **config: Any) -> Case:
    """One flat object, with the old names."""
    modern = saelens("topk" if activation == "topk" else "standard")
    flat = {
        "hook_point": "blocks.4.hook_resid_post",
        "model_name": "gpt2-small",
        "d_in": D,
        "d_sae": M,
        "dtype": "torch.float32",
        "activation_fn_str": activation,
        "activation_fn_kwargs": {} if k is None else {"k": k},
        "context_size": 64,
        **config,
    }

    def write(folder: Path) -> Path:
        modern.write(folder)
        write_json(folder / "cfg.json", flat)
        return folder

    return Case(write, modern.encode, modern.decode, {}, modern.rule)


# --- sparsify


def sparsify(activation: str = "topk", k: int = K, transcode: bool = False, skip: bool = False, **config: Any) -> Case:
    r = Numbers(1)
    arrays = {"encoder.weight": r(M, D), "encoder.bias": r(M), "W_dec": r(M, D), "b_dec": r(D)}
    if skip:
        arrays["W_skip"] = r(D, D)
    a = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    full = {
        "activation": activation,
        "expansion_factor": M // D,
        "normalize_decoder": True,
        "num_latents": 0,
        "k": k,
        "multi_topk": False,
        "skip_connection": skip,
        "transcode": transcode,
        "d_in": D,
        **config,
    }

    def write(folder: Path) -> Path:
        write_json(folder / "cfg.json", full)
        save_file(arrays, folder / "sae.safetensors")
        return folder

    def encode(x: Array) -> Array:
        pre = relu((x - (0 if transcode else a["b_dec"])) @ a["encoder.weight"].T + a["encoder.bias"])
        if activation == "topk":
            return top(pre, k)
        kept = np.zeros_like(pre)
        for row, values in enumerate(pre):
            for first in range(0, M, M // k):
                best = first + int(np.argmax(values[first : first + M // k]))
                kept[row, best] = values[best]
        return kept

    decode = None if transcode or skip else lambda codes, x: codes @ a["W_dec"] + a["b_dec"]
    return Case(write, encode, decode, {}, activation)


# --- dictionary_learning


def dictionary_learning(name: str, config: bool = True, unit: bool = False, threshold: float = 0.7) -> Case:
    r = Numbers(2)
    linear = {"encoder.weight": r(M, D), "encoder.bias": r(M), "decoder.weight": r(D, M)}
    if unit:
        linear["decoder.weight"] /= np.sqrt((linear["decoder.weight"] ** 2).sum(0))
    plain = {"W_enc": r(D, M), "b_enc": r(M), "W_dec": r(M, D), "b_dec": r(D)}
    extra: dict[str, Any] = {}
    if name == "AutoEncoder":
        arrays = {**linear, "bias": r(D)}
    elif name == "AutoEncoderNew":
        arrays = {**linear, "decoder.bias": r(D)}
    elif name == "GatedAutoEncoder":
        del linear["encoder.bias"]
        arrays = {**linear, "decoder_bias": r(D), "r_mag": r(M, scale=0.3), "gate_bias": r(M), "mag_bias": r(M)}
    elif name == "JumpReluAutoEncoder":
        arrays = {**plain, "threshold": r(M, shift=0.8)}
    else:
        arrays = {**(plain if name.startswith("Matryoshka") else {**linear, "b_dec": r(D)})}
        extra = {"k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(threshold)}
        if name.startswith("Matryoshka"):
            extra["group_sizes"] = torch.tensor([M // 2, M - M // 2])
    a = {key: np.asarray(array, np.float64) for key, array in arrays.items()}
    trainer = {
        "dict_class": name,
        "activation_dim": D,
        "dict_size": M,
        "layer": 3,
        "lm_name": "EleutherAI/pythia-70m-deduped",
        "submodule_name": "resid_post_layer_3",
        **({"k": K} if "k" in extra else {}),
    }

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({**tensors_of(arrays), **extra}, folder / "ae.pt")
        if config:
            write_json(folder / "config.json", {"trainer": trainer, "buffer": {"ctx_len": 128}})
        return folder

    def encode(x: Array) -> Array:
        if name == "GatedAutoEncoder":
            pre = (x - a["decoder_bias"]) @ a["encoder.weight"].T
            return (pre + a["gate_bias"] > 0) * relu(np.exp(a["r_mag"]) * pre + a["mag_bias"])
        if name == "JumpReluAutoEncoder":
            return jump(x @ a["W_enc"] + a["b_enc"], a["threshold"])
        if name.startswith("Matryoshka"):
            return jump((x - a["b_dec"]) @ a["W_enc"] + a["b_enc"], threshold)
        shift = {"AutoEncoder": "bias", "AutoEncoderTopK": "b_dec", "BatchTopKSAE": "b_dec"}.get(name)
        found = relu((x - (a[shift] if shift else 0)) @ a["encoder.weight"].T + a["encoder.bias"])
        if name == "AutoEncoder":
            return found * np.sqrt((a["decoder.weight"] ** 2).sum(0))
        if name == "AutoEncoderTopK":
            return top(found, K)
        return found * (found > threshold) if name == "BatchTopKSAE" else found

    def decode(codes: Array, x: Array) -> Array:
        if "W_dec" in a:
            return codes @ a["W_dec"] + a["b_dec"]
        rows = a["decoder.weight"].T
        if name == "AutoEncoder":
            rows = rows / np.sqrt((rows**2).sum(1, keepdims=True))
        bias = {"AutoEncoder": "bias", "AutoEncoderNew": "decoder.bias", "GatedAutoEncoder": "decoder_bias"}
        return codes @ rows + a[bias.get(name, "b_dec")]

    rules = {"AutoEncoder": "relu", "AutoEncoderNew": "relu", "GatedAutoEncoder": "gated", "AutoEncoderTopK": "topk"}
    return Case(write, encode, decode, {}, rules.get(name, "jumprelu" if name.startswith("Jump") else "batch-topk"))


# --- OpenAI


def openai(activation: str, postact: str = "ReLU") -> Case:
    r = Numbers(3)
    arrays = {"pre_bias": r(D), "latent_bias": r(M), "encoder.weight": r(M, D), "decoder.weight": r(D, M)}
    a = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    normalised = activation == "TopK"

    def write(folder: Path) -> Path:
        state: dict[str, Any] = {**tensors_of(arrays), "stats_last_nonzero": torch.zeros(M, dtype=torch.long)}
        state["activation"] = activation
        if activation == "TopK":
            state["activation_state_dict"] = {"k": K, "postact_fn": postact}
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / "layer_3.pt")
        return folder / "layer_3.pt"

    def encode(x: Array) -> Array:
        x = layer_norm(x)[0] if normalised else x
        pre = (x - a["pre_bias"]) @ a["encoder.weight"].T + a["latent_bias"]
        if activation == "Identity":
            return pre
        if activation == "ReLU":
            return relu(pre)
        return relu(top(pre, K)) if postact == "ReLU" else top(pre, K)

    def decode(codes: Array, x: Array) -> Array:
        made = codes @ a["decoder.weight"].T + a["pre_bias"]
        if not normalised:
            return made
        _, mean, deviation = layer_norm(x)
        return made * deviation + mean

    return Case(write, encode, decode, {}, "relu" if activation == "ReLU" else "topk")


# --- Gemma Scope


def gemma_scope(version: int = 1, config: dict[str, Any] | None = None, skip: bool = False) -> Case:
    r = Numbers(4)
    arrays = {"W_enc": r(D, M), "W_dec": r(M, D), "b_enc": r(M), "b_dec": r(D), "threshold": r(M, shift=0.8)}
    a = {name: np.asarray(array, np.float64) for name, array in arrays.items()}

    def write(folder: Path) -> Path:
        if version == 1:
            folder = folder / "gemma-scope-2b-pt-res" / "layer_12" / "width_16k" / "average_l0_22"
            folder.mkdir(parents=True)
            np.savez(folder / "params.npz", **arrays)
            return folder
        folder = folder / "resid_post" / "layer_7_width_16k_l0_medium"
        about = {
            "architecture": "jump_relu",
            "model_name": "gemma-3-1b-pt",
            "hf_hook_point_in": "model.layers.7.output",
        }
        write_json(folder / "config.json", {**about, **(config or {})})
        lower = {name.lower(): array for name, array in arrays.items()}
        save_file({**lower, **({"affine_skip_connection": r(D, D)} if skip else {})}, folder / "params.safetensors")
        return folder

    decode = None if skip or config else lambda codes, x: codes @ a["W_dec"] + a["b_dec"]
    return Case(write, lambda x: jump(x @ a["W_enc"] + a["b_enc"], a["threshold"]), decode, {}, "jumprelu")


CASES: dict[str, Case] = {
    "saelens standard": saelens("standard"),
    "saelens standard raw": saelens("standard", centred=False),
    "saelens topk": saelens("topk"),
    "saelens topk by decoder norm": saelens("topk", rescale=True),
    "saelens jumprelu": saelens("jumprelu"),
    "saelens gated": saelens("gated"),
    "saelens gated layer norm": saelens("gated", "layer_norm"),
    "saelens transcoder": saelens("transcoder"),
    "saelens skip transcoder": saelens("skip_transcoder"),
    "saelens jumprelu transcoder": saelens("jumprelu_transcoder"),
    "saelens jumprelu skip transcoder": saelens("jumprelu_skip_transcoder"),
    "saelens constant norm": saelens("standard", "constant_norm_rescale"),
    "saelens layer norm": saelens("topk", "layer_norm"),
    "saelens layer norm by decoder norm": saelens("topk", "layer_norm", rescale=True),
    "saelens scale": saelens("standard", "expected_average_only_in", scale=0.37),
    "saelens scale gated": saelens("gated", "expected_average_only_in", scale=2.5),
    "saelens scale raw jumprelu": saelens("jumprelu", "expected_average_only_in", centred=False, scale=0.37),
    "saelens scale by decoder norm": saelens("topk", "expected_average_only_in", rescale=True, scale=0.37),
    "saelens 5": saelens_before_6(),
    "saelens 5 topk": saelens_before_6("topk", K),
    "saelens 5 named topk": saelens_before_6("topk", K, architecture="topk", sae_lens_version="5.11.0"),
    "sparsify": sparsify(),
    "sparsify groupmax": sparsify("groupmax", k=6),
    "sparsify num_latents": sparsify(num_latents=M, expansion_factor=32),
    "sparsify transcoder": sparsify(transcode=True),
    "sparsify skip transcoder": sparsify(transcode=True, skip=True),
    "sparsify skip": sparsify(skip=True),
    "dictionary_learning AutoEncoder unit": dictionary_learning("AutoEncoder", unit=True),
    **{
        f"dictionary_learning {name}": dictionary_learning(name)
        for name in (
            *("AutoEncoder", "AutoEncoderNew", "GatedAutoEncoder", "AutoEncoderTopK", "BatchTopKSAE"),
            *("MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder"),
        )
    },
    "dictionary_learning BatchTopKSAE threshold never set": dictionary_learning("BatchTopKSAE", threshold=-1),
    **{
        f"dictionary_learning {name} without config": dictionary_learning(name, config=False)
        for name in (
            "AutoEncoder",
            "AutoEncoderNew",
            "GatedAutoEncoder",
            "MatryoshkaBatchTopKSAE",
            "JumpReluAutoEncoder",
        )
    },
    "openai ReLU": openai("ReLU"),
    "openai TopK": openai("TopK"),
    "openai TopK signed": openai("TopK", "Identity"),
    "openai Identity": openai("Identity"),
    "gemma scope": gemma_scope(),
    "gemma scope 2": gemma_scope(2),
    "gemma scope 2 transcoder": gemma_scope(
        2, {"hf_hook_point_out": "model.layers.7.post_feedforward_layernorm.output"}
    ),
    "gemma scope 2 skip transcoder": gemma_scope(2, skip=True),
}
