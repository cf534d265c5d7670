"""The training loop: seeded, resumed to the same bytes, several dictionaries at a time, and what it refuses."""

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from app.errors import DartboardError, UserError
from pipeline.kept import Kept
from pipeline.train import loop
from pipeline.train.loop import train
from pipeline.train.stream import batches
from tests.pipeline.test_sample import activations, contexts, kept  # noqa: F401 (fixtures)
from tests.pipeline.training import D, M, Stopped, World, fve, options, run, stop_after, trainee

K = 3


def topk(**given: Any) -> Any:
    return options("topk-sae", k=K, **given)


def test_training_finds_what_the_activations_are_made_of() -> None:
    (trained,) = run(trainee("sae", topk()))
    assert fve(trained) > 0.8
    assert trained.curve[-1]["fve"] == pytest.approx(fve(trained), abs=0.03)
    assert 2 < trained.curve[-1]["l0"] <= K
    decoder = trained.dictionary.decoder
    assert decoder is not None
    torch.testing.assert_close(decoder.norm(dim=1), torch.ones(M))
    assert [point["tokens"] for point in trained.curve][-1] == 300 * 256


@pytest.mark.parametrize("stop", [100, 180])
def test_runs_resumed_from_their_checkpoints_end_on_the_same_bytes(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 40)

    def trainees(folder: str) -> list[Any]:
        path = tmp_path / folder
        return [
            trainee("a", topk(resample=2, dead_after=0.05), path / "a.pt", seed=1),
            trainee("b", topk(aux=0), path / "b.pt", m=30, seed=2),
        ]

    whole = run(*trainees("whole"))
    with pytest.raises(Stopped):
        run(*trainees("part"), advance=stop_after(256 * stop))
    state = torch.load(tmp_path / "part" / "a.pt", weights_only=True)
    assert state["done"] == stop // 40 * 40
    resumed = run(*trainees("part"))
    for mine, theirs in zip(resumed, whole, strict=True):
        assert mine.dictionary.hash() == theirs.dictionary.hash()
        assert mine.curve == theirs.curve


def test_dictionaries_trained_together_are_those_trained_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 40)
    both = run(trainee("a", topk(), seed=1), trainee("b", topk(), seed=2, m=40))
    (alone,) = run(trainee("a", topk(), seed=1))
    assert both[0].dictionary.hash() == alone.dictionary.hash() != both[1].dictionary.hash()

    with pytest.raises(Stopped):  # b is stopped, then a starts later: it catches up, and b waits
        run(trainee("b", topk(), tmp_path / "b.pt", seed=2, m=40), advance=stop_after(256 * 90))
    late = run(trainee("a", topk(), tmp_path / "a.pt", seed=1), trainee("b", topk(), tmp_path / "b.pt", seed=2, m=40))
    assert [one.dictionary.hash() for one in late] == [one.dictionary.hash() for one in both]


def test_the_number_of_threads_changes_nothing_but_the_time() -> None:
    (one,), (three,) = run(trainee("a", topk(threads=1))), run(trainee("a", topk(threads=3)))
    torch.testing.assert_close(one.dictionary.encoder, three.dictionary.encoder, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"learning_rate": 0.005}, "is of a run with other options"),
        ({"seed": 5}, "is of a run with other options, another start or other activations"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    change: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 10)
    path = tmp_path / "c.pt"
    with pytest.raises(Stopped):
        run(trainee("sae", topk(), path), advance=stop_after(256 * 20))
    seed = change.pop("seed", 0)
    with pytest.raises(UserError, match=sentence):
        run(trainee("sae", topk(**change), path, seed=seed))
    with pytest.raises(UserError, match="other activations"):
        run(trainee("sae", topk(), path), world=World(seed=9))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="is no checkpoint of training"):
        run(trainee("sae", topk(), path))


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 10)
    world, good, bad = World(), tmp_path / "good.pt", tmp_path / "bad.pt"

    def poisoned(start: int) -> Any:
        for number, x in enumerate(world.batches(256)(start), start):
            yield x * (float("inf") if number == 33 else 1)

    with pytest.raises(
        DartboardError, match=r"NaN or infinite at step 33; lower learning_rate .*last good checkpoint is .*bad.pt"
    ):
        train([trainee("sae", topk(), bad)], poisoned, world.tokens(4096, 1), world.units())
    with pytest.raises(Stopped):
        run(trainee("sae", topk(), good), advance=stop_after(256 * 33))
    mine, theirs = (torch.load(path, weights_only=True) for path in (bad, good))
    assert mine["done"] == theirs["done"] == 30
    assert torch.equal(mine["tensors"]["encoder"], theirs["tensors"]["encoder"])


def test_a_rate_that_is_far_too_high_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DartboardError, match="lower learning_rate"):
        run(trainee("sae", topk(learning_rate=1e30), tmp_path / "c.pt"))


def test_a_run_in_which_nothing_fires_any_more_stops() -> None:
    silenced = options("relu-sae", alpha=1e6, dead_after=0.05)
    with pytest.raises(DartboardError, match=r"no feature has fired .* all are dead; lower learning_rate or alpha"):
        run(trainee("sae", silenced))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="k = 9 is more than its m = 8 features"):
        run(trainee("sae", options("topk-sae", k=9), m=8))
    with pytest.raises(UserError, match="have the same batch"):
        run(trainee("a", topk()), trainee("b", topk(batch=128)))
    wide = dataclasses.replace(trainee("sae", topk()), directions=torch.eye(D + 1))
    with pytest.raises(
        UserError, match="directions of 25 numbers, but the activations have 24: they are of another model"
    ):
        run(wide)

    def short(start: int) -> Any:
        return itertools.islice(World().batches(256)(start), 7)

    with pytest.raises(UserError, match="ended after 1,792 tokens, of 76,800 that were asked for; lower tokens"):
        train([trainee("sae", topk())], short, World().tokens(4096, 1), World().units())


def test_progress_is_told_in_words() -> None:
    said: list[str] = []
    run(trainee("a", topk(tokens=256 * 20)), advance=lambda _, words: said.append(words))
    assert re.fullmatch(r"loss 0\.\d{3}, FVE 0\.\d{3}, L0 \d\.\d, dead \d+\.\d%", said[-1])


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


def test_a_batch_larger_than_what_is_shuffled_is_refused(kept: Kept) -> None:  # noqa: F811
    with pytest.raises(UserError, match=r"a batch of 100,000 tokens is more than the [\d,]+ fitting tokens"):
        next(batches(kept, 100_000, 7, 0))
