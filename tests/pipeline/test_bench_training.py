"""The bench of training steps: what it gives all tools, what it compares, and what it says of a tool that can't be run."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.bench import training
from pipeline.bench.shapes import S
from pipeline.bench.training import Dense, Steps, compare, made_activations, our_speed, run, unexplained, write_inputs
from pipeline.bench.training_rows import training_rows
from pipeline.train.family import Moment, Start
from pipeline.train.options import TopKOptions
from pipeline.train.topk import TopK

TINY = dataclasses.replace(S, d=16, m=96, k=4)
STEPS = Steps(1, 2, 40)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "BATCH", 256)


def test_all_tools_are_given_the_same_activations(tmp_path: Path) -> None:
    x = write_inputs(TINY, STEPS, tmp_path)
    given = load_file(tmp_path / "activations.safetensors")["x"]
    assert torch.equal(given, x[:-256])
    assert json.loads((tmp_path / "steps.json").read_text()) == {
        **{"d": 16, "m": 96, "k": 4, "batch": 256, "warm": 1, "steps": 2}
    }


def test_steps_are_timed_and_train() -> None:
    x = made_activations(16, 48, 256 * 12, 0)
    assert our_speed(TINY, x, STEPS, 1) > 0
    mean = x[:-256].mean(0)
    few, many = (unexplained(run(TINY, x, steps, 1), x[-256:], mean) for steps in (2, 60))
    assert many < few < 1


def test_the_dense_rule_has_the_same_loss_and_gradients() -> None:
    """So that what is compared is the arithmetic, and nothing else; some features dead, so that AuxK takes part.

    Ours chooses features by products in bfloat16, so that of near equals the other one may fire.
    """
    x = made_activations(16, 48, 256, 1)
    start = Start(torch.nn.functional.normalize(x[:96] - x.mean(0)), x - x.mean(0), 0)
    moment = Moment(3, 0.5, 1.0, torch.arange(96) % 3 == 0)
    ours, dense = TopK(TopKOptions(k=4, threads=1), start), Dense(TopKOptions(k=4, threads=1), start)
    found = ours.step(start.x, moment)
    wanted = dense.step(start.x, moment)
    assert found.loss == pytest.approx(wanted.loss, rel=0.01)
    assert found.residual == pytest.approx(wanted.residual, rel=0.01)
    assert float((found.fired == wanted.fired).float().mean()) > 0.95
    for name, tensor in ours.tensors.items():
        mine, theirs = tensor.grad, dense.tensors[name].grad
        assert mine is not None
        assert theirs is not None
        if name == "decoder":  # ours has its part along the rows taken away already
            rows = dense.tensors["decoder"]
            theirs = theirs - torch.linalg.vecdot(theirs, rows)[:, None] * rows
        assert float(torch.cosine_similarity(mine.reshape(-1), theirs.reshape(-1), dim=0)) > 0.99, name


def test_the_losses_come_out_alike() -> None:
    x = made_activations(16, 48, 256 * 12, 0)
    found = compare(TINY, x, STEPS, 1)
    assert found.tokens == 40 * 256
    assert 0 < found.dense < 1
    assert found.gap < 0.05


def environments(folder: Path, speeds: dict[str, str]) -> Iterator[str]:
    """What stands for the tools' own interpreters: each says what a tool would."""
    for tool, says in speeds.items():
        python = folder / tool / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\n{says}\n")
        python.chmod(0o755)
        (folder / tool / "ready").touch()
        yield tool


def test_a_row_for_each_tool_and_a_miss_for_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S", "G"):
        monkeypatch.setattr(f"pipeline.bench.training_rows.{name}", dataclasses.replace(TINY, name=name.lower()))
    says = {"sae-lens": """echo '{"tokens a second": 1e-3}'""", "sparsify": "echo no such thing >&2; exit 1"}
    assert list(environments(tmp_path / "others", says)) == ["sae-lens", "sparsify"]
    rows = list(training_rows(tmp_path / "work", tmp_path / "others", 1, quick=True))
    assert [row.shape for row in rows] == ["s"] * 3 + ["g"] * 3
    assert [row.mark for row in rows[:2]] == ["pass", "miss"]
    assert "no such thing" in rows[1].says
    assert rows[0].figure > 8
