from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from app.errors import NotFound, UserError
from pipeline.config import ModelConfig
from pipeline.model import check_layer, load_site_model, load_tokenizer, special_tokens
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
    site = load_site_model(ModelConfig(name="tiny", source=str(tmp_path)), layer)
    torch.testing.assert_close(site.activations(tokens), expected, rtol=0, atol=0)
    assert site.d == 32


def test_blocks_beyond_the_layer_are_dropped(tiny_model: Path) -> None:
    config = ModelConfig(name="tiny", source=str(tiny_model))
    first, last = load_site_model(config, 0), load_site_model(config, 3)
    size = [sum(p.numel() for p in site.model.parameters()) for site in (first, last)]
    block = sum(p.numel() for p in first.block.parameters())
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
        load_site_model(ModelConfig(name="tiny", source=str(tmp_path)), 1)


def test_special_tokens(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    assert special_tokens(tiny_tokenizer) == {tiny_tokenizer.eos_token_id}
