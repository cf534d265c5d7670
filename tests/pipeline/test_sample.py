"""The sample: which positions count, and what it says of a site; activations kept on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from app.errors import UserError
from pipeline.config import CorpusConfig, ModelConfig, SiteConfig
from pipeline.corpus import Contexts, draw_contexts, load_contexts
from pipeline.kept import Kept, Manifest, kept_contexts, read_shard, shard_path, write_shard
from pipeline.passes import piece
from pipeline.sample import Layout, Mask, Sample, sample_shards
from pipeline.streaming import FromDisk, FromModel, read

LENGTH = 16


@pytest.fixture
def contexts(tmp_path: Path, text_file: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> Contexts:
    """150 contexts of 16 tokens: three shards, the first of held-out documents alone, the last not full."""
    corpus = CorpusConfig(name="wiki", source=str(text_file), documents="wikitext")
    site = SiteConfig(name="s", model="m", corpus="wiki", layer=1, contexts=150, context_length=LENGTH, held_out=0.5)
    draw_contexts(corpus, site, tiny_tokenizer, 0, tmp_path / "c", lambda _: None)
    return load_contexts(tmp_path / "c")


@pytest.fixture
def activations(contexts: Contexts, tiny_model: Path) -> dict[int, torch.Tensor]:
    source = FromModel(ModelConfig(name="m", source=str(tiny_model)), (1,))
    return {shard: read(source, piece(contexts, shard))[1] for shard in range(Layout(contexts.count).count)}


@pytest.fixture
def kept(contexts: Contexts, activations: dict[int, torch.Tensor], tmp_path: Path) -> Kept:
    for shard, x in activations.items():
        write_shard(tmp_path / "kept", shard, {1: x})
    return Kept(tmp_path / "kept", 1, contexts, Mask(frozenset(), np.inf))


def test_statistics_are_those_of_the_unmasked_fitting_tokens(
    contexts: Contexts, activations: dict[int, torch.Tensor]
) -> None:
    special = int(contexts.tokens[0, 3])
    activations[1][5] *= 1000
    sample = Sample.of(contexts, activations, frozenset({special}), 10.0)
    is_special = np.asarray(contexts.tokens) == special
    allowed = ~is_special
    allowed[64, 5] = False
    masks = [
        sample.mask.allowed(contexts.tokens[Layout(150).span(shard)], activations[shard])
        for shard in sorted(activations)
    ]
    assert np.array_equal(np.concatenate(masks), allowed)
    counts = sample.mask.counts(np.asarray(contexts.tokens), allowed)
    assert counts == {"special": int(is_special.sum()), "sink": 1}

    everything = torch.cat([activations[shard] for shard in sorted(activations)])
    x = everything[torch.from_numpy((allowed & ~contexts.held_out[:, None]).reshape(-1))].double()
    statistics = sample.statistics(10.0)
    np.testing.assert_allclose(statistics.mean, x.mean(0), rtol=1e-5, atol=1e-7)
    assert statistics.spread == pytest.approx(float((x - x.mean(0)).square().sum(1).mean().sqrt()), rel=1e-6)
    assert statistics.gamma == pytest.approx(float(x.mean(0).norm()) / statistics.spread, rel=1e-6)
    held_out = everything[torch.from_numpy((allowed & contexts.held_out[:, None]).reshape(-1))]
    assert torch.equal(sample.part(held_out=True), held_out.float())


def test_a_sample_has_both_held_out_and_fitting_shards(contexts: Contexts) -> None:
    assert contexts.held_out[:64].all() and not contexts.held_out[-64:].any()
    first_fit = int(contexts.held_out.sum()) // 64
    assert sample_shards(contexts, 1, 1) == sorted({0, first_fit, min(first_fit + 1, 2)})
    assert sample_shards(contexts, 10**6, 10**6) == [0, 1, 2]


def test_activations_that_are_not_numbers_are_refused(contexts: Contexts, activations: dict[int, torch.Tensor]) -> None:
    activations[1][7, 3] = torch.inf
    source = FromModel(ModelConfig(name="m", source="nowhere"), (1,))
    with pytest.raises(UserError, match=r"layer 1 gives NaN or infinite activations \(shard 1\)"):
        read(source, piece(contexts, 1, {1: activations[1]}))


def test_kept_activations_are_read_back(kept: Kept, contexts: Contexts, activations: dict[int, torch.Tensor]) -> None:
    found = read(FromDisk(kept.folder), piece(contexts, 2))
    assert torch.equal(found[1], activations[2])
    fitting = np.repeat(~contexts.held_out, LENGTH)
    assert kept.fit_sizes() == [
        int(fitting[span].sum()) for span in (slice(0, 1024), slice(1024, 2048), slice(2048, None))
    ]
    rows = torch.cat([kept.fit_rows(shard) for shard in range(3) if kept.fit_sizes()[shard]])
    assert torch.equal(rows, torch.cat([activations[shard] for shard in range(3)])[torch.from_numpy(fitting)])


def test_damaged_or_missing_kept_activations_are_refused_by_name(kept: Kept, contexts: Contexts) -> None:
    path = shard_path(kept.folder, 1)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match=r"shard-000001.safetensors is not whole .* keep these activations again"):
        read(FromDisk(kept.folder), piece(contexts, 1))
    path.unlink()
    with pytest.raises(UserError, match="is not there"):
        read(FromDisk(kept.folder), piece(contexts, 1))


def test_kept_activations_are_looked_through_before_they_are_used(kept: Kept, contexts: Contexts) -> None:
    """By the headers of all shards, so that none turns out to be of no use in the middle of a pass."""
    wanted = Manifest("model", (1,), "corpus", 150, LENGTH, {})
    wanted.save(kept.folder)
    contexts.save(kept.folder / "contexts")
    found = kept_contexts(kept.folder, wanted, 32)
    assert np.array_equal(found.tokens, contexts.tokens)
    whole = read_shard(kept.folder, 1)
    for damaged, sentence in (
        (
            {1: whole[1][:-LENGTH]},
            r"shard-000001.*: layer-1 has shape \[1008, 32\], but \[1024, 32\] is what this site needs",
        ),
        ({1: whole[1][:, :8]}, r"layer-1 has shape \[1024, 8\], but \[1024, 32\]"),
        ({1: whole[1].flatten()}, r"layer-1 has shape \[32768\]"),
        ({2: whole[1]}, "layer-1 is absent"),
    ):
        write_shard(kept.folder, 1, damaged)
        with pytest.raises(UserError, match=sentence):
            kept_contexts(kept.folder, wanted, 32)
    shard_path(kept.folder, 1).unlink()
    with pytest.raises(UserError, match="is not there"):
        kept_contexts(kept.folder, wanted, 32)


def test_contexts_that_were_cut_short(contexts: Contexts, tmp_path: Path) -> None:
    for name in ("tokens.npy", "document.npy", "contexts.json"):
        path = tmp_path / "c" / name
        before = path.read_bytes()
        path.write_bytes(before[:50])
        with pytest.raises(
            UserError, match=r"c does not hold whole contexts \(.+\); delete .*, and make it again"
        ) as caught:
            load_contexts(tmp_path / "c")
        assert "\n" not in str(caught.value)
        path.write_bytes(before)


def test_activations_of_something_else_are_refused(tmp_path: Path) -> None:
    made = Manifest("model", (1, 3), "corpus", 150, 16, {})
    made.save(tmp_path)
    assert Manifest.load(tmp_path) == made
    for wanted, sentence in (
        (Manifest("model", (2, 3), "corpus", 150, 16, {}), "keeps layers 1, 3, but the build asks for layer 2"),
        (Manifest("other", (1,), "corpus", 150, 16, {}), "keeps activations of another model"),
        (Manifest("model", (1,), "other", 150, 16, {}), "keeps activations of another corpus"),
        (Manifest("model", (1,), "corpus", 151, 16, {}), "write contexts = 150"),
    ):
        with pytest.raises(UserError, match=sentence):
            made.check(wanted, tmp_path)
    with pytest.raises(UserError, match="holds no kept activations"):
        Manifest.load(tmp_path / "nowhere")
