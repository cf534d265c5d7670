"""`dartboard train`, `score`, `convert` and `build --export`: on the tiny model, by the commands themselves."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from app.cli import app
from pipeline.config import CorpusConfig, ModelConfig, SiteConfig
from pipeline.corpus import draw_contexts, load_contexts
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import random_sign
from pipeline.files import read_tensors
from pipeline.formats import read, write_saelens
from pipeline.model import load_site_model, load_tokenizer
from tests.pipeline.conftest import write_build_file


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, text_file: Path) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("trained")
    build = write_build_file(folder / "BUILD.toml", tiny_model, text_file)
    words = ("train", build, "--data", folder / "data", "--dtype", "bfloat16", "--workers", 1, "--keep-work")
    found = run(*words)
    assert found.exit_code == 0, found.output
    return SimpleNamespace(folder=folder / "data", sae=folder / "data" / "dictionaries" / "sae", words=words)


def test_train_writes_what_is_trained_and_what_made_it(trained: SimpleNamespace) -> None:
    assert [path.name for path in trained.sae.parent.iterdir()] == ["sae"]
    assert not (trained.folder / "features.sqlite").exists()
    weights = read_tensors(trained.sae / "sae_weights.safetensors")
    assert weights["W_enc"].dtype == weights["W_dec"].dtype == torch.bfloat16
    assert weights["b_dec"].dtype == torch.float32
    dictionary = read(trained.sae)
    facts = dictionary.provenance
    assert (dictionary.kind, dictionary.m, dictionary.k, facts["layer"], facts["context_size"]) == (
        "topk-sae",
        64,
        4,
        1,
        32,
    )
    assert facts["hook_name"] == "blocks.1.hook_resid_post"
    assert facts["curve"][-1]["tokens"] == 40_000
    made = facts["made"]
    assert made["dictionary"]["tokens"] == 40_000
    assert made["contexts"]["fitting"] + made["contexts"]["held_out"] == 200
    assert str(trained.folder) not in (trained.sae / "cfg.json").read_text("utf-8")  # no computer's own paths


def test_train_leaves_alone_what_is_there_and_trains_what_is_not(trained: SimpleNamespace) -> None:
    path = trained.sae / "sae_weights.safetensors"
    before, bytes_before = path.stat().st_mtime_ns, path.read_bytes()
    assert run(*trained.words).exit_code == 0
    assert path.stat().st_mtime_ns == before
    (trained.sae / "cfg.json").unlink()
    assert run(*trained.words).exit_code == 0
    assert path.stat().st_mtime_ns != before
    assert path.read_bytes() == bytes_before


def test_train_refuses_a_build_file_without_training(tmp_path: Path, tiny_model: Path, text_file: Path) -> None:
    path = write_build_file(tmp_path / "BUILD.toml", tiny_model, text_file)
    path.write_text(
        re.sub(r'\[\[dictionary\]\]\nname = "sae".*?(?=\[pages\])', "", path.read_text("utf-8"), flags=re.DOTALL)
    )
    found = run("train", path, "--data", tmp_path / "data")
    assert found.exit_code == 2
    assert "names no dictionary that is trained" in found.output


def test_sparsify_has_no_bfloat16(tmp_path: Path, build_file: Path) -> None:
    for words in (("train", build_file), ("convert", tmp_path, tmp_path / "to")):
        found = run(*words, "--format", "sparsify", "--dtype", "bfloat16")
        assert found.exit_code == 2
        assert "float32" in found.output


def test_build_exports_what_the_format_can_express(tmp_path: Path, build_file: Path) -> None:
    text = build_file.read_text("utf-8") + '[[dictionary]]\nname = "bare"\nkind = "random-sign"\ndecoder = "none"\n'
    build_file.write_text(text.replace("tokens = 40_000", "tokens = 640"), "utf-8")
    out = tmp_path / "out"
    found = run("build", build_file, "--data", tmp_path / "data", "--workers", 1, "--export", out)
    assert found.exit_code == 0, found.output
    assert sorted(path.name for path in out.iterdir()) == ["points", "sae", "signs"]
    assert re.search(r"bare is not exported: dictionaries without a decoder", found.output)
    signs = read(out / "signs")
    assert signs.kind == "random-sign"
    assert torch.equal(signs.encoder.abs(), torch.full((64, 32), 32**-0.5))
    assert signs.decoder is not None
    assert float(signs.decoder.abs().sum()) > 0  # fitted


@pytest.mark.parametrize("name", ["saelens", "sparsify"])
def test_convert_keeps_what_a_dictionary_does(tmp_path: Path, trained: SimpleNamespace, name: str) -> None:
    found = run("convert", trained.sae, tmp_path / "other", "--format", name)
    assert found.exit_code == 0, found.output
    one, other = read(trained.sae), read(tmp_path / "other")
    assert other.provenance["format"] == name
    assert (other.kind, other.provenance["curve"]) == (one.kind, one.provenance["curve"])
    x = torch.randn(100, 32, generator=torch.Generator().manual_seed(0))
    assert (one.encode(x).csr(64).astype(bool) != other.encode(x).csr(64).astype(bool)).nnz == 0
    assert np.allclose(one.decode(one.encode(x)), other.decode(other.encode(x)), atol=1e-5)
    again = run("convert", trained.sae, tmp_path / "other")
    assert again.exit_code == 2
    assert "there already" in again.output


def score(dictionary: Path, model: Path, text: Path, *more: object) -> Result:
    return run(
        *("score", dictionary, "--model", model, "--text", text, "--documents", "wikitext", "--contexts", 80),
        *("--context-length", 32, "--splice-contexts", 8, "--workers", 1, *more),
    )


def test_scores_are_those_of_a_plain_computation(
    tmp_path: Path, trained: SimpleNamespace, tiny_model: Path, text_file: Path
) -> None:
    out = tmp_path / "scores.json"
    found = score(trained.sae, tiny_model, text_file, "--json", out)
    assert found.exit_code == 0, found.output
    scores = json.loads(out.read_text("utf-8"))

    config = ModelConfig(name="m", source=str(tiny_model))
    corpus = CorpusConfig(name="text", source=str(text_file), documents="wikitext")
    site = SiteConfig(name="s", model="m", corpus="text", layer=1, contexts=80, context_length=32)
    draw_contexts(corpus, site, load_tokenizer(config), 0, tmp_path / "drawn", lambda _: None, hold_out=False)
    tokens = torch.from_numpy(np.array(load_contexts(tmp_path / "drawn").tokens, np.int64))
    x = load_site_model(config, [1]).activations(tokens)[1].flatten(0, 1)
    x = x[x.norm(dim=1) <= 10 * x.norm(dim=1)[: 64 * 32].median()].double()
    dictionary = read(trained.sae)
    pre = (x - dictionary.b_dec) @ dictionary.encoder.double().T + dictionary.b_enc
    codes = torch.zeros_like(pre).scatter(1, pre.topk(4).indices, pre.topk(4).values.relu())
    made = codes @ dictionary.decoder.double() + dictionary.b_dec
    fve = 1 - (x - made).square().sum() / (x - x.mean(0)).square().sum()
    assert scores["tokens"] + scores["masked"] == 80 * 32
    assert scores["fve"] == pytest.approx(float(fve), abs=1e-3)
    assert scores["l0"] == pytest.approx(float((codes > 0).sum()) / len(x), abs=0.05)
    assert scores["dead"] == pytest.approx(float(((codes > 0).sum(0) == 0).double().mean()), abs=0.02)
    assert 0 < scores["floor_isotropic"] < 1
    assert scores["splice_contexts"] == 8
    assert scores["ce_clean"] > 0


def test_a_perfect_dictionary_scores_one_and_an_empty_one_nothing(
    tmp_path: Path, tiny_model: Path, text_file: Path
) -> None:
    both = torch.cat([torch.eye(32), -torch.eye(32)])
    eye, none = torch.zeros(64), torch.zeros(32)
    write_saelens(Dictionary("neurons", "topk", both, eye, both, none, k=32), tmp_path / "perfect")
    write_saelens(Dictionary("neurons", "topk", both, eye, both * 0, none, k=32), tmp_path / "empty")
    scores = []
    for name in ("perfect", "empty"):
        found = score(tmp_path / name, tiny_model, text_file, "--layer", 2, "--json", tmp_path / "scores.json")
        assert found.exit_code == 0, found.output
        scores.append(json.loads((tmp_path / "scores.json").read_text("utf-8")))
    perfect, empty = scores
    assert perfect["fve"] == pytest.approx(1, abs=1e-6)
    assert empty["fve"] < 0.1
    assert perfect["l0"] == pytest.approx(32, abs=0.1)
    assert perfect["ce_spliced"] == pytest.approx(perfect["ce_clean"], abs=1e-5)
    assert perfect["ce_ablated"] == empty["ce_ablated"]  # which is the mean's, whatever is spliced
    assert len({round(value, 5) for value in (perfect["ce_clean"], perfect["ce_ablated"], empty["ce_spliced"])}) == 3


def test_what_is_wrong_with_a_score_is_said_in_a_sentence(
    tmp_path: Path, trained: SimpleNamespace, tiny_model: Path, text_file: Path
) -> None:
    signs = random_sign(64, 16, 0)
    write_saelens(
        Dictionary("random-sign", "topk", signs, torch.zeros(64), signs, torch.zeros(16), k=4), tmp_path / "narrow"
    )
    for words, says in [
        ((trained.sae, tiny_model, text_file, "--layer", 2), "after block 1"),
        ((trained.sae, tiny_model, text_file, "--layer", 9), "layer = 9 is out of range"),
        ((tmp_path / "narrow", tiny_model, text_file), "give --layer"),
        ((tmp_path / "narrow", tiny_model, text_file, "--layer", 1), "reads activations of width 16"),
        ((tmp_path / "none", tiny_model, text_file), "is not there"),
        ((trained.sae, tiny_model, tmp_path / "none.txt"), "there is no file or folder"),
        ((trained.sae, tmp_path / "none", text_file), "there is no folder"),
        ((trained.sae, tiny_model, text_file, "--contexts", 10**6), "lower `contexts`"),
        ((trained.sae / "cfg.json", tiny_model, text_file, "--card"), "--card writes into the dictionary's folder"),
        ((trained.sae, tiny_model, text_file, "--json", tmp_path / "no" / "folder.json"), "cannot be written"),
    ]:
        found = score(*words)
        assert (found.exit_code, says in " ".join(found.output.split())) == (2, True), found.output


def test_the_card_holds_what_was_measured(trained: SimpleNamespace, tiny_model: Path, text_file: Path) -> None:
    found = score(trained.sae, tiny_model, text_file, "--card")
    assert found.exit_code == 0, found.output
    card = (trained.sae / "README.md").read_text("utf-8")
    fve = re.search(r"(?m)^fve +(\S+)$", found.output)
    assert fve is not None
    assert f"| fraction of variance explained | {float(fve[1]):.3f} |" in card
    assert "dartboard train" in card
    assert "--contexts 80" in card
    assert "| 40,000 |" in card  # the end of its curve
    assert read(trained.sae).hash() in card
    for line in card.splitlines():
        assert line.count("|") in (0, 3, 5), line  # tables are tables


def test_convert_where_nothing_can_be_written(tmp_path: Path, trained: SimpleNamespace) -> None:
    (tmp_path / "file").touch()
    found = run("convert", trained.sae, tmp_path / "file" / "sae")
    assert found.exit_code == 2
    assert "cannot be written (Not a directory); choose another folder." in " ".join(found.output.split())


@pytest.mark.parametrize("option", [("--address", "auto"), ("--gpus-per-worker", "0.5")])
def test_options_of_a_cluster_without_one_are_refused(option: tuple[str, str], tmp_path: Path) -> None:
    found = run("build", tmp_path / "BUILD.toml", *option)
    assert found.exit_code == 2
    assert "add --engine ray" in found.output
