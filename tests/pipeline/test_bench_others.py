"""What the comparison with other tools gives them; the tools themselves need environments of their own and minutes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from app.errors import UserError
from pipeline.bench import training
from pipeline.bench.others import __main__ as driver
from pipeline.bench.others.environments import HERE
from pipeline.bench.others.inputs import SHAPES, build_file, make
from pipeline.bench.shapes import Shape
from pipeline.config import load_build
from tests.architecture import imports, sources
from tests.serving import ROOT

TINY = Shape("tiny", "", layers=2, depth=1, d=32, heads=2, m=64, contexts=6, k=4, length=16)
THEIRS = ("sae_dashboard", "sae_lens", "transformer_lens", "delphi", "sparsify")


def test_all_are_given_one_model_one_dictionary_and_one_text(tmp_path: Path) -> None:
    make(TINY, tmp_path)
    tokens = np.load(tmp_path / "tokens.npy")
    assert (tokens.shape, tokens.dtype) == ((6, 16), np.int64)
    assert load_file(tmp_path / "dictionary.safetensors")["encoder"].shape == (64, 32)
    known = json.loads((tmp_path / "shape.json").read_text())
    assert {"name", "d", "layers", "depth", "heads", "m", "k", "length"} <= set(known)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["hidden_size"], config["num_hidden_layers"]) == (32, 2)
    assert tokens.max() < config["vocab_size"]

    before = (tmp_path / "tokens.npy").stat().st_mtime_ns
    make(TINY, tmp_path)
    assert (tmp_path / "tokens.npy").stat().st_mtime_ns == before


def test_a_text_too_short_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.bench.shapes.CHARACTERS_A_TOKEN", 1)
    with pytest.raises(UserError, match=r"3200 are wanted; lower --prompts"):
        make(replace(TINY, contexts=200), tmp_path)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_dartboard_builds_the_same_shape(tmp_path: Path, name: str) -> None:
    path = tmp_path / "BUILD.toml"
    path.write_text(build_file(SHAPES[name], tmp_path, "bfloat16", "tied"), "utf-8")
    built, shape = load_build(path), SHAPES[name]
    [site], [dictionary] = built.sites, built.dictionaries
    assert (site.contexts, site.context_length, site.layer) == (shape.contexts, shape.length, shape.depth - 1)
    assert (dictionary.m, dictionary.k, dictionary.decoder) == (shape.m, shape.k, "tied")
    assert (built.precision, built.models[0].dtype) == ("bfloat16", "bfloat16")


def test_only_the_scripts_import_the_other_tools() -> None:
    importing = {
        path.name for path, tree in sources(ROOT) for _, name in imports(path, tree) if name.split(".")[0] in THEIRS
    }
    assert importing == {*driver.SCRIPTS.values(), *training.SCRIPTS.values()}


def test_each_tool_has_pinned_versions_and_a_script() -> None:
    for tool, script in {**driver.SCRIPTS, **training.SCRIPTS}.items():
        assert (HERE / script).is_file()
        pins = (HERE / f"{tool}.txt").read_text("utf-8")
        assert "torch==" in pins
    assert "sae-dashboard==0.8.0" in (HERE / "sae-dashboard.txt").read_text("utf-8")


def test_too_few_prompts_are_refused(tmp_path: Path) -> None:
    app = driver.typer.Typer()
    app.command()(driver.main)
    result = CliRunner().invoke(app, [str(tmp_path), "--prompts", "1"])
    assert result.exit_code == 2
    assert not any(tmp_path.iterdir())
