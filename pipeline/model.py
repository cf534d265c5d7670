"""Load a causal language model and read the residual stream after one block, running nothing beyond it.

A block's forward hook takes the hidden states and then stops the forward pass, which gives the same activations as the
whole pass at a fraction of its cost; the blocks after it are dropped to save memory.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from app.errors import NotFound, UserError
from pipeline.config import ModelConfig
from pipeline.sources import model_folder


class _Stop(Exception):
    """Raised by the hook to end a forward pass at the layer wanted."""


@dataclass(frozen=True, slots=True)
class SiteModel:
    """A model cut off after one block.

    `d` is the width of the residual stream.
    """

    model: nn.Module
    block: nn.Module
    d: int

    @torch.inference_mode()
    def activations(self, tokens: Tensor) -> Tensor:
        """`tokens[context, position]` → `activations[context, position, d]`, in the model's own precision."""
        caught: list[Tensor] = []

        def catch(_module: nn.Module, _inputs: Any, output: Any) -> None:
            caught.append(output[0] if isinstance(output, tuple) else output)
            raise _Stop

        handle = self.block.register_forward_hook(catch)
        try:
            self.model(input_ids=tokens, use_cache=False)
        except _Stop:
            pass
        finally:
            handle.remove()
        return caught[0]


def check_layer(config: ModelConfig, layer: int) -> None:
    """Raises UserError where the model has no such layer; reads its configuration only."""
    from transformers import AutoConfig

    depth = load_pretrained(config, AutoConfig, {}).get_text_config().num_hidden_layers
    if layer >= depth:
        raise UserError(
            f"layer = {layer} is out of range: model {config.name!r} has {depth} layers, numbered 0 to {depth - 1}."
        )


def load_tokenizer(config: ModelConfig) -> Any:
    """A transformers tokenizer. Raises NotFound where the model can't be had."""
    from transformers import AutoTokenizer

    return load_pretrained(config, AutoTokenizer, {})


def load_site_model(config: ModelConfig, layer: int) -> SiteModel:
    """Raises NotFound where the model can't be had. `check_layer` comes first."""
    from transformers import AutoModelForCausalLM

    options = {"dtype": getattr(torch, config.dtype), "output_loading_info": True}
    model, report = load_pretrained(config, AutoModelForCausalLM, options)
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise UserError(
            f"model {config.name!r}: its file lacks {len(report['missing_keys'])} tensors ({missing}, …); download it again."
        )
    model.eval()
    blocks = find_blocks(model)
    block = blocks[layer]
    del blocks[layer + 1 :]
    return SiteModel(model, block, int(model.config.get_text_config().hidden_size))


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
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise NotFound(
            f"model {config.name!r}: {config.source!r} can't be loaded; give a folder, or a name that is in reach. "
            f"transformers says: {reason}"
        ) from error
