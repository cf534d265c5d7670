"""Unpack a GGUF model once into a plain Hugging Face folder, from which every worker process then loads it in a second or two."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.config import ModelConfig
from pipeline.files import write_tensors
from pipeline.model import load_pretrained


def plain_model(config: ModelConfig, folder: Path) -> ModelConfig:
    """The same model as one that loads fast, and from anywhere, if it is in a folder.

    A GGUF file is unpacked into `folder` unless that was done before.
    """
    if config.gguf is None:
        own = Path(config.source).expanduser()
        return config.model_copy(update={"source": str(own.resolve())}) if own.is_dir() else config
    if not (folder / "config.json").is_file():
        unpack_gguf(config, folder)
    return config.model_copy(update={"source": str(folder.resolve()), "gguf": None})


def unpack_gguf(config: ModelConfig, folder: Path) -> None:
    """Write config, weights (in the precision of `config.dtype`) and tokenizer to `folder`; config.json comes last.

    transformers refuses to save a model that came from GGUF, so its weights are written beside a configuration without
    the mark of quantisation. Tied weights are written once.
    """
    model: Any = load_pretrained(config, AutoModelForCausalLM, {"dtype": getattr(torch, config.dtype)})
    tokenizer = load_pretrained(config, AutoTokenizer, {})
    tensors = {name: tensor for name, tensor in model.state_dict().items() if name not in _tied(model)}
    write_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    tokenizer.save_pretrained(folder)
    plain = model.config.to_dict()
    plain.pop("quantization_config", None)
    type(model.config).from_dict(plain).save_pretrained(folder)


def _tied(model: Any) -> set[str]:
    return set(model.all_tied_weights_keys) if model.config.tie_word_embeddings else set()
