from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from app.errors import UserError
from pipeline.activations import ShardFolder, load_statistics, measure
from pipeline.config import CorpusConfig, ModelConfig, SiteConfig
from pipeline.corpus import draw_contexts, load_contexts
from pipeline.dictionaries.directions import data_points
from pipeline.files import read_tensors, write_tensors
from pipeline.model import load_site_model


@pytest.fixture
def shards(tmp_path: Path, tiny_model: Path, text_file: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> ShardFolder:
    """Three shards of the tiny model's activations: 150 contexts of 16 tokens."""
    corpus = CorpusConfig(name="wiki", source=str(text_file), documents="wikitext")
    site = SiteConfig(name="s", model="m", corpus="wiki", layer=1, contexts=150, context_length=16, held_out=0.2)
    draw_contexts(corpus, site, tiny_tokenizer, 0, tmp_path / "c", lambda _: None)
    folder = ShardFolder(tmp_path / "a", load_contexts(tmp_path / "c"))
    model = load_site_model(ModelConfig(name="m", source=str(tiny_model)), [1])
    assert [folder.make(shard, model) for shard in range(folder.count)] == [64 * 16, 64 * 16, 22 * 16]
    return folder


def everything(shards: ShardFolder) -> torch.Tensor:
    return torch.cat([read_tensors(shards.path(shard))["activations"] for shard in range(shards.count)])


def test_statistics_are_those_of_the_unmasked_fitting_tokens(shards: ShardFolder) -> None:
    special = int(shards.contexts.tokens[0, 3])
    sink = read_tensors(shards.path(1))
    sink["activations"][5] *= 1000
    sink["norms"][5] *= 1000
    write_tensors(shards.path(1), sink)
    measure(shards, frozenset({special}), 10.0, lambda _: None)
    statistics = load_statistics(shards)

    is_special = np.asarray(shards.contexts.tokens) == special
    allowed = ~is_special
    allowed[64, 5] = False
    assert np.array_equal(shards.allowed(), allowed)
    assert statistics.masked == {"special": int(is_special.sum()), "sink": 1}
    assert statistics.unmasked == allowed.sum()
    fit = allowed & ~shards.contexts.held_out[:, None]
    x = everything(shards)[torch.from_numpy(fit.reshape(-1))].double()
    np.testing.assert_allclose(statistics.mean, x.mean(0), rtol=1e-5, atol=1e-7)
    assert statistics.spread == pytest.approx(float((x - x.mean(0)).square().sum(1).mean().sqrt()), rel=1e-6)
    assert statistics.gamma == pytest.approx(float(x.mean(0).norm()) / statistics.spread, rel=1e-6)


def test_data_points_are_unit_and_come_from_fitting_tokens(shards: ShardFolder) -> None:
    measure(shards, frozenset(), 10.0, lambda _: None)
    mean = torch.from_numpy(load_statistics(shards).mean)
    points = data_points(shards, mean, 50, 4)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(50))
    fit = torch.from_numpy(np.repeat(~shards.contexts.held_out, 16) & shards.allowed().reshape(-1))
    candidates = torch.nn.functional.normalize(everything(shards)[fit] - mean, dim=1)
    assert ((points @ candidates.T).max(1).values > 1 - 1e-5).all()
    assert torch.equal(points, data_points(shards, mean, 50, 4))
    with pytest.raises(UserError, match="9999 data points were asked for"):
        data_points(shards, mean, 9999, 4)


def test_activations_that_are_not_numbers_are_refused(shards: ShardFolder, tiny_model: Path) -> None:
    model = load_site_model(ModelConfig(name="m", source=str(tiny_model)), [1])
    next(model.blocks[1].parameters()).data.fill_(float("nan"))
    with pytest.raises(UserError, match="NaN or infinite"):
        shards.make(0, model)
