"""The output tokens of every feature: its decoder row through the model's final norm and unembedding ("logit lens").

A direction is what would be left of the residual stream if nothing else were in it: decoder row (encoder row where the
dictionary has none), scaled to a root mean square of 1, through the final norm itself, less what the norm gives of zero
(its bias), times the unembedding, less the mean over the vocabulary. So a norm's weight is applied, a layer norm's
centring too, and its bias is not; an output bias is not, nor is a soft cap, which changes no order. Whatever the length
of the row, the values are the same; they are logits above the average token's, of which the order is what counts: a real
residual stream divides them by its own length. (nostalgebraist 2020, "interpreting GPT: the logit lens"; there the
norm's bias is kept.)
"""

import copy

import torch
from torch import Tensor, nn

from app.errors import UserError
from pipeline.dictionaries import Dictionary
from pipeline.ranking import extremes
from pipeline.tables import Outputs


def output_tokens(
    dictionary: Dictionary, norm: nn.Module, unembedding: Tensor, n: int, vocabulary: int | None = None
) -> Outputs:
    """The n tokens that each feature raises most and lowers most, from the model's final norm and `unembedding[token, d]`.

    Of the unembedding the first `vocabulary` rows count; those beyond are padding. The work is done on the device where
    it is. A row of the dictionary that is zero or not finite has values of 0. Raises UserError where the unembedding is
    not finite.
    """
    used = unembedding[:vocabulary].float()
    mean = used.mean(0)
    if not bool(mean.isfinite().all()):
        raise UserError(
            "the model's unembedding has NaN or infinite values, so no output token can be told; check the model's file."
        )
    rows = (dictionary.encoder if dictionary.decoder is None else dictionary.decoder).to(used.device)
    passed = through_norm(rows, norm)
    top, bottom = extremes(passed, used, n)
    average = (passed @ mean).cpu().numpy()[:, None]
    return Outputs(top.index, top.value - average, bottom.index, bottom.value - average)


@torch.inference_mode()
def through_norm(rows: Tensor, norm: nn.Module) -> Tensor:
    """`rows[m, d]` at RMS 1 through a norm, without its bias, in float32."""
    scale = rows.float().square().mean(1, keepdim=True).sqrt()
    usable = (scale > 0) & scale.isfinite()
    scaled = torch.where(usable, rows.float() / torch.where(usable, scale, 1.0), 0.0)
    own = copy.deepcopy(norm).to(rows.device, torch.float32)
    passed: Tensor = own(scaled) - own(torch.zeros_like(scaled[:1]))
    return torch.where(usable, passed, 0.0)
