"""ReLU, JumpReLU and Gated dictionaries, trained in a small world where the truth is known."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import starting_rows
from pipeline.formats import read, write_saelens
from pipeline.lab.inner_products import nearest_to
from pipeline.lab.toy_world import World
from pipeline.train.families import FAMILIES
from pipeline.train.family import Moment, Start, Units
from pipeline.train.loop import train
from pipeline.train.options import GatedOptions, JumpReLUOptions, ReLUOptions, Training
from pipeline.train.run import Trained, Trainee

WORLD = World(n=24, h=32, active=2.0)
M, BATCH, STEPS = 40, 128, 600
SHARED: dict[str, Any] = {
    "tokens": BATCH * STEPS, "batch": BATCH, "learning_rate": 0.01, "decay": 0.5, "start": "gaussian", "threads": 1,
}  # fmt: skip
OPTIONS: dict[str, Any] = {
    "relu": ReLUOptions(alpha=0.15, **SHARED),
    "relu, bare": ReLUOptions(alpha=0.15, decoder_bias=False, **SHARED),
    "jumprelu": JumpReLUOptions(alpha=0.02, bandwidth=0.1, threshold=0.05, **SHARED),
    "gated": GatedOptions(alpha=0.3, **SHARED),
    "gated, no step": GatedOptions(alpha=0.3, step=False, **SHARED),
}
# Two features are active on average; the weakest do not pay for their penalty, and what an L1 penalty shrinks it leaves on.
L0 = {"relu": (2, 3.5), "relu, bare": (2, 3.5), "jumprelu": (1.3, 2), "gated": (1.6, 2.4), "gated, no step": (2, 3.2)}
RULES = {"relu": "relu", "relu, bare": "relu", "jumprelu": "jumprelu", "gated": "gated", "gated, no step": "relu"}


def run(
    options: Training, checkpoint: Path | None = None, advance: Callable[[int, str], None] = lambda *_: None
) -> Trained:
    units = WORLD.units(centred=getattr(options, "decoder_bias", True))
    sample = WORLD.sample(4096, 1)
    directions = starting_rows(options.start, M, sample, units.centre, 2)
    (made,) = train(
        [Trainee("sae", options, directions, 3, checkpoint)], partial(WORLD.batches, BATCH, 4), sample, units, advance
    )
    return made


@pytest.fixture(scope="module")
def trained() -> Callable[[str], Trained]:
    made: dict[str, Trained] = {}

    def get(name: str) -> Trained:
        if name not in made:
            made[name] = run(OPTIONS[name])
        return made[name]

    return get


def judged(dictionary: Dictionary) -> tuple[float, float]:
    """L0 and FVE on samples of their own."""
    x = WORLD.sample(4096, 5)
    codes = dictionary.encode(x)
    left = (dictionary.decode(codes) - x).square().sum() / (x - x.mean(0)).square().sum()
    return len(codes.index) / len(x), 1 - float(left)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_family_finds_the_true_features_at_the_expected_l0_and_fve(name: str, trained) -> None:
    made = trained(name)
    l0, fve = judged(made.dictionary)
    low, high = L0[name]
    assert (made.dictionary.rule, made.dictionary.kind) == (RULES[name], OPTIONS[name].kind)
    assert low < l0 < high
    assert fve > 0.94
    assert float(nearest_to(WORLD.features, made.dictionary.decoder).mean()) > 0.95
    assert made.curve[-1]["l0"] == pytest.approx(l0, rel=0.2)
    assert made.curve[-1]["fve"] == pytest.approx(fve, abs=0.05)
    torch.testing.assert_close(made.dictionary.decoder.norm(dim=1), torch.ones(M))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_larger_penalty_leaves_fewer_features_on(name: str, trained) -> None:
    more = OPTIONS[name].model_copy(update={"alpha": 3 * OPTIONS[name].alpha})
    (l0, fve), (before, fve_before) = judged(run(more).dictionary), judged(trained(name).dictionary)
    assert l0 < before
    assert fve < fve_before


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_that_was_stopped_ends_on_the_same_bytes(name: str, trained, tmp_path: Path) -> None:
    seen = 0

    class Stopped(Exception):
        pass

    def stop(tokens: int, _note: str) -> None:
        nonlocal seen
        seen += tokens
        if seen > BATCH * 400:
            raise Stopped

    with pytest.raises(Stopped):
        run(OPTIONS[name], tmp_path / "checkpoint.pt", stop)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["done"] == 250
    resumed = run(OPTIONS[name], tmp_path / "checkpoint.pt")
    assert resumed.dictionary.hash() == trained(name).dictionary.hash()
    assert resumed.curve == trained(name).curve


@pytest.mark.parametrize("name", OPTIONS)
def test_a_trained_dictionary_survives_saelens_format(name: str, trained, tmp_path: Path) -> None:
    made = trained(name).dictionary
    write_saelens(made, tmp_path)
    again = read(tmp_path)
    assert (again.rule, again.kind) == (made.rule, made.kind)
    x = WORLD.sample(500, 6)
    codes, same = made.encode(x), again.encode(x)
    assert torch.equal(codes.index, same.index)
    torch.testing.assert_close(again.decode(same), made.decode(codes), atol=1e-5, rtol=1e-5)


def begin(options: Training) -> tuple[Any, Tensor]:
    """A family some way from its start, so that no gradient is 0 by symmetry; and a batch."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(30, 24, generator=generator), dim=1)
    family = FAMILIES[options.kind](options, Start(directions, WORLD.sample(500, 7), 0))
    for tensor in family.tensors.values():
        tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.1)
    return family, WORLD.sample(64, 8)


