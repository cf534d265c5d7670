"""Splice scores of tiny real models, trained a little on real text, against forwards that are written out by hand."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from pipeline import splice
from pipeline.dictionaries import Dictionary
from pipeline.splice import SpliceScores, reconstructions, splice_scores
from tests.pipeline.conftest import llama

LAYER = 1


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """As in a worker; threads would only wait for each other over products this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokens(text_file, tiny_tokenizer: PreTrainedTokenizerFast) -> Tensor:
    ids = tiny_tokenizer(text_file.read_text("utf-8")[:60_000])["input_ids"]
    return torch.tensor(ids[: len(ids) // 32 * 32]).reshape(-1, 32)


@pytest.fixture(scope="module")
def model(tokens: Tensor) -> LlamaForCausalLM:
    """A model that has learned enough for its activations to matter."""
    torch.manual_seed(0)
    model = llama()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(60):
        batch = tokens[step % 8 * 16 : step % 8 * 16 + 16]
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def allowed(tokens: Tensor) -> Tensor:
    """All but the first position, and a seeded few elsewhere."""
    mask = torch.rand(tokens[:6].shape, generator=torch.Generator().manual_seed(1)) > 0.1
    mask[:, 0] = False
    return mask


def from_layer(model: LlamaForCausalLM, hidden: Tensor) -> Tensor:
    """Logits from the residual stream after block LAYER: the rest of the model, by hand."""
    position = torch.arange(hidden.shape[1])[None]
    rotary = model.model.rotary_emb(hidden, position)
    for later in model.model.layers[LAYER + 1 :]:
        hidden = later(hidden, position_ids=position, position_embeddings=rotary)
    return model.lm_head(model.model.norm(hidden))


@torch.no_grad()
def by_hand(model, tokens: Tensor, allowed: Tensor, mean: Tensor, reconstruct) -> SpliceScores:
    hidden = model(input_ids=tokens, output_hidden_states=True).hidden_states[LAYER + 1]
    logits = {}
    for name, make in {"clean": torch.clone, "ablated": mean.expand_as, "spliced": reconstruct}.items():
        changed = torch.where(allowed[..., None], make(hidden.flatten(0, 1)).view_as(hidden), hidden)
        logits[name] = from_layer(model, changed)[:, :-1].log_softmax(-1)
    ce = dict.fromkeys(logits, 0.0)
    kl = dict.fromkeys(logits, 0.0)
    n = 0
    for context in range(len(tokens)):
        for position in range(tokens.shape[1] - 1):
            if allowed[context, position]:
                n += 1
                clean = logits["clean"][context, position]
                for name, found in logits.items():
                    here = found[context, position]
                    ce[name] -= float(here[tokens[context, position + 1]])
                    kl[name] += float((clean.exp() * (clean - here)).sum())
    return SpliceScores(ce["clean"] / n, ce["ablated"] / n, ce["spliced"] / n, kl["ablated"] / n, kl["spliced"] / n)


@pytest.mark.parametrize("entries", [2**25, 2 * 32 * 1000], ids=["together", "two-at-a-time"])
def test_scores_are_those_of_a_forward_by_hand(model, tokens, allowed, entries, monkeypatch) -> None:
    monkeypatch.setattr(splice, "LOGITS_AT_A_TIME", entries)
    some = tokens[200:206]
    with torch.no_grad():
        x = model(input_ids=tokens[:100], output_hidden_states=True).hidden_states[LAYER + 1].flatten(0, 1)
    mean, basis = x.mean(0), torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh

    def project(k: int):
        return lambda x: (x - mean) @ basis[:k].T @ basis[:k] + mean

    dictionaries = {f"pca-{k}": project(k) for k in (4, 16)}
    hooks = len(model.model.layers[LAYER]._forward_hooks)
    found = splice_scores(model, model.model.layers[LAYER], some, allowed, mean, dictionaries)
    assert len(model.model.layers[LAYER]._forward_hooks) == hooks
    assert list(found) == ["pca-4", "pca-16"]
    for name, reconstruct in dictionaries.items():
        expected = by_hand(model, some, allowed, mean, reconstruct)
        for field in ("ce_clean", "ce_ablated", "ce_spliced", "kl_ablated", "kl_spliced"):
            assert getattr(found[name], field) == pytest.approx(getattr(expected, field), abs=1e-5)
        assert found[name].ce_recovered == pytest.approx(expected.ce_recovered, abs=1e-4)
        assert found[name].kl_score == pytest.approx(expected.kl_score, abs=1e-4)
    assert found["pca-4"].kl_score < found["pca-16"].kl_score < 1


def test_a_perfect_reconstruction_loses_nothing_and_the_mean_keeps_nothing(model, tokens, allowed) -> None:
    mean = torch.full((32,), 0.1)
    perfect = {"perfect": lambda x: x, "mean": mean.expand_as}
    found = splice_scores(model, model.model.layers[LAYER], tokens[200:206], allowed, mean, perfect)
    assert (found["perfect"].ce_recovered, found["perfect"].kl_score) == (1, 1)
    assert (found["mean"].ce_recovered, found["mean"].kl_score) == (0, 0)


def test_a_dictionary_is_spliced_by_its_own_reconstruction(model, tokens, allowed) -> None:
    torch.manual_seed(2)
    directions, mean = torch.nn.functional.normalize(torch.randn(64, 32)), torch.full((32,), 0.1)
    whole = Dictionary("any", "topk", directions, torch.zeros(64), directions, mean, k=4)
    made = reconstructions({"whole": whole, "no decoder": replace(whole, decoder=None)})
    assert list(made) == ["whole"]
    x = torch.randn(5, 32)
    torch.testing.assert_close(made["whole"](x), whole.decode(whole.encode(x)))
    found = splice_scores(model, model.model.layers[LAYER], tokens[200:206], allowed, mean, made)
    assert found["whole"].kl_spliced > 0


def test_where_ablation_costs_nothing_there_is_no_score(tokens, allowed) -> None:
    """An untrained model predicts all tokens alike, whatever stands in its residual stream."""
    torch.manual_seed(1)
    model = llama().eval()
    found = splice_scores(
        model, model.model.layers[LAYER], tokens[:6], allowed, torch.zeros(32), {"zero": lambda x: 0 * x}
    )["zero"]
    assert found.ce_clean == pytest.approx(math.log(1000), abs=0.05)
    assert found.ce_recovered is None


def test_text_without_a_prediction_is_refused(model, tokens) -> None:
    with pytest.raises(ValueError, match="no unmasked position"):
        splice_scores(
            model, model.model.layers[LAYER], tokens[:2], torch.zeros(2, 32, dtype=torch.bool), torch.zeros(32), {}
        )
