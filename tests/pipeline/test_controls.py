"""Models that know nothing: what is redrawn, what stays, and that nothing but the seed decides."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from pipeline.config import ModelConfig
from pipeline.model import load_site_model, load_whole_model, matrix
from tests.pipeline.conftest import VOCABULARY, gpt2, gpt_neox, llama


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Saved weights with a mean and a scale of their own in every tensor, as training leaves them."""
    return save(llama(), tmp_path)


def save(model: PreTrainedModel, folder: Path) -> Path:
    torch.manual_seed(4)
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.randn_like(parameter) * (0.02 + 0.01 * number) + 0.05 * (number % 3))
    model.save_pretrained(folder)
    return folder


def config(folder: Path, **options: object) -> ModelConfig:
    return ModelConfig.model_validate({"name": "tiny", "source": str(folder), **options})


def state(folder: Path, **options: object) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in load_whole_model(config(folder, **options)).named_parameters()}


@pytest.mark.parametrize("make", [llama, gpt2, gpt_neox])
def test_every_tensor_keeps_its_mean_and_variance(make: Callable[[], PreTrainedModel], tmp_path: Path) -> None:
    save(make(), tmp_path)
    before, after = state(tmp_path), state(tmp_path, weights="re-randomised")
    assert before.keys() == after.keys()
    for name, old in before.items():
        new, count = after[name].double(), old.numel()
        assert not torch.equal(old, after[name])
        spread = float(old.double().std(correction=0))
        assert abs(float(new.mean() - old.double().mean())) < 5 * spread / count**0.5
        assert abs(float(new.std(correction=0)) / spread - 1) < 5 / (2 * count) ** 0.5
        if count > 1000:
            both = np.corrcoef(old.flatten().numpy(), new.flatten().numpy())[0, 1]
            assert abs(both) < 5 / count**0.5


def test_redrawn_entries_are_gaussian(trained: Path) -> None:
    rows = state(trained, weights="re-randomised")["model.embed_tokens.weight"].double().flatten()
    z = (rows - rows.mean()) / rows.std()
    assert abs(float(z.pow(3).mean())) < 5 * (6 / len(z)) ** 0.5
    assert abs(float(z.pow(4).mean()) - 3) < 5 * (24 / len(z)) ** 0.5


@pytest.mark.parametrize("make", [llama, gpt2, gpt_neox])
def test_blocks_alone_leaves_everything_that_is_looked_up(make: Callable[[], PreTrainedModel], tmp_path: Path) -> None:
    save(make(), tmp_path)
    before, after = state(tmp_path), state(tmp_path, weights="re-randomised-blocks")
    kept = {name for name in before if torch.equal(before[name], after[name])}
    looked_up = ("embed_tokens", "lm_head", "wte", "wpe", "embed_in", "embed_out")
    assert kept == {name for name in before if any(part in name for part in looked_up)}


def test_tied_matrices_stay_tied(tmp_path: Path) -> None:
    save(gpt2(), tmp_path)
    for weights in ("re-randomised", "re-randomised-blocks", "step-0"):
        model = load_whole_model(config(tmp_path, weights=weights))
        assert model.lm_head.weight is model.transformer.wte.weight


@pytest.mark.parametrize("weights", ["re-randomised", "re-randomised-blocks", "step-0"])
def test_the_seed_decides(trained: Path, weights: str) -> None:
    first = state(trained, weights=weights, seed=1)
    torch.manual_seed(99)
    torch.rand(5)
    again, other = state(trained, weights=weights, seed=1), state(trained, weights=weights, seed=2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_loading_leaves_the_global_generator_alone(trained: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_whole_model(config(trained, weights="step-0"))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("weights", ["re-randomised", "re-randomised-blocks", "step-0"])
def test_a_model_cut_off_has_the_weights_of_the_whole(trained: Path, weights: str) -> None:
    whole = state(trained, weights=weights)
    for name, parameter in load_site_model(config(trained, weights=weights), [1]).model.named_parameters():
        assert torch.equal(parameter, whole[name])
    assert torch.equal(matrix(config(trained, weights=weights), "embedding"), whole["model.embed_tokens.weight"])


def test_step_0_is_the_architecture_s_initialisation(tmp_path: Path) -> None:
    options = LlamaConfig(
        vocab_size=200, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4
    )
    save(LlamaForCausalLM(options), tmp_path)
    after = state(tmp_path, weights="step-0")
    for name, tensor in after.items():
        if "norm" in name:
            assert bool((tensor == 1).all())
        else:
            assert float(tensor.std()) == pytest.approx(options.initializer_range, rel=0.05)
    assert state(tmp_path, weights="step-0", dtype="bfloat16")["lm_head.weight"].dtype == torch.bfloat16


def test_gaussian_embeddings_do_not_depend_on_batches(trained: Path) -> None:
    site = load_site_model(config(trained, embeddings="gaussian"), [0, 2])
    tokens = torch.randint(0, VOCABULARY, (6, 16))
    together = site.activations(tokens)
    order = torch.tensor([4, 1, 5, 0, 2, 3])
    shuffled = torch.cat([site.activations(part)[2] for part in tokens[order].split(2)])
    torch.testing.assert_close(shuffled, together[2][order])
    assert not torch.allclose(
        load_site_model(config(trained, embeddings="gaussian", seed=1), [0]).activations(tokens)[0], together[0]
    )


def test_gaussian_embeddings_are_standard_and_fresh_at_every_position(trained: Path) -> None:
    model = load_whole_model(config(trained, embeddings="gaussian"))
    tokens = torch.full((40, 64), 7)
    tokens[:, 5] = torch.arange(40)  # 40 contexts that differ in one token
    with torch.inference_mode():
        read = model.get_input_embeddings()(tokens).double()
        assert torch.equal(model.get_input_embeddings()(tokens[:3]).double(), read[:3])
    flat = read.flatten()
    assert abs(float(flat.mean())) < 5 / len(flat) ** 0.5
    assert abs(float(flat.var()) - 1) < 5 * (2 / len(flat)) ** 0.5
    rows = torch.nn.functional.normalize(read.flatten(0, 1), dim=1)
    cosines = (rows @ rows.T - torch.eye(len(rows))).square().mean()
    assert float(cosines) == pytest.approx(1 / read.shape[2], rel=0.02)


def test_gaussian_embeddings_in_half_precision(trained: Path) -> None:
    site = load_site_model(config(trained, embeddings="gaussian", dtype="bfloat16"), [1])
    assert site.activations(torch.zeros(1, 8, dtype=torch.int64))[1].dtype == torch.bfloat16
