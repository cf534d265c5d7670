"""eai-sparsify itself against `pipeline.formats`: what each writes, the other reads, and both say the same of it."""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from sparsify import SparseCoder, SparseCoderConfig
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.formats import read, write_sparsify
from tests.interop.table import TOKENS, D, K, M, Table, X, dense, random, reconstruction, write

VARIANTS: dict[str, dict[str, Any]] = {
    "topk": {},
    "topk, num_latents": {"num_latents": M},
    "topk, decoder not normalised": {"normalize_decoder": False},
    "groupmax": {"activation": "groupmax"},
    "topk, transcoder": {"transcode": True},
    "topk, transcoder with skip connection": {"transcode": True, "skip_connection": True},
    "groupmax, transcoder": {"activation": "groupmax", "transcode": True},
}


def theirs(coder: SparseCoder) -> tuple[Tensor, Tensor]:
    """Activations and reconstructions, the latter without a skip connection."""
    values, indices, _ = coder.encode(X)
    return torch.zeros(TOKENS, M).scatter_(1, indices, values), coder.decode(values, indices)


def ours(dictionary: Dictionary) -> tuple[Tensor, Tensor]:
    return dense(dictionary), reconstruction(dictionary)


def they_write(folder: Path) -> None:
    table = Table("written by sparsify, read by dartboard")
    for number, (name, options) in enumerate(VARIANTS.items()):
        config = SparseCoderConfig(**{"expansion_factor": M // D, "k": K, **options})
        coder = SparseCoder(D, config)
        for seed, (_, tensor) in enumerate(sorted(coder.named_parameters())):
            tensor.data = random(*tensor.shape, seed=seed, scale=D**-0.5 if tensor.ndim == 2 else 0.3)
        coder.save_to_disk(folder / f"theirs-{number}")
        table.compare(name, ours(read(folder / f"theirs-{number}")), theirs(coder))
    table.close()


def we_write(folder: Path) -> None:
    table = Table("written by dartboard, read by sparsify")
    for rule in ("topk", "groupmax"):
        for centred in (True, False):
            one = Dictionary(
                kind="random-sign",
                rule=rule,  # type: ignore[arg-type]
                encoder=random(M, D, seed=1, scale=D**-0.5),
                b_enc=random(M, seed=2, scale=0.3),
                decoder=random(M, D, seed=3, scale=0.2),
                b_dec=random(D, seed=4, scale=0.3),
                k=K,
                centred=centred,
                provenance={"seed": 7},
            )
            path = folder / f"ours-{rule}-{centred}"
            write_sparsify(one, path)
            coder = SparseCoder.load_from_disk(path)
            table.compare(f"{rule}{'' if centred else ', raw'}", ours(one), theirs(coder))
    table.close()


def main() -> None:
    write(f"eai-sparsify {version('eai-sparsify')}, torch {torch.__version__}: d = {D}, m = {M}, {TOKENS} tokens\n\n")
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        they_write(Path(folder))
        we_write(Path(folder))


main()
