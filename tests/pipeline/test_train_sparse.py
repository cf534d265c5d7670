"""The sparse families: gradients, expected L0 and FVE, and the way through SAELens's format."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.formats.read import read
from pipeline.formats.saelens import write_saelens
from pipeline.train import loop
from pipeline.train.auxiliary import stride
from pipeline.train.batch_topk import BatchTopK
from pipeline.train.family import Moment, Start
from pipeline.train.matryoshka import Matryoshka
from pipeline.train.sparse import Sparse
from pipeline.train.topk import TopK
from tests.pipeline.training import D, M, Stopped, World, fve, options, run, stop_after, trainee

K = 3
KINDS: dict[str, dict[str, Any]] = {
    "topk-sae": {},
    "batch-topk-sae": {},
    "matryoshka-sae": {"groups": (0.25, 0.5, 1.0)},
}
CLASSES: dict[str, Any] = {"topk-sae": TopK, "batch-topk-sae": BatchTopK, "matryoshka-sae": Matryoshka}
N = 300


def made(kind: str) -> tuple[Sparse, Tensor]:
    """A family a little away from its start, in float32 alone, and a batch."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(M, D, generator=generator), dim=1)
    x = torch.randn(N, D, generator=generator) / D**0.5
    family: Sparse = CLASSES[kind](options(kind, k=K, **KINDS[kind]), Start(directions, x, 0))
    family.in_float32()
    family.tensors["b_enc"] += 0.02 * torch.randn(M, generator=generator)
    family.tensors["b_dec"] += 0.01
    family.tensors["encoder"] += 0.05 * torch.randn(M, D, generator=generator)
    return family, x


