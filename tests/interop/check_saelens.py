"""sae-lens itself against `pipeline.formats`: what each writes, the other reads, and both say the same of it."""

import json
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sae_lens
import torch
from sae_lens import SAE
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.formats import read, write_saelens
from tests.interop.table import TOKENS, D, K, M, Table, X, dense, random, reconstruction, write

SCALE = 0.7
NORMALISATIONS = ("none", "constant_norm_rescale", "layer_norm", "expected_average_only_in")


def fill(parameters: Iterator[tuple[str, Tensor]]) -> None:
    """Random weights, at scales at which activations are of order 1 and any threshold cuts some of them."""
    for seed, (name, tensor) in enumerate(sorted(parameters)):
        scale = D**-0.5 if tensor.ndim == 2 else 0.3
        tensor.data = random(*tensor.shape, seed=seed, scale=scale) + (0.5 if name == "threshold" else 0)


def variants() -> Iterator[tuple[str, dict[str, Any]]]:
    for architecture in ("standard", "topk", "jumprelu", "gated"):
        for normalise in NORMALISATIONS:
            for centred in (True, False):
                config = {"normalize_activations": normalise, "apply_b_dec_to_input": centred}
                name = f"{architecture}, {normalise}{'' if centred else ', b_dec not subtracted'}"
                if architecture != "topk":
                    yield name, {"architecture": architecture, **config}
                    continue
                for rescale in (False, True):
                    more = {"k": K, "rescale_acts_by_decoder_norm": rescale}
                    yield f"{name}{', by norm' if rescale else ''}", {"architecture": architecture, **config, **more}
    for architecture in ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"):
        yield architecture, {"architecture": architecture, "apply_b_dec_to_input": False, "d_out": D}


def theirs(sae: Any) -> tuple[Tensor, Tensor]:
    """Activations and reconstructions; of a transcoder, without its skip connection."""
    codes = sae.encode(X)
    return codes, sae.decode(codes)


def ours(dictionary: Dictionary) -> tuple[Tensor, Tensor]:
    return dense(dictionary), reconstruction(dictionary)


def they_write(folder: Path) -> None:
    table = Table("written by sae-lens, read by dartboard")
    for number, (name, config) in enumerate(variants()):
        sae_class, config_class = sae_lens.registry.get_sae_class(config["architecture"])
        rest = {key: value for key, value in config.items() if key != "architecture"}
        sae = sae_class(config_class(d_in=D, d_sae=M, **rest))
        fill(sae.named_parameters())
        path = folder / f"theirs-{number}"
        sae.save_model(path)
        scaled = config.get("normalize_activations") == "expected_average_only_in"
        if scaled:
            sae.fold_activation_norm_scaling_factor(SCALE)
        table.compare(name, ours(read(path, scale=SCALE if scaled else None)), theirs(sae))

    trained = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=D, d_sae=M, k=K))
    fill(trained.named_parameters())
    trained.topk_threshold.fill_(1.1)
    trained.save_inference_model(folder / "batch")
    table.compare(
        "batchtopk, saved for inference", ours(read(folder / "batch")), theirs(SAE.load_from_disk(folder / "batch"))
    )
    table.close()


def before_6(folder: Path) -> None:
    """Configurations of earlier versions, which sae-lens still reads, over weights that it wrote."""
    table = Table("with a configuration from before version 6, read by both")
    for number, (name, config) in enumerate(
        {
            "relu": {"activation_fn_str": "relu"},
            "relu, layer_norm": {"activation_fn_str": "relu", "normalize_activations": "layer_norm"},
            "relu, no normalisation by a boolean": {"activation_fn_str": "relu", "normalize_activations": False},
            "relu, b_dec not subtracted": {"activation_fn_str": "relu", "apply_b_dec_to_input": False},
            "topk": {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}},
            "topk, constant_norm_rescale": {
                "activation_fn_str": "topk",
                "activation_fn_kwargs": {"k": K},
                "normalize_activations": "constant_norm_rescale",
            },
            "jumprelu": {"architecture": "jumprelu"},
            "gated": {"architecture": "gated"},
        }.items()
    ):
        path = folder / f"flat-{number}"
        sae_class, config_class = sae_lens.registry.get_sae_class(config.get("architecture", "standard"))
        sae = sae_class(config_class(d_in=D, d_sae=M))
        fill(sae.named_parameters())
        sae.save_model(path)
        flat = {"hook_point": "blocks.4.hook_resid_post", "model_name": "gpt2-small", "d_in": D, "d_sae": M}
        (path / "cfg.json").write_text(json.dumps({**flat, "dtype": "float32", "device": "cpu", **config}), "utf-8")
        table.compare(name, ours(read(path)), theirs(SAE.load_from_disk(path)))
    table.close()


def we_write(folder: Path) -> None:
    table = Table("written by dartboard, read by sae-lens")
    parts = [random(M, D, seed=1, scale=D**-0.5), random(M, seed=2, scale=0.3), random(M, D, seed=3), random(D, seed=4)]
    threshold = random(M, seed=5, scale=0.3) + 0.5
    rules: dict[str, dict[str, Any]] = {
        "topk": {"rule": "topk", "k": K},
        "relu": {"rule": "relu"},
        "jumprelu": {"rule": "jumprelu", "threshold": threshold},
        "batch-topk": {"rule": "batch-topk", "k": K, "threshold": torch.tensor(1.1)},
        "gated": {"rule": "gated", "b_gate": -threshold, "r_mag": random(M, seed=6, scale=0.3)},
    }
    number = 0
    for rule, options in rules.items():
        for normalisation in ("none", "constant-norm", "layer-norm"):
            for centred in (True, False):
                number += 1
                path = folder / f"ours-{number}"
                one = Dictionary(
                    kind="random-sign",
                    encoder=parts[0],
                    b_enc=parts[1],
                    decoder=parts[2] * 0.2,
                    b_dec=parts[3] * 0.3,
                    centred=centred,
                    normalisation=normalisation,  # type: ignore[arg-type]
                    provenance={"seed": 7},
                    **options,
                )
                write_saelens(one, path)
                sae = SAE.load_from_disk(path)
                table.compare(f"{rule}, {normalisation}{'' if centred else ', raw'}", ours(one), theirs(sae))
                sae.save_model(folder / f"again-{number}")
                again = read(folder / f"again-{number}")
                config = json.loads((folder / f"again-{number}" / "cfg.json").read_text("utf-8"))
                own = config["metadata"]["dartboard"]
                kept = (again.kind, again.rule, again.k, again.provenance["seed"], own["centring"])
                if again.hash() != read(path).hash() or kept != (
                    *("random-sign", one.rule, one.k, 7),
                    "centred" if centred else "raw",
                ):
                    raise SystemExit(f"{rule}: {kept} is what is left of it after sae-lens has saved it again")
    rounded = folder / "rounded"
    write_saelens(Dictionary("topk-sae", "topk", parts[0], parts[1], parts[2], parts[3], k=K), rounded, "bfloat16")
    table.compare("topk, matrices in bfloat16", ours(read(rounded)), theirs(SAE.load_from_disk(rounded)))
    table.close()
    write("  saved again by sae-lens, each is the same to the bit, with its kind, seed and centring\n\n")


def main() -> None:
    write(f"sae-lens {version('sae-lens')}, torch {torch.__version__}: d = {D}, m = {M}, {TOKENS} tokens\n\n")
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        they_write(Path(folder))
        before_6(Path(folder))
        we_write(Path(folder))


if __name__ == "__main__":
    main()
