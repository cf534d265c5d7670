"""Load a causal language model, whole or cut off after the deepest layer that is read.

A forward hook on each block wanted takes the hidden states, and the deepest one stops the forward pass: the same
activations as the whole pass gives, at a fraction of its cost. The blocks beyond it are dropped to save memory.
"""

import contextlib
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from json import JSONDecodeError
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from app.errors import NotFound, UserError
from pipeline.config import ModelConfig
from pipeline.controls import apply_controls, initialised
from pipeline.sources import model_folder

# What comes of a file that ends too early: errors, and what others of a general class say. struct.error: GGUF.
CUT_SHORT = (SafetensorError, UnpicklingError, EOFError, struct.error, JSONDecodeError)
SAID_OF_CUT_SHORT = (
    "PytorchStreamReader",
    "cannot reshape array",
    "is invalid for input of size",
    "mmap an empty file",
)


class _Stop(Exception):
    """Raised by the hook to end a forward pass at the deepest layer wanted."""


@dataclass(frozen=True, slots=True)
class SiteModel:
    """A model cut off after the deepest of `blocks[layer]`.

    `d` is the width of the residual stream.
    """

    model: nn.Module
    blocks: dict[int, nn.Module]
    d: int
    device: str

    @torch.inference_mode()
    def activations(self, tokens: Tensor) -> dict[int, Tensor]:
        """`tokens[context, position]` → `activations[context, position, d]` by layer, in the model's precision, on its device.

        Raises UserError for a token that the model does not know.
        """
        self._check_tokens(tokens)
        caught: dict[int, Tensor] = {}
        deepest = max(self.blocks)

        def catch(layer: int, output: Any) -> None:
            caught[layer] = output[0] if isinstance(output, tuple) else output
            if layer == deepest:
                raise _Stop

        handles = [
            block.register_forward_hook(lambda _module, _inputs, output, layer=layer: catch(layer, output))
            for layer, block in self.blocks.items()
        ]
        try:
            self.model(input_ids=tokens.to(self.device), use_cache=False)
        except _Stop:
            pass
        finally:
            for handle in handles:
                handle.remove()
        return caught

    def _check_tokens(self, tokens: Tensor) -> None:
        model: Any = self.model
        highest, known = int(tokens.max()), len(model.get_input_embeddings().weight)
        if highest >= known:
            raise UserError(
                f"the text has a token of number {highest}, but the model knows {known}: its tokenizer is another model's; "
                "copy or download the two together."
            )


@dataclass(frozen=True, slots=True)
class OutputHead:
    """What turns the last block's output into logits: the final norm, then `unembedding[vocabulary, d]`."""

    norm: nn.Module
    unembedding: Tensor


def check_layer(config: ModelConfig, layer: int) -> None:
    """Raises UserError where the model has no such layer; reads its configuration only."""
    _check_depth(config, layer, _architecture(config).get_text_config().num_hidden_layers)


def check_length(config: ModelConfig, length: int) -> None:
    """Raises UserError where a context is longer than the model can read; reads its configuration only."""
    most = getattr(_architecture(config).get_text_config(), "max_position_embeddings", None)
    if most is not None and length > most:
        raise UserError(
            f"context_length = {length} is more than the {most} positions of model {config.name!r}; lower it."
        )


def model_width(config: ModelConfig) -> int:
    """The width of the model's residual stream; reads its configuration only."""
    return int(_architecture(config).get_text_config().hidden_size)


def load_tokenizer(config: ModelConfig) -> Any:
    """A transformers tokenizer. Raises NotFound where the model can't be had."""
    from transformers import AutoTokenizer

    return load_pretrained(config, AutoTokenizer, {})


def load_site_model(config: ModelConfig, layers: Sequence[int], device: str = "cpu") -> SiteModel:
    """The model up to the deepest of `layers`, under the controls that `config` names.

    Raises NotFound where it can't be had; UserError for a layer that it lacks, and for weights missing or not finite.
    """
    model = _load(config)
    blocks = find_blocks(model)
    for layer in layers:
        _check_depth(config, layer, len(blocks))
    wanted: dict[int, nn.Module] = {layer: blocks[layer] for layer in sorted(set(layers))}
    del blocks[max(wanted) + 1 :]
    return SiteModel(_finished(model, config, device), wanted, _width(model), device)


def load_whole_model(config: ModelConfig, device: str = "cpu") -> Any:
    """The transformers model, under the controls that `config` names. Raises as `load_site_model` does."""
    return _finished(_load(config), config, device)


def matrix(config: ModelConfig, which: Literal["embedding", "unembedding"]) -> Tensor:
    """`rows[vocabulary, width]` of the model's token embedding or unembedding, in float32."""
    model = _load(config)
    del find_blocks(model)[1:]  # of no use here, and large
    _finished(model, config, "cpu")
    if which == "unembedding":
        return _unembedding(model).detach().float()
    weights: Tensor = model.get_input_embeddings().weight
    return weights.detach().float()


