"""What all tools are given: `make bench`'s model of random weights and its text, and a random top-k dictionary.

`tokens.npy` holds the start of the text, cut into prompts; dartboard draws windows of its own, as many and as long.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
from transformers import AutoTokenizer

from app.errors import UserError
from pipeline.bench.shapes import G, S, Shape, make_ground, site_text
from pipeline.dictionaries.directions import random_sign

SHAPES = {"g": G, "s": S}


def make(shape: Shape, folder: Path) -> None:
    """Write model/, text.txt, tokens.npy, dictionary.safetensors and shape.json; nothing where they stand already."""
    facts = dataclasses.asdict(shape)
    known = folder / "shape.json"
    if known.is_file() and json.loads(known.read_text("utf-8")) == facts:
        return
    folder.mkdir(parents=True, exist_ok=True)
    make_ground(shape, folder)
    text = (folder / "text.txt").read_text("utf-8")
    tokens = AutoTokenizer.from_pretrained(folder / "model")(text)["input_ids"][: shape.tokens]
    if len(tokens) < shape.tokens:
        raise UserError(f"The demo's text has {len(tokens)} tokens, but {shape.tokens} are wanted; lower --prompts.")
    np.save(folder / "tokens.npy", np.array(tokens, np.int64).reshape(shape.contexts, shape.length))
    save_file({"encoder": random_sign(shape.m, shape.d, 0)}, folder / "dictionary.safetensors")
    known.write_text(json.dumps(facts), "utf-8")


def build_file(shape: Shape, folder: Path, precision: str, decoder: str) -> str:
    """The BUILD.toml for what `make` wrote in `folder`, with the tables that a build makes by default."""
    return f"""{site_text(shape, folder, precision)}
[[dictionary]]
name = "random-sign"
kind = "random-sign"
m = {shape.m}
k = {shape.k}
decoder = "{decoder}"
"""
