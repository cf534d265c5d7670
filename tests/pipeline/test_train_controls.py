"""Controls of training: what is frozen stays, what is held stays near, what is pushed apart moves apart."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from pipeline.dictionaries.directions import starting_rows
from pipeline.train import geometry
from pipeline.train.options import MatryoshkaOptions, TopKOptions, Training
from pipeline.train.resample import resampled_at
from tests.pipeline.training import D, M, World, fve, options, run, trainee

K = 3


def largest_cosines(rows: torch.Tensor) -> torch.Tensor:
    return (rows @ rows.T).fill_diagonal_(0).abs().amax(1)


@pytest.mark.parametrize("kind", ["topk-sae", "batch-topk-sae", "relu-sae"])
def test_a_frozen_side_stays_as_it_started(kind: str) -> None:
    given: dict[str, Any] = {"alpha": 0.05} if kind == "relu-sae" else {"k": K}
    reached = {}
    for frozen in ("none", "encoder", "decoder", "soft-decoder"):
        start = trainee("sae", options(kind, frozen=frozen, cosine=0.99, tokens=256 * 150, **given))
        (trained,) = run(start)
        made = trained.dictionary
        assert made.decoder is not None
        encoder = torch.nn.functional.normalize(made.encoder, dim=1)
        cosines = [torch.linalg.vecdot(rows, start.directions) for rows in (encoder, made.decoder)]
        stays = {"encoder": 0, "decoder": 1}.get(frozen)
        for side, found in enumerate(cosines):
            assert (float(found.min()) > 1 - 1e-5) == (side == stays)
        if frozen == "soft-decoder":
            assert float(cosines[1].min()) == pytest.approx(0.99, abs=1e-4)
        reached[frozen] = fve(trained)
    assert reached["none"] > reached["soft-decoder"] > reached["decoder"]
    assert reached["none"] > reached["encoder"]


def test_a_row_that_strays_is_turned_back_no_further_than_it_must() -> None:
    start = torch.eye(3)
    rows = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.9, 0.19**0.5], [0.0, -0.6, -0.8]])
    geometry.hold_near(rows, start, 0.8)
    expected = torch.tensor([[0.8, 0.6, 0.0], [0.0, 0.9, 0.19**0.5], [0.0, -0.6, 0.8]])
    torch.testing.assert_close(rows, expected)


def test_the_penalty_pushes_rows_apart() -> None:
    plain, apart = (run(trainee("sae", options("topk-sae", k=K, orthogonality=weight)))[0] for weight in (0.0, 3.0))
    assert plain.dictionary.decoder is not None and apart.dictionary.decoder is not None
    before, after = largest_cosines(plain.dictionary.decoder), largest_cosines(apart.dictionary.decoder)
    assert float(after.mean()) < 0.9 * float(before.mean())


def test_the_penalty_and_its_gradient_are_those_of_its_definition() -> None:
    rows = torch.nn.functional.normalize(torch.randn(40, 12, generator=torch.Generator().manual_seed(0)), dim=1)
    leaf = rows.clone().requires_grad_()
    gram = leaf @ leaf.T
    penalty = 0.3 * gram.masked_fill(torch.eye(40, dtype=torch.bool), 0).square().amax(1).mean()
    torch.autograd.backward(penalty)
    assert leaf.grad is not None
    gradient = torch.zeros(40, 12)
    assert geometry.push_apart(rows, gradient, 0.3, seed=1) == pytest.approx(penalty.item(), rel=1e-5)
    geometry.tangent(leaf.grad, rows)
    torch.testing.assert_close(gradient, leaf.grad, rtol=1e-4, atol=1e-7)


def test_the_geometric_median_is_not_moved_by_a_far_token() -> None:
    x = World().tokens(501, 4)
    spoilt = torch.cat([x, 1e6 * torch.ones(5, D)])
    centre = geometry.geometric_median(spoilt)
    slope = torch.nn.functional.normalize(spoilt - centre, dim=1).sum(0)
    assert float(slope.norm()) < 0.05  # where the sum of distances is least, the directions to all tokens cancel
    assert float((centre - x.mean(0)).norm()) < 1 < float((spoilt.mean(0) - x.mean(0)).norm())


@pytest.mark.parametrize("kind", ["data-points", "random-sign", "gaussian", "covariance-gaussian"])
def test_every_start_has_rows_of_length_one_and_depends_on_its_seed(kind: str) -> None:
    x = World().tokens(1000, 5)
    rows = starting_rows(kind, M, x, x.mean(0), 7)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(M))
    assert torch.equal(rows, starting_rows(kind, M, x, x.mean(0), 7))
    assert not torch.equal(rows, starting_rows(kind, M, x, x.mean(0), 8))


def test_dead_features_come_back() -> None:
    """Half the features start nearly across all tokens: left alone they never fire; AuxK and resampling wake them."""
    world, dead = World(), {}
    world.features[:, D // 2 :] = 0
    for name, given in {"alone": {"aux": 0}, "auxk": {"aux": 0.5}, "resampled": {"aux": 0, "resample": 4}}.items():
        start = trainee("sae", options("topk-sae", k=1, dead_after=0.05, **given))
        start.directions[M // 2 :, : D // 2] *= 0.01
        start.directions.div_(start.directions.norm(dim=1, keepdim=True))
        dead[name] = run(start, world=world)[0].curve[-1]["dead"]
    assert dead["alone"] >= 0.5
    assert dead["auxk"] < dead["alone"] - 0.1 and dead["resampled"] < dead["alone"] - 0.1


def test_resampling_is_over_by_half_of_the_run() -> None:
    assert resampled_at(1000, 4) == {125, 250, 375, 500} and resampled_at(1000, 0) == set()


@pytest.mark.parametrize(
    ("kind", "given", "sentence"),
    [
        (MatryoshkaOptions, {"groups": (0.5, 0.25, 1.0)}, "shares that rise"),
        (MatryoshkaOptions, {"groups": (0.25, 0.5)}, "shares that rise"),
        (TopKOptions, {"resample": 2, "frozen": "decoder"}, "what is frozen can't be started anew"),
    ],
)
def test_options_that_contradict_each_other_are_refused(kind: type[Training], given: Any, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        kind.model_validate(given)
