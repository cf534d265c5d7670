"""Models that know nothing: controls for whatever is found in a trained one (Heap et al. 2025, arXiv:2501.17727).

- `weights = "re-randomised"`: every parameter, matrices, norm gains and biases, is redrawn from a Gaussian with that
  tensor's own mean and variance. Gains and biases are redrawn, too, since trained ones single out directions of the
  residual stream; a tensor whose entries are all equal stays as it is.
- `weights = "re-randomised-blocks"`: the same, but token embeddings, learned position embeddings and the unembedding stay.
- `weights = "step-0"`: the architecture's own initialisation, drawn by seed; the trained weights are not read. Where a
  model's authors publish their untrained weights (Pythia: `revision = "step0"`), those are theirs to the last bit.
- `embeddings = "gaussian"`: at every position a fresh vector from N(0, I) takes the place of the token's embedding, as in
  the code that the paper's authors published, so that nothing of the text is left but its length.

Tied matrices stay tied. All draws depend on the seed and on what is drawn, never on batches, workers or threads.
"""

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.config import ModelConfig
from pipeline.hashing import derive


def initialised(architecture: Any, config: ModelConfig) -> Any:
    """A model of a transformers configuration, as it is before the first training step."""
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, "step-0"))
        return AutoModelForCausalLM.from_config(architecture, dtype=getattr(torch, config.dtype))


def apply_controls(model: Any, config: ModelConfig) -> None:
    """Change a loaded model in place as `config` wants it."""
    if config.weights == "re-randomised":
        rerandomise(model, config.seed, keep=set())
    elif config.weights == "re-randomised-blocks":
        rerandomise(model, config.seed, keep=_embeddings(model))
    if config.embeddings == "gaussian":
        model.get_input_embeddings().register_forward_hook(_Noise(config.seed))


@torch.no_grad()
def rerandomise(model: nn.Module, seed: int, keep: set[int]) -> None:
    """Redraw every parameter but those whose `id` is in `keep`, each by its name: what else there is changes nothing."""
    for name, parameter in model.named_parameters():
        if id(parameter) in keep or not parameter.numel():
            continue
        trained = parameter.float().numpy()
        mean, spread = trained.mean(dtype=np.float64), trained.std(dtype=np.float64)
        drawn = np.random.Generator(np.random.Philox(derive(seed, "weights", name))).standard_normal(
            trained.shape, np.float32
        )
        parameter.copy_(torch.from_numpy(drawn * np.float32(spread) + np.float32(mean)))


def _embeddings(model: Any) -> set[int]:
    """The parameters of everything that is looked up by token or position, and of the unembedding."""
    modules = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    modules += [
        module for module in (model.get_input_embeddings(), model.get_output_embeddings()) if module is not None
    ]
    return {id(parameter) for module in modules for parameter in module.parameters()}


class _Noise:
    """A forward hook on the token embedding: N(0, I) by seed, the context's tokens and the position.

    The whole context counts, not the token or what precedes it: equal beginnings of two contexts share nothing.
    """

    def __init__(self, seed: int) -> None:
        self.seed = derive(seed, "embeddings").to_bytes(8, "little")

    def __call__(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        noise = np.empty(output.shape, np.float32)
        for context, row in zip(inputs[0].cpu().numpy(), noise, strict=True):
            digest = hashlib.sha256(self.seed + context.astype("<i8").tobytes()).digest()
            generator = np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "little")))
            generator.standard_normal(out=row, dtype=np.float32)
        return torch.from_numpy(noise).to(output.device, output.dtype)
