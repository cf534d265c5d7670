"""Time sae-dashboard on one batch of features: `python sae_dashboard_batch.py INPUTS OUT PRECISION THREADS FEATURES`.

Run by `python -m pipeline.bench.others`, in an environment of its own. It prints one JSON object. The runner makes a batch of
features from all prompts, and then the next: forward pass and encoding are done again for each batch, so that a dictionary
takes m / FEATURES times as long as one batch. Neither loading nor saving is counted; the
latter is told apart, for a few features.
"""

# mypy: disable-error-code="import-not-found"

import itertools
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_dashboard.sae_vis_data import SaeVisConfig, SaeVisData
from sae_dashboard.sae_vis_runner import SaeVisRunner
from sae_lens import HookedSAETransformer, TopKSAE, TopKSAEConfig
from safetensors.torch import load_file
from transformer_lens import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights, convert_llama_weights
from transformers import AutoModelForCausalLM

SAVED = 16  # features whose JSON is written, for its size


def main(inputs: Path, out: Path, precision: str, threads: int, count: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("medium")  # as dartboard does: never slower
    shape = json.loads((inputs / "shape.json").read_text("utf-8"))
    dtype = getattr(torch, precision)
    model = _model(inputs / "model", shape, dtype)
    dictionary = _dictionary(inputs / "dictionary.safetensors", shape, precision)
    tokens = torch.from_numpy(np.load(inputs / "tokens.npy"))
    config = SaeVisConfig(
        hook_point=f"blocks.{shape['depth'] - 1}.hook_resid_post",
        features=range(count),
        minibatch_size_features=count,
        dtype=precision,
    )
    begun = time.perf_counter()
    data = SaeVisRunner(config).run(encoder=dictionary, model=model, tokens=tokens)
    made = time.perf_counter()
    few = dict(itertools.islice(data.feature_data_dict.items(), SAVED))
    SaeVisData(config, few).save_json(out / "sae-dashboard.json")
    saved = time.perf_counter()
    size = (out / "sae-dashboard.json").stat().st_size
    return {
        "versions": {name: version(name) for name in ("sae-dashboard", "sae-lens", "transformer-lens", "torch")},
        "seconds": made - begun,
        "seconds saving a feature": (saved - made) / SAVED,
        "features": count,
        "tokens": tokens.numel(),
        "bytes a feature": size / SAVED,
        "extrapolated seconds": (made - begun) * shape["m"] / count,
    }


def _model(folder: Path, shape: dict[str, Any], dtype: torch.dtype) -> HookedSAETransformer:
    """The Hugging Face model's weights in a HookedTransformer of the same shape."""
    source = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=dtype)
    own = source.config
    common = {
        "n_layers": shape["layers"],
        "d_model": shape["d"],
        "n_heads": shape["heads"],
        "d_head": shape["d"] // shape["heads"],
        "d_vocab": own.vocab_size,
        "n_ctx": 1024,
        "dtype": dtype,
    }
    if shape["name"] == "g":
        config = HookedTransformerConfig(
            **common, d_mlp=4 * shape["d"], act_fn="gelu_new", normalization_type="LN", eps=own.layer_norm_epsilon
        )
        weights = convert_gpt2_weights(source, config)
    else:
        config = HookedTransformerConfig(
            **common,
            d_mlp=own.intermediate_size,
            act_fn="silu",
            gated_mlp=True,
            normalization_type="RMS",
            final_rms=True,
            eps=own.rms_norm_eps,
            positional_embedding_type="rotary",
            rotary_dim=shape["d"] // shape["heads"],
            rotary_adjacent_pairs=False,
            n_key_value_heads=shape["heads"],
        )
        weights = convert_llama_weights(source, config)
    model = HookedSAETransformer(config)
    model.load_state_dict(weights, strict=False)
    return model.eval()


def _dictionary(path: Path, shape: dict[str, Any], precision: str) -> TopKSAE:
    sae = TopKSAE(
        TopKSAEConfig(
            d_in=shape["d"], d_sae=shape["m"], k=shape["k"], dtype=precision, rescale_acts_by_decoder_norm=True
        )
    )
    encoder = load_file(path)["encoder"].to(getattr(torch, precision))
    sae.W_enc.data, sae.W_dec.data = encoder.T.contiguous(), encoder
    return sae.eval()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    found = main(Path(arguments[0]), Path(arguments[1]), arguments[2], int(arguments[3]), int(arguments[4]))
    sys.stdout.write("\n" + json.dumps(found) + "\n")
