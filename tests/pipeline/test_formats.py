"""Every format is read as its rule says: held against the rule in plain numpy, on files of every variant."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from pipeline.dictionaries import Dictionary
from pipeline.formats import read
from pipeline.formats.facts import facts_of
from pipeline.hashing import hash_files
from tests.pipeline import format_rules as rules
from tests.pipeline.format_rules import CASES, Array, D, K, M

X = rules.Numbers(9)(64, D, scale=2.0, shift=0.5)
X[::8] *= 1e-4  # so small that the ε of a layer norm shows


def dense(dictionary: Dictionary, x: torch.Tensor) -> Array:
    return np.asarray(dictionary.encode(x).csr(dictionary.m).toarray(), np.float64)


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_read_as_its_rule_says(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    made = read(case.write(tmp_path / "it"), **case.options)
    x = torch.from_numpy(X)
    codes, expected = made.encode(x), case.encode(X.astype(np.float64))
    assert made.rule == case.rule
    assert (expected != 0).sum() > len(X)  # most rules would pass on nothing
    np.testing.assert_allclose(dense(made, x), expected, atol=2e-5)
    assert made.reconstructs is (case.decode is not None)
    if case.decode is not None:
        made_of = made.decode(codes, x).numpy()
        np.testing.assert_allclose(made_of, case.decode(expected, X.astype(np.float64)), atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_saved_by_dartboard_it_is_the_same(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    made = read(case.write(tmp_path / "it"), **case.options)
    made.save(tmp_path / "d.safetensors")
    again = Dictionary.load(tmp_path / "d.safetensors")
    assert again.hash() == made.hash()
    assert again.provenance == made.provenance
    x = torch.from_numpy(X)
    np.testing.assert_array_equal(dense(again, x), dense(made, x))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("saelens topk", "saelens"),
        ("sparsify", "sparsify"),
        ("dictionary_learning BatchTopKSAE", "dictionary-learning"),
        ("openai TopK", "openai"),
        ("gemma scope", "gemma-scope"),
        ("gemma scope 2", "gemma-scope"),
    ],
)
def test_formats_are_told_by_contents_and_can_be_named(name: str, kind: str, tmp_path: Path) -> None:
    path = CASES[name].write(tmp_path / "it")
    assert read(path).provenance["format"] == kind
    assert read(path, kind).hash() == read(path).hash()
    folder = path if path.is_dir() else path.parent
    [weights] = [file for file in folder.iterdir() if file.suffix in (".safetensors", ".pt", ".npz")]
    assert read(weights).hash() == read(folder).hash() == read(path).hash()
    hashes = read(path).provenance["files"]
    assert hashes == {file: hash_files([folder / file]) for file in hashes}
    assert weights.name in hashes


def test_a_renamed_pickle_and_archive_are_told_by_contents(tmp_path: Path) -> None:
    openai = CASES["openai TopK"].write(tmp_path / "a").rename(tmp_path / "ae.pt")
    assert read(openai).provenance["format"] == "openai"
    gemma = (CASES["gemma scope"].write(tmp_path / "b") / "params.npz").rename(tmp_path / "weights.bin")
    assert read(gemma).provenance["format"] == "gemma-scope"


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("saelens topk", {"model_name": "gpt2-small", "hook_name": "blocks.3.hook_resid_pre", "layer": 2}),
        ("saelens topk", {"context_size": 128, "prepend_bos": True, "d": D}),
        ("saelens 5", {"model_name": "gpt2-small", "hook_name": "blocks.4.hook_resid_post", "layer": 4}),
        ("saelens scale", {"scale": 0.37}),
        ("dictionary_learning BatchTopKSAE", {"model_name": "EleutherAI/pythia-70m-deduped", "layer": 3}),
        ("dictionary_learning BatchTopKSAE", {"context_size": 128, "architecture": "BatchTopKSAE"}),
        ("gemma scope", {"model_name": "gemma-2-2b", "hook_name": "blocks.12.hook_resid_post", "layer": 12}),
        ("gemma scope 2", {"model_name": "gemma-3-1b-pt", "hook_name": "model.layers.7.output", "layer": 7}),
        ("openai TopK", {"path": "layer_3.pt", "model_name": None, "layer": None}),
    ],
)
def test_what_a_file_says_of_its_site_is_kept(name: str, facts: dict[str, object], tmp_path: Path) -> None:
    case = CASES[name]
    found = read(case.write(tmp_path / "it"), **case.options).provenance
    assert {key: found[key] for key in facts} == facts


def test_sparsify_names_its_site_by_folders(tmp_path: Path) -> None:
    path = CASES["sparsify"].write(tmp_path / "run" / "layers.10")
    rules.write_json(tmp_path / "run" / "config.json", {"model": "EleutherAI/pythia-160m", "ctx_len": 2048})
    found = read(path).provenance
    assert (found["layer"], found["hook_name"]) == (10, "layers.10")
    assert (found["model_name"], found["context_size"]) == ("EleutherAI/pythia-160m", 2048)


def test_an_old_logarithm_of_the_threshold_is_exponentiated(tmp_path: Path) -> None:
    case = CASES["saelens jumprelu"]
    expected = read(case.write(tmp_path / "new"))
    arrays = rules.saelens_arrays("jumprelu")
    arrays["threshold"] = np.abs(arrays["threshold"])
    folder = case.write(tmp_path / "old")
    save_file(
        {**{n: a for n, a in arrays.items() if n != "threshold"}, "log_threshold": np.log(arrays["threshold"])},
        folder / "sae_weights.safetensors",
    )
    found = read(folder).threshold
    assert found is not None
    assert expected.threshold is not None
    torch.testing.assert_close(found, expected.threshold.abs())


def test_a_scale_of_one_is_dropped_and_features_dead_in_training_are_marked(tmp_path: Path) -> None:
    case = CASES["saelens standard"]
    folder = case.write(tmp_path / "it")
    plain = read(folder)
    assert plain.dead is None
    arrays = rules.saelens_arrays("standard")
    save_file({**arrays, "scaling_factor": np.ones(M, np.float32)}, folder / "sae_weights.safetensors")
    frequency = np.array([0, *[1e-6] * (M - 1)])
    save_file({"sparsity": np.log10(frequency + 1e-10).astype(np.float32)}, folder / "sparsity.safetensors")
    found = read(folder)
    assert found.hash() == plain.hash()
    assert found.dead is not None
    assert found.dead.tolist() == [True] + [False] * (M - 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_width_are_read_as_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    folder = CASES["dictionary_learning AutoEncoderTopK"].write(tmp_path / "it")
    state = torch.load(folder / "ae.pt", weights_only=True)
    narrow = {name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}
    torch.save(narrow, folder / "ae.pt")
    found = read(folder)
    assert found.encoder.dtype == torch.float32
    torch.testing.assert_close(found.encoder, narrow["encoder.weight"].float())
    assert found.k == K


def test_the_readme_of_a_dictionarys_folder_is_its_card(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"w")
    assert "card" not in facts_of("any", tmp_path, ["weights.bin"], 4)
    (tmp_path / "README.md").write_bytes(b"# Mine \xff")
    assert facts_of("any", tmp_path, ["weights.bin"], 4)["card"] == "# Mine \ufffd"
