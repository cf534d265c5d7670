"""Output tokens against the model's own norm and unembedding."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from app.errors import UserError
from pipeline.dictionaries import Dictionary
from pipeline.logits import output_tokens
from tests.pipeline.conftest import gpt2, gpt_neox, llama


def dictionary(decoder: Tensor) -> Dictionary:
    m, d = decoder.shape
    return Dictionary("any", "topk", torch.zeros(m, d), torch.zeros(m), decoder, torch.zeros(d), k=2)


def rows(m: int) -> Tensor:
    return torch.randn(m, 32, generator=torch.Generator().manual_seed(1)) * torch.logspace(-2, 2, m)[:, None]


@pytest.mark.parametrize(
    ("make", "norm"), [(llama, "model.norm"), (gpt2, "transformer.ln_f"), (gpt_neox, "gpt_neox.final_layer_norm")]
)
def test_output_tokens_are_those_of_the_models_own_head(make, norm: str) -> None:
    torch.manual_seed(0)
    model = make().eval()
    final: nn.Module = model.get_submodule(norm)
    with torch.no_grad():
        for parameter in final.parameters():
            parameter.normal_(1.0, 0.3)
    unembedding = model.get_output_embeddings().weight.detach()
    decoder = rows(300)
    found = output_tokens(dictionary(decoder), final, unembedding, 7)
    with torch.no_grad():
        scaled = decoder / decoder.square().mean(1, keepdim=True).sqrt()
        bias = getattr(final, "bias", None)
        hidden = final(scaled) - (0 if bias is None else bias)
        logits = hidden @ unembedding.T
        logits = (logits - logits.mean(1, keepdim=True)).numpy()
    order = np.argsort(logits, axis=1)
    np.testing.assert_array_equal(found.bottom_token, order[:, :7])
    np.testing.assert_array_equal(found.top_token, order[:, ::-1][:, :7])
    np.testing.assert_allclose(found.top_value, np.take_along_axis(logits, found.top_token, 1), atol=1e-5)
    np.testing.assert_allclose(found.bottom_value, np.take_along_axis(logits, found.bottom_token, 1), atol=1e-5)


def test_what_the_norm_does_is_part_of_it() -> None:
    """With a weight that silences a dimension, tokens that differ in it alone are equals."""
    norm = nn.LayerNorm(3)
    with torch.no_grad():
        norm.weight[:] = torch.tensor([0.0, 1.0, 1.0])
        norm.bias[:] = torch.tensor([9.0, 9.0, -9.0])
    unembedding = torch.tensor([[5.0, 1.0, 0.0], [-5.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = output_tokens(dictionary(torch.tensor([[1.0, 0.5, -2.0]])), norm, unembedding, 3)
    assert found.top_token.tolist() == [[0, 1, 2]]
    assert found.top_value[0, 0] == found.top_value[0, 1]


def test_a_half_precision_norm_and_padded_vocabulary() -> None:
    norm = nn.LayerNorm(32).bfloat16()
    unembedding = torch.randn(60, 32, generator=torch.Generator().manual_seed(2)).bfloat16()
    unembedding[50:] *= 100
    found = output_tokens(dictionary(rows(9)), norm, unembedding, 5, vocabulary=50)
    assert found.top_token.max() < 50
    assert found.top_token.dtype == np.int32


def test_a_row_without_a_direction_raises_nothing() -> None:
    decoder = torch.tensor([[0.0, 0.0], [torch.inf, 1.0], [1.0, 2.0]])
    found = output_tokens(dictionary(decoder), nn.Identity(), torch.eye(2), 1)
    assert found.top_value[:2].tolist() == [[0], [0]]
    assert found.top_token[2, 0] == 1


def test_an_unembedding_that_is_not_finite_is_refused() -> None:
    unembedding = torch.eye(2)
    unembedding[1, 1] = torch.nan
    with pytest.raises(UserError, match="unembedding has NaN"):
        output_tokens(dictionary(torch.ones(1, 2)), nn.Identity(), unembedding, 1)