def moment(sparsity: float) -> Moment:
    return Moment(step=0, progress=0.0, sparsity=sparsity, dead=torch.zeros(30, dtype=torch.bool))


@pytest.mark.parametrize("biased", [True, False])
def test_gradients_of_relu_are_those_of_autograd(biased: bool) -> None:
    family, x = begin(ReLUOptions(alpha=0.2, decoder_bias=biased))
    t = {name: tensor.clone().requires_grad_() for name, tensor in family.tensors.items()}
    codes = ((x - t["b_dec"]) @ t["encoder"].T + t["b_enc"]).relu()
    loss = ((codes @ t["decoder"] + t["b_dec"] - x).square().sum() + 0.2 * 0.5 * codes.sum()) / len(x)
    loss.backward()
    step = family.step(x, moment(sparsity=0.5))
    assert step.loss == pytest.approx(loss.item(), rel=1e-5)
    assert step.l0 == pytest.approx(float((codes > 0).sum()) / len(x))
    for name, tensor in family.tensors.items():
        expected = t[name].grad if biased or name != "b_dec" else torch.zeros(24)
        torch.testing.assert_close(tensor.grad, expected, rtol=1e-4, atol=1e-5)


def test_thresholds_of_jumprelu_get_the_estimated_slope_of_both_terms() -> None:
    bandwidth, alpha = 0.2, 0.3
    family, x = begin(JumpReLUOptions(alpha=alpha, bandwidth=bandwidth, threshold=0.2))
    t = {name: tensor.clone() for name, tensor in family.tensors.items()}
    threshold = t["log_threshold"].exp()
    z = ((x - t["b_dec"]) @ t["encoder"].T + t["b_enc"]).relu()
    codes = z * (z > threshold)
    error = codes @ t["decoder"] + t["b_dec"] - x
    near = ((z - threshold).abs() < bandwidth / 2) / bandwidth
    slope = -near * (threshold * (2 * error @ t["decoder"].T) + alpha)  # of the loss in the threshold
    family.step(x, moment(sparsity=1))
    torch.testing.assert_close(family.tensors["log_threshold"].grad, slope.sum(0) / len(x) * threshold)
    passed = (2 * error @ t["decoder"].T) * (z > threshold)  # the count has no slope in z
    torch.testing.assert_close(
        family.tensors["encoder"].grad, passed.T @ (x - t["b_dec"]) / len(x), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("step", [True, False])
def test_the_auxiliary_loss_of_gated_does_not_move_the_decoder(step: bool) -> None:
    family, x = begin(GatedOptions(alpha=0.2, step=step))
    t = family.tensors
    inner = (x - t["b_dec"]) @ t["encoder"].T
    gate = (inner + t["b_gate" if step else "b_enc"]).relu()
    gain = t["r_mag"].exp()
    codes = (inner * gain + t["b_enc"]).relu() * (gate > 0) if step else gate * gain
    error, beside = codes @ t["decoder"] + t["b_dec"] - x, gate @ t["decoder"] + t["b_dec"] - x
    loss = (error.square().sum() + 0.2 * gate.sum() + beside.square().sum()) / len(x)
    found = family.step(x, moment(sparsity=1))
    assert found.loss == pytest.approx(float(loss), rel=1e-5)
    torch.testing.assert_close(t["decoder"].grad, codes.T @ error * (2 / len(x)), rtol=1e-4, atol=1e-5)
    if step:  # the gate learns from the penalty and from what stands beside, through nothing else
        through = (0.2 + 2 * beside @ t["decoder"].T) * (gate > 0)
        torch.testing.assert_close(t["b_gate"].grad, through.sum(0) / len(x), rtol=1e-4, atol=1e-5)


def test_relu_without_a_decoder_bias_keeps_it_at_zero(trained) -> None:
    assert not bool(trained("relu, bare").dictionary.b_dec.any())
    assert bool(trained("relu").dictionary.b_dec.any())


def test_activations_may_lie_far_from_zero() -> None:
    """Training units take the centre and the spread out; the dictionary has them in."""
    shift = 5 * torch.ones(WORLD.n)

    def far(start: int) -> Any:
        return (3 * x + shift for x in WORLD.batches(BATCH, 4, start))

    sample = 3 * WORLD.sample(4096, 1) + shift
    units = Units(sample.mean(0), 3.0, WORLD.units(centred=True).variance)
    options = OPTIONS["gated"]
    directions = starting_rows(options.start, M, sample, units.centre, 2)
    (made,) = train([Trainee("sae", options, directions, 3)], far, sample, units)
    codes = made.dictionary.encode(sample)
    left = (made.dictionary.decode(codes) - sample).square().sum() / (sample - sample.mean(0)).square().sum()
    assert float(left) < 0.06
    assert 1.3 < len(codes.index) / len(sample) < 3
