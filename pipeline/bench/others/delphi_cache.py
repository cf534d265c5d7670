"""Time delphi's cache of activations: `python delphi_cache.py INPUTS OUT PRECISION THREADS`.

Run by `python -m pipeline.bench.others`, in an environment of its own. It prints one JSON object. The cache is made with the
library's own classes and default sizes: the model without its head runs to its end, the dictionary's codes are made dense,
their non-zero entries kept in memory, and written in splits. Loading is not counted.
"""

# mypy: disable-error-code="import-not-found"

import json
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from delphi.latents.cache import LatentCache
from delphi.sparse_coders.load_sparsify import sae_dense_latents
from safetensors.torch import load_file
from sparsify import SparseCoder, SparseCoderConfig
from transformers import AutoModel

BATCH = 32  # prompts: delphi's default
SPLITS = 5  # files: delphi's default


def main(inputs: Path, out: Path, precision: str, threads: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("medium")  # as dartboard does: never slower
    shape = json.loads((inputs / "shape.json").read_text("utf-8"))
    dtype = getattr(torch, precision)
    model = AutoModel.from_pretrained(inputs / "model", dtype=dtype).eval()
    coder = SparseCoder(shape["d"], SparseCoderConfig(num_latents=shape["m"], k=shape["k"]), dtype=dtype)
    coder.encoder.weight.data = load_file(inputs / "dictionary.safetensors")["encoder"].to(dtype)
    tokens = torch.from_numpy(np.load(inputs / "tokens.npy"))
    hook = f"{'h' if shape['name'] == 'g' else 'layers'}.{shape['depth'] - 1}"
    cache = LatentCache(model, {hook: partial(sae_dense_latents, sae=coder)}, batch_size=BATCH)
    folder = out / "delphi"
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    cache.run(tokens.numel(), tokens)
    cached = time.perf_counter()
    cache.save_splits(SPLITS, folder)
    saved = time.perf_counter()
    done = len(tokens) // BATCH * BATCH * shape["length"]
    return {
        "versions": {name: version(name) for name in ("eai-delphi", "eai-sparsify", "transformers", "torch")},
        "seconds": saved - begun,
        "seconds caching": cached - begun,
        "seconds saving": saved - cached,
        "features": shape["m"],
        "tokens": done,
        "microseconds a token": (saved - begun) / done * 1e6,
        "bytes a token": sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / done,
        "extrapolated seconds": saved - begun,
    }


if __name__ == "__main__":
    arguments = sys.argv[1:]
    found = main(Path(arguments[0]), Path(arguments[1]), arguments[2], int(arguments[3]))
    sys.stdout.write("\n" + json.dumps(found) + "\n")
