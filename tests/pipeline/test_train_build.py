"""Training inside a build: every kind, in one pass where the batches are the same, and published with its curve."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from transformers import PreTrainedTokenizerFast

import pipeline.build
from app.errors import UserError
from app.store.features import FeatureStore
from pipeline.build import Workers
from pipeline.plan import make_plan
from tests.pipeline.conftest import write_build_file

SHARED = "tokens = 6_400\nbatch = 64\nthreads = 1\n"
ENTRIES = {
    "topk": 'kind = "topk-sae"\nseeds = [1, 2]\n',
    "batch": 'kind = "batch-topk-sae"\nstart = "random-sign"\n',
    "matryoshka": 'kind = "matryoshka-sae"\ngroups = [0.5, 1.0]\n',
    "relu": 'kind = "relu-sae"\nalpha = 0.02\n',
    "gated": 'kind = "gated-sae"\nstep = false\n',
    "jump": 'kind = "jumprelu-sae"\nfrozen = "decoder"\nstart = "covariance-gaussian"\n',
}


def build_file(folder: Path, model: Path, text: Path, dictionaries: str) -> Path:
    path = write_build_file(folder / "BUILD.toml", model, text)
    before, rest = path.read_text("utf-8").split("[[dictionary]]", 1)
    path.write_text(before + dictionaries + rest[rest.index("[pages]") :], "utf-8")
    return path


def build(path: Path, data: Path) -> str:
    console = Console(file=io.StringIO(), width=200)
    pipeline.build.build(make_plan(path, "test"), data, Workers(1), False, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_trained_kind_builds_in_one_pass(
    tiny_model: Path, text_file: Path, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    entries = "".join(f'[[dictionary]]\nname = "{name}"\n{more}{SHARED}' for name, more in ENTRIES.items())
    alone = '[[dictionary]]\nname = "alone"\nkind = "topk-sae"\ntokens = 3_200\nbatch = 32\nthreads = 1\n'
    said = build(build_file(tmp_path, tiny_model, text_file, entries + alone), tmp_path)
    assert "7 dictionaries: training: 6,400 tokens in" in said and "alone: training: 3,200 tokens in" in said
    store = FeatureStore(tmp_path / "features.sqlite")
    found = {dictionary.name: dictionary for dictionary in store.dictionaries()}
    store.close()
    assert set(found) == {"topk-1", "topk-2", "batch", "matryoshka", "relu", "gated", "jump", "alone"}
    assert found["topk-1"].weights_hash != found["topk-2"].weights_hash
    for name, dictionary in found.items():
        assert dictionary.fve is not None and dictionary.fve > 0.1, name
        assert dictionary.provenance["trained_together"] == (1 if name == "alone" else 7)
        assert 3_000 < dictionary.provenance["distinct_tokens"] < 200 * 32
        curve = dictionary.provenance["curve"]
        assert curve[-1]["tokens"] == (3_200 if name == "alone" else 6_400)
        assert set(curve[0]) == {"step", "tokens", "loss", "fve", "l0", "dead"}


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            'kind = "topk-sae"\nk = 70\n',
            "dictionary 'sae': k = 70 is more than its m = 64 features; lower k or raise m",
        ),
        ('kind = "topk-sae"\nbatch = 1_000_000\n', "a batch of 1,000,000 tokens is more than the"),
        ('kind = "topk-sae"\nfrozen = "both"\n', r"dictionary\[0\].*frozen"),
        ('kind = "matryoshka-sae"\ngroups = [0.5]\n', "groups are shares that rise"),
        ('kind = "relu-sae"\naux = 0.1\n', r"dictionary\[0\].*aux"),
    ],
)
def test_a_mistake_is_one_sentence(
    entry: str,
    sentence: str,
    tiny_model: Path,
    text_file: Path,
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    path = build_file(tmp_path, tiny_model, text_file, f'[[dictionary]]\nname = "sae"\n{entry}threads = 1\n')
    with pytest.raises(UserError, match=sentence):
        build(path, tmp_path)