@torch.inference_mode()
def output_head(model: Any) -> OutputHead:
    """Found by running two tokens: the norm outside the blocks whose output is what the unembedding reads.

    Raises UserError where the model has no unembedding, or something else than a norm before it.
    """
    weights = _unembedding(model)
    inside = {id(module) for module in find_blocks(model).modules()}
    made: list[tuple[nn.Module, Tensor]] = []
    read: list[Tensor] = []
    handles = [
        module.register_forward_hook(lambda module, _inputs, output: made.append((module, output)))
        for module in model.modules()
        if id(module) not in inside and "norm" in type(module).__name__.lower()
    ]
    handles.append(
        model.get_output_embeddings().register_forward_pre_hook(lambda _module, inputs: read.append(inputs[0]))
    )
    try:
        model(input_ids=torch.zeros(1, 2, dtype=torch.int64, device=weights.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    for module, output in reversed(made):
        if torch.equal(output, read[0]):
            return OutputHead(module, weights.detach())
    raise UserError(
        f"{type(model).__name__} has no norm right before its unembedding, so its output tokens can't be read off; "
        "set output_tokens = 0."
    )


def special_tokens(tokenizer: Any) -> frozenset[int]:
    """Ids of BOS, EOS and padding, on which no feature may fire."""
    return frozenset({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id} - {None})


def find_blocks(model: nn.Module) -> nn.ModuleList:
    """The list of transformer blocks: the one ModuleList as long as the configuration says the model is deep."""
    config: Any = model.config
    depth = config.get_text_config().num_hidden_layers
    found: Sequence[nn.ModuleList] = [
        module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == depth
    ]
    if not found:
        raise UserError(
            f"{type(model).__name__} has no list of {depth} blocks; only decoder-only transformers are supported."
        )
    return found[0]


def load_pretrained(config: ModelConfig, auto: Any, options: dict[str, Any]) -> Any:
    """`auto.from_pretrained` without its progress bars and advice. Raises NotFound, with what transformers says."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    folder = model_folder(config)
    if config.gguf:
        options["gguf_file"] = config.gguf
    if config.revision:
        options["revision"] = config.revision
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return auto.from_pretrained(folder, **options)
    except (*CUT_SHORT, OSError, ValueError, ImportError, RuntimeError) as error:
        if isinstance(error, CUT_SHORT) or any(said in str(error) for said in SAID_OF_CUT_SHORT):
            raise UserError(
                f"model {config.name!r}: a file in {config.source!r} is not whole ({_reason(error)}); "
                "copy or download the model again."
            ) from error
        if isinstance(error, RuntimeError):
            raise
        raise NotFound(
            f"model {config.name!r}: {config.source!r} can't be loaded; give a folder, or a name that is in reach. "
            f"transformers says: {_reason(error)}."
        ) from error


def _load(config: ModelConfig) -> Any:
    from transformers import AutoModelForCausalLM

    if config.weights == "step-0":
        return initialised(_architecture(config), config)
    # Told of mismatched tensors rather than stopped by them: what stops it names none.
    options = {"dtype": getattr(torch, config.dtype), "output_loading_info": True, "ignore_mismatched_sizes": True}
    model, report = load_pretrained(config, AutoModelForCausalLM, options)
    for name, found, expected in sorted(report["mismatched_keys"]):
        raise UserError(
            f"model {config.name!r}: tensor {name} has shape {list(found)}, but its config.json asks for {list(expected)}; "
            "the two belong to different models."
        )
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise UserError(
            f"model {config.name!r}: its file lacks {len(report['missing_keys'])} tensors ({missing}, …); download it again."
        )
    return model


def _finished(model: Any, config: ModelConfig, device: str) -> Any:
    for name, tensor in model.named_parameters():
        if tensor.numel() and not all(bool(bound.isfinite()) for bound in torch.aminmax(tensor.detach())):
            raise UserError(
                f"model {config.name!r}: tensor {name} holds NaN or infinite values; download the model again, "
                'or set dtype = "float32".'
            )
    apply_controls(model, config)
    return model.eval().to(device)


def _reason(error: Exception) -> str:
    """The first sentence of what a library says: its first line, or all of them where that only announces the others."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    said = " ".join(lines) if lines[0].endswith(":") else lines[0]
    return said.partition(". ")[0].rstrip(".")


def _architecture(config: ModelConfig) -> Any:
    from transformers import AutoConfig

    return load_pretrained(config, AutoConfig, {})


def _check_depth(config: ModelConfig, layer: int, depth: int) -> None:
    if not 0 <= layer < depth:
        raise UserError(
            f"layer = {layer} is out of range: model {config.name!r} has {depth} layers, numbered 0 to {depth - 1}."
        )


def _width(model: Any) -> int:
    return int(model.config.get_text_config().hidden_size)


def _unembedding(model: Any) -> Tensor:
    module = model.get_output_embeddings()
    if module is None:
        raise UserError(f"{type(model).__name__} has no unembedding; use another kind, and set output_tokens = 0.")
    weights: Tensor = module.weight
    return weights
