"""What a model loses when a dictionary's reconstruction takes the place of the activations it reads.

At the site's layer the residual stream at every unmasked position is replaced, by the reconstruction (spliced) or by the
site's mean (ablated); masked positions keep their own. Judged are the predictions of the next token made at unmasked
positions, against the whole model's:

- cross-entropy recovered = (CE_ablated − CE_spliced) / (CE_ablated − CE_clean)
- KL score = 1 − KL(clean ‖ spliced) / KL(clean ‖ ablated)

Both are 1 where nothing is lost and 0 where no more is kept than the mean keeps; below 0 the reconstruction is worse than
the mean. The ablation is by the mean, not by zero: zero is far from any activation, which makes every score look good.
Where ablation costs next to nothing (a model that knows nothing) there is nothing to recover, and the score is None.

The model runs in its own precision, in which the activations were read, too; log-probabilities are float32, sums float64.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.dictionaries import Dictionary

LEAST_LOSS = 0.01  # nats: ablation that costs less leaves nothing to recover
LOGITS_AT_A_TIME = 2**25  # entries: 128 MB in float32

Reconstruct = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class SpliceScores:
    """Mean cross-entropies and KL divergences a prediction, in nats, and the two scores from them."""

    ce_clean: float
    ce_ablated: float
    ce_spliced: float
    kl_ablated: float
    kl_spliced: float

    @property
    def ce_recovered(self) -> float | None:
        lost = self.ce_ablated - self.ce_clean
        return (self.ce_ablated - self.ce_spliced) / lost if lost >= LEAST_LOSS else None

    @property
    def kl_score(self) -> float | None:
        return 1 - self.kl_spliced / self.kl_ablated if self.kl_ablated >= LEAST_LOSS else None


def reconstructions(dictionaries: Mapping[str, Dictionary]) -> dict[str, Reconstruct]:
    """What `splice_scores` asks for, of the dictionaries that reconstruct what they read."""
    return {
        name: functools.partial(_reconstructed, dictionary)
        for name, dictionary in dictionaries.items()
        if dictionary.decoder is not None and dictionary.reconstructs
    }


def splice_scores(
    model: nn.Module,
    block: nn.Module,
    tokens: Tensor,
    allowed: Tensor,
    mean: Tensor,
    reconstruct: Mapping[str, Reconstruct],
) -> dict[str, SpliceScores]:
    """The scores of every dictionary by name, from the same clean and the same ablated pass.

    `model` is a whole causal language model, `block` the one of its blocks after which activations are read;
    `tokens[context, position]` (int64) and `allowed[context, position]` (bool, the unmasked positions) are held-out text;
    `mean[d]` the site's; `reconstruct` gives `x̂[token, d]` for `x[token, d]`, both float32. Raises ValueError where no
    prediction is left to judge.
    """
    judged = allowed[:, :-1]
    if not bool(judged.any()):
        raise ValueError("no unmasked position has a token after it")
    replacements: dict[str, Reconstruct] = {"": mean.expand_as, **reconstruct}
    ce = dict.fromkeys(("clean", *replacements), 0.0)
    kl = dict.fromkeys(replacements, 0.0)
    vocabulary = 0
    start = 0
    while start < len(tokens):
        count = max(1, LOGITS_AT_A_TIME // (tokens.shape[1] * vocabulary)) if vocabulary else 1
        some = slice(start, start + count)
        clean = _log_probabilities(model, tokens[some], judged[some])
        vocabulary = clean.shape[1]
        target = tokens[some, 1:][judged[some]].to(clean.device)
        ce["clean"] += _cross_entropy(clean, target)
        for name, replace in replacements.items():
            with _replaced(block, allowed[some], replace):
                changed = _log_probabilities(model, tokens[some], judged[some])
            ce[name] += _cross_entropy(changed, target)
            kl[name] += float(
                torch.nn.functional.kl_div(changed, clean, reduction="none", log_target=True).sum(1).double().sum()
            )
        start += count
    n = int(judged.sum())
    return {
        name: SpliceScores(ce["clean"] / n, ce[""] / n, ce[name] / n, kl[""] / n, kl[name] / n) for name in reconstruct
    }


def _reconstructed(dictionary: Dictionary, x: Tensor) -> Tensor:
    return dictionary.decode(dictionary.encode(x), x)


@torch.inference_mode()
def _log_probabilities(model: nn.Module, tokens: Tensor, judged: Tensor) -> Tensor:
    """`[prediction, vocabulary]` of the judged positions, which are all but the last of each context."""
    logits: Tensor = model(input_ids=tokens, use_cache=False).logits
    return logits[:, :-1][judged.to(logits.device)].float().log_softmax(1)


def _cross_entropy(log_probabilities: Tensor, target: Tensor) -> float:
    return float(-log_probabilities.gather(1, target[:, None]).double().sum())


@contextlib.contextmanager
def _replaced(block: nn.Module, allowed: Tensor, replace: Reconstruct) -> Iterator[None]:
    """Within this context the block's output at `allowed[context, position]` is what `replace` makes of it."""

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        hidden: Tensor = output[0] if isinstance(output, tuple) else output
        here = allowed.to(hidden.device)
        changed = hidden.clone()
        changed[here] = replace(hidden[here].float()).to(hidden.dtype)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = block.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