def dense(kind: str, p: dict[str, Tensor], x: Tensor, dead: Tensor, aux: float) -> tuple[Tensor, Tensor]:
    """The same loss with every product written out, and the codes."""
    pre = (x - p["b_dec"]) @ p["encoder"].T + p["b_enc"]
    if kind == "topk-sae":
        top = pre.topk(K, dim=1)
        codes = torch.zeros_like(pre).scatter(1, top.indices, top.values.relu())
    else:
        least = pre.flatten().topk(K * len(x)).values.min()
        codes = pre.relu() * (pre >= least)
    ends = [round(share * M) for share in KINDS[kind].get("groups", (1.0,))]
    errors = [x - (codes[:, :end] @ p["decoder"][:end] + p["b_dec"]) for end in ends]
    loss = torch.stack([error.square().sum(1).mean() for error in errors]).mean()
    if bool(dead.any()):
        every = stride(int(dead.sum()), len(dead))
        left = errors[-1].detach()[::every]
        pre = (x - p["b_dec"]).detach()[::every] @ p["encoder"][dead].T + p["b_enc"][dead]
        top = pre.topk(min(int(dead.sum()), D // 2), dim=1)
        waking = torch.zeros_like(pre).scatter(1, top.indices, top.values.relu())
        loss = loss + aux * (waking @ p["decoder"][dead] - left).square().sum() / left.square().sum()
    return loss, codes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share_dead", [0.0, 0.4, 0.9])
def test_gradients_are_those_of_autograd(kind: str, share_dead: float) -> None:
    family, x = made(kind)
    dead = torch.rand(M, generator=torch.Generator().manual_seed(1)) < share_dead
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in family.tensors.items()}
    loss, codes = dense(kind, leaves, x, dead, family.options.aux)
    torch.autograd.backward(loss)
    step = family.step(x, Moment(0, 0.0, 1.0, dead))
    assert step.loss == pytest.approx(loss.item(), rel=1e-5)
    assert step.l0 == pytest.approx(float((codes > 0).sum() / N))
    assert torch.equal(step.fired, (codes > 0).any(0))
    for name, tensor in family.tensors.items():
        expected = leaves[name].grad
        assert expected is not None
        if name == "decoder":
            expected = expected - (expected * tensor).sum(1, keepdim=True) * tensor
        torch.testing.assert_close(tensor.grad, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_family_explains_the_world_with_as_many_features_as_it_may(kind: str) -> None:
    (trained,) = run(trainee("sae", options(kind, k=K, **KINDS[kind])))
    assert fve(trained) > 0.8
    codes = trained.dictionary.encode(World().tokens(4096, 2))
    l0 = len(codes.index) / 4096
    assert l0 <= K if kind == "topk-sae" else l0 == pytest.approx(K, rel=0.1)
    assert l0 > 0.8 * K


def test_a_matryoshka_explains_more_with_its_first_features_alone() -> None:
    found = {}
    for kind in ("batch-topk-sae", "matryoshka-sae"):
        (trained,) = run(trainee("sae", options(kind, k=K, **KINDS[kind])))
        x, made = World().tokens(4096, 2), trained.dictionary
        codes = made.encode(x)
        assert made.decoder is not None
        first = dataclasses.replace(codes, value=codes.value * (codes.index < M // 4))
        error = x - made.b_dec - first.decode(made.decoder)
        found[kind] = 1 - float(error.square().sum() / (x - x.mean(0)).square().sum())
    assert found["matryoshka-sae"] > found["batch-topk-sae"] + 0.05


@pytest.mark.parametrize("kind", ["batch-topk-sae", "matryoshka-sae"])
def test_a_resumed_run_ends_on_the_same_bytes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 20)
    chosen = options(kind, k=K, tokens=256 * 60, **KINDS[kind])
    (whole,) = run(trainee("sae", chosen))
    with pytest.raises(Stopped):
        run(trainee("sae", chosen, tmp_path / "c.pt"), advance=stop_after(256 * 50))
    (resumed,) = run(trainee("sae", chosen, tmp_path / "c.pt"))
    assert resumed.dictionary.hash() == whole.dictionary.hash()
    assert resumed.curve == whole.curve


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_dictionary_survives_saelens_format(kind: str, tmp_path: Path) -> None:
    (trained,) = run(trainee("sae", options(kind, k=K, tokens=256 * 60, **KINDS[kind])))
    write_saelens(trained.dictionary, tmp_path / "sae")
    back = read(tmp_path / "sae")
    x = World().tokens(500, 3)
    mine, theirs = trained.dictionary.encode(x), back.encode(x)
    assert torch.equal(mine.index, theirs.index)
    torch.testing.assert_close(mine.value, theirs.value)
    torch.testing.assert_close(trained.dictionary.decode(mine), back.decode(theirs))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_a_dense_reference_after_equal_tokens(kind: str) -> None:
    """The fast step chooses by a product in bfloat16: after 200 steps that is worth less than 1% of the loss."""
    chosen = options(kind, k=K, tokens=256 * 200, clip=1e9, aux=0, **KINDS[kind])
    world, start = World(), trainee("sae", chosen)
    (fast,) = run(start)
    units, x = world.units(), world.units().of(world.tokens(4096, 1))
    family: Sparse = CLASSES[kind](chosen, Start(start.directions, x, 0))
    p = {name: tensor.clone().requires_grad_() for name, tensor in family.tensors.items()}
    optimiser = torch.optim.Adam(p.values(), lr=chosen.rate(M))
    losses = []
    torch.set_num_threads(1)
    for number, batch in zip(range(200), world.batches(256)(0), strict=False):
        for group in optimiser.param_groups:
            group["lr"] = chosen.rate(M) * min(1.0, (number / 200 + 1e-9) / 0.05, (1 - number / 200) / 0.5)
        loss, _ = dense(kind, p, units.of(batch), torch.zeros(M, dtype=torch.bool), 0.0)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        with torch.no_grad():
            assert p["decoder"].grad is not None
            p["decoder"].grad -= (p["decoder"].grad * p["decoder"]).sum(1, keepdim=True) * p["decoder"]
            optimiser.step()
            p["decoder"] /= p["decoder"].norm(dim=1, keepdim=True)
        losses.append(float(loss.detach()))
    last = [point["loss"] for point in fast.curve[-20:]]  # 100 points: two steps each
    assert sum(last) / 20 == pytest.approx(sum(losses[-40:]) / 40, rel=0.01)


@pytest.mark.parametrize(("dead", "every"), [(1, 8), (128, 8), (129, 16), (300, 24), (512, 32), (1024, 32)])
def test_the_price_of_waking_features_is_about_the_same(dead: int, every: int) -> None:
    assert stride(dead, 1024) == every
