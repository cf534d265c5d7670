from pathlib import Path
from typing import Any

import pytest
import torch

from app.errors import DartboardError
from pipeline.config import TopKSAEConfig
from pipeline.kept import Kept, read_shard
from pipeline.sample import Sample
from pipeline.train.loop import Trained, train
from pipeline.train.stream import batches
from pipeline.train.topk import TopKParameters, gradients
from tests.pipeline.test_sample import activations, contexts, kept  # noqa: F401 (fixtures)

M, K = 96, 6


def test_gradients_are_those_of_autograd() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(40, 12, generator=generator), dim=1)
    x = torch.randn(50, 12, generator=generator)
    p = TopKParameters.start(directions, x, 5)
    p.b_enc += 0.05 * torch.randn(40, generator=generator)
    p.b_dec += 0.1
    p.encoder += 0.1 * torch.randn(40, 12, generator=generator)

    leaves = [tensor.clone().requires_grad_() for tensor in p.tensors()]
    encoder, decoder, b_enc, b_dec = leaves
    pre = (x - b_dec) @ encoder.T + b_enc
    top = pre.topk(5, dim=1)
    codes = torch.zeros_like(pre).scatter(1, top.indices, top.values.relu())
    loss = (codes @ decoder + b_dec - x).square().sum(1).mean()
    loss.backward()

    step = gradients(p, x, 5)
    assert step.loss == pytest.approx(loss.item(), rel=1e-5)
    assert torch.equal(step.fired, codes.gt(0).any(0))
    radial = (decoder.grad * decoder).sum(1, keepdim=True) * decoder
    for mine, theirs in zip(
        p.tensors(), (encoder.grad, (decoder.grad - radial).detach(), b_enc.grad, b_dec.grad), strict=True
    ):
        torch.testing.assert_close(mine.grad, theirs, rtol=1e-4, atol=1e-5)


def run(kept: Kept, checkpoint: Path, advance: Any = lambda *_: None, **options: Any) -> Trained:  # noqa: F811
    config = TopKSAEConfig.model_validate(
        {
            **{"name": "sae", "title": "SAE", "kind": "topk-sae", "site": "s", "encoding": "centred", "seed": 0},
            **{"m": M, "k": K, "tokens": 64 * 600, "batch": 64, "learning_rate": 2e-3, "threads": 1},
            **options,
        }
    )
    raw = {shard: read_shard(kept.folder, shard)[1] for shard in range(kept.count)}
    sample = Sample(kept.contexts, raw, kept.mask)
    return train(config, kept, sample.part(held_out=False), sample.statistics(10.0), 0, checkpoint, advance)


def test_training_explains_more_and_keeps_decoder_rows_at_length_one(kept: Kept, tmp_path: Path) -> None:  # noqa: F811
    trained = run(kept, tmp_path / "c.pt")
    assert trained.curve[-1]["fve"] > trained.curve[0]["fve"] + 0.05
    assert trained.curve[-1]["l0"] <= K
    decoder = trained.dictionary.decoder
    assert decoder is not None
    torch.testing.assert_close(decoder.norm(dim=1), torch.ones(M))


def test_a_run_resumed_from_its_checkpoint_ends_on_the_same_bytes(kept: Kept, tmp_path: Path) -> None:  # noqa: F811
    whole = run(kept, tmp_path / "whole.pt")

    class Stopped(Exception):
        pass

    seen = 0

    def stop(tokens: int, _note: str) -> None:
        nonlocal seen
        seen += tokens
        if seen > 64 * 400:
            raise Stopped

    with pytest.raises(Stopped):
        run(kept, tmp_path / "part.pt", stop)
    state = torch.load(tmp_path / "part.pt", weights_only=True)
    assert 0 < state["step"] < 400
    resumed = run(kept, tmp_path / "part.pt")
    assert resumed.dictionary.hash() == whole.dictionary.hash()
    assert resumed.curve == whole.curve


def test_a_stream_starts_anywhere_in_the_same_sequence(kept: Kept) -> None:  # noqa: F811
    whole = batches(kept, 100, 7, 0)
    expected = [next(whole) for _ in range(60)]
    for start in (1, 19, 41):
        part = batches(kept, 100, 7, start)
        assert all(torch.equal(next(part), batch) for batch in expected[start : start + 15])
    tokens = torch.cat([kept.fit_rows(shard) for shard, size in enumerate(kept.fit_sizes()) if size])
    epoch = torch.cat(expected[: len(tokens) // 100])
    available, held = (
        dict(zip(map(tuple, rows.tolist()), counts.tolist(), strict=True))
        for rows, counts in (torch.unique(part, dim=0, return_counts=True) for part in (tokens, epoch))
    )
    assert all(count <= available[row] for row, count in held.items())  # no token twice in an epoch


def test_a_loss_that_is_no_number_stops_the_run(kept: Kept, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(DartboardError, match="lower learning_rate"):
        run(kept, tmp_path / "c.pt", learning_rate=1e30)
