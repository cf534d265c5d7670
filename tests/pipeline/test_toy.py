"""The toy world, and what `dartboard lab toy` measures in it."""

import csv
import json
import math
import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from app.cli import Commands
from app.errors import UserError
from pipeline.engines.local import Local
from pipeline.kept import Manifest, write_shard
from pipeline.lab import cli, superposition, theory, toy_arms, toy_cells, toy_figures, toy_plan
from pipeline.lab.toy_cells import Cell
from pipeline.lab.toy_layer import Layer
from pipeline.lab.toy_world import World
from pipeline.train.options import ReLUOptions

TINY = World(n=16, h=24, active=2.0)
OPTIONS = ReLUOptions(alpha=0.1, decoder_bias=False, tokens=64 * 40, batch=64, learning_rate=0.01, threads=1)


@pytest.mark.parametrize("frequencies", ["uniform", "decay", "zipf"])
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_features_are_as_frequent_as_the_world_says(frequencies: str, correlation: float) -> None:
    world = World(32, 80, frequencies, correlation, active=3.0)
    assert world.chances.sum() == pytest.approx(3)
    ratio = world.chances[9] / world.chances[0]
    assert ratio == pytest.approx({"uniform": 1, "decay": 0.99**9, "zipf": 0.1}[frequencies])
    active = world.samples(40_000, 1).active.double()
    noise = 5 * np.sqrt(world.chances / 40_000)
    assert (np.abs(active.mean(0).numpy() - world.chances) < noise).all()
    together = float((active[:, 10] * active[:, 11]).mean())
    by_chance = world.chances[10] * world.chances[11]
    if correlation:
        assert together > 4 * by_chance
    else:
        assert together == pytest.approx(by_chance, abs=5 * math.sqrt(by_chance / 40_000))
    apart = float((active[:, 11] * active[:, 12]).mean())  # of two pairs
    assert apart == pytest.approx(world.chances[11] * world.chances[12], abs=5 * math.sqrt(by_chance / 40_000))


def test_samples_are_sums_of_active_features_with_coefficients_up_to_one() -> None:
    world = World(n=64, h=32, active=2.0)  # few enough to be solved for
    found = world.samples(500, 3)
    coefficients = torch.linalg.lstsq(world.features.T.double(), found.x.T.double()).solution.T
    assert float(coefficients[~found.active].abs().max()) < 1e-5
    inside = coefficients[found.active]
    assert 0 <= float(inside.min()) < 0.02
    assert 0.98 < float(inside.max()) <= 1
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("frequencies", ["uniform", "zipf"])
def test_units_hold_the_mean_and_the_variance(frequencies: str) -> None:
    world = World(32, 80, frequencies, active=3.0)
    x = world.sample(40_000, 1).double()
    units = world.units(centred=True)
    torch.testing.assert_close(units.centre.double(), x.mean(0), atol=0.02, rtol=0)
    assert units.variance == pytest.approx(float((x - x.mean(0)).square().sum(1).mean()), rel=0.02)
    assert not bool(world.units(centred=False).centre.any())


def test_batches_start_anywhere_in_the_same_sequence() -> None:
    whole = list(islice(TINY.batches(8, 5, 0), 6))
    part = list(islice(TINY.batches(8, 5, 4), 2))
    assert all(torch.equal(one, other) for one, other in zip(part, whole[4:], strict=True))
    assert not torch.equal(whole[0], whole[1])
    assert not torch.equal(whole[0], next(TINY.batches(8, 6, 0)))


def test_a_world_with_more_active_than_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="4 features, zipf, cannot be 3 at a time"):
        _ = World(16, 4, "zipf", active=3.0).chances


def test_purity_counts_the_best_feature_and_what_chance_would_give() -> None:
    active = torch.zeros(100, 3, dtype=torch.bool)
    active[:20, 0] = True
    active[:50, 1] = True
    top = torch.stack([torch.arange(20), torch.arange(35, 55), torch.arange(60, 80)])
    found = superposition.purity(top, active)
    assert found.mean == pytest.approx((1 + 15 / 20 + 0) / 3)
    assert found.monosemantic == pytest.approx(1 / 3)
    # All of one feature; .75 of one that half the samples have; none of any: at best the third, which nothing has.
    assert found.beyond == pytest.approx((1 + (0.75 - 0.5) / 0.5 + 0) / 3)


def test_monosemantic_begins_at_exactly_four_fifths() -> None:
    active = torch.zeros(100, 1, dtype=torch.bool)
    active[:16, 0] = True
    assert superposition.purity(torch.arange(20)[None], active).monosemantic == 1
    active[15, 0] = False
    assert superposition.purity(torch.arange(20)[None], active).monosemantic == 0


def test_a_bend_is_found_where_a_line_becomes_level() -> None:
    losses = {m: 0.3 + 0.002 * max(0, 500 - m) for m in (128, 256, 384, 512, 640, 1024, 4096)}
    assert toy_figures.bend(losses) == pytest.approx(500, abs=3)


def test_what_two_dictionaries_share_is_counted_once() -> None:
    rows = torch.eye(8)[[0, 0, 1, 2, 3]]
    assert toy_figures.shared(rows, torch.eye(8)[[0, 1, 2, 5]]) == 3
    assert toy_figures.shared(rows, torch.empty(0, 8)) == 0


def judged(m: int, alive: int) -> toy_figures.Judged:
    figures = toy_figures.Figures(alpha=0.1, m=m, loss=0, residual=0, fve=0, l1=0, l0=0, alive=alive)
    return toy_figures.Judged(figures, torch.eye(4))


def test_living_features_count_where_a_dictionary_has_room_to_spare() -> None:
    assert toy_figures.spare([judged(256, 250), judged(512, 505), judged(1024, 515), judged(2048, 900)]) == 515
    assert toy_figures.spare([judged(256, 250), judged(512, 505)]) == 505


def test_figures_of_the_true_dictionary() -> None:
    world = World(n=64, h=32, active=2.0)
    features = world.features
    from pipeline.dictionaries import Dictionary

    orthogonal = torch.linalg.pinv(features.double()).T.float()  # reads coefficients exactly
    truth = Dictionary("made", "relu", orthogonal, torch.full((32,), -1e-4), features, torch.zeros(64))
    figures = toy_figures.judge(truth, 0.5, world.sample(4000, 1), features).figures
    assert figures.mmcs == pytest.approx(1, abs=1e-5)
    assert (figures.found, figures.alive) == (32, 32)
    assert figures.fve > 0.999
    assert figures.l0 == pytest.approx(2, abs=0.1)
    assert figures.loss == pytest.approx(figures.residual + 0.5 * figures.l1)
    assert figures.l1 == pytest.approx(1, abs=0.05)


def test_needed_directions_are_those_that_the_law_says() -> None:
    found = toy_arms.needed(2**21, 0)
    counted = [one for one in found if one.simulated is not None]
    assert len(counted) >= 15
    assert all(one.simulated == pytest.approx(one.theory, abs=0.02 + 2.2 / math.sqrt(one.seen)) for one in counted)
    unseen = next(one for one in found if (one.n, one.cosine) == (256, 0.5))
    assert (unseen.simulated, unseen.seen) == (None, 0)
    assert unseen.theory == pytest.approx(-theory.log10_chance_of_cosine(256, 0.5))


def test_a_cell_is_trained_once_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    cells = [Cell(TINY, OPTIONS, m, 0) for m in (12, 20)]
    told: list[int] = []
    with Local(1) as engine:
        made = toy_cells.trained(cells, tmp_path, engine, told.append)
        stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        again = toy_cells.trained([*cells, cells[0]], tmp_path, engine)
        assert len(stamps) == 2
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps
        min(stamps).unlink()  # as if the run had been stopped before it
        anew = toy_cells.trained(cells, tmp_path, engine)
    assert sum(told) == sum(map(toy_cells.work, cells))
    hashes = [one.hash() for one in made]
    assert [one.hash() for one in again] == [*hashes, hashes[0]]
    assert [one.hash() for one in anew] == hashes


def test_whatever_is_asked_for_names_the_cell() -> None:
    cell = Cell(TINY, OPTIONS, 12, 0)
    others = [
        Cell(TINY, OPTIONS, 13, 0),
        Cell(TINY, OPTIONS, 12, 1),
        Cell(World(16, 24, active=2.0, seed=1), OPTIONS, 12, 0),
        Cell(TINY, OPTIONS.model_copy(update={"alpha": 0.2}), 12, 0),
    ]
    assert len({one.name for one in [cell, *others]}) == 5


def test_the_grid_covers_the_known_range_at_every_size() -> None:
    sizes = toy_plan.FULL
    cells = toy_plan.grid(sizes, toy_plan.world_of(sizes, "uniform", 0.0, 0), 0)
    pairs = {(toy_plan.alpha_of(cell), cell.m) for cell in cells}
    assert {(alpha, m) for alpha in (0.03, 0.1, 0.3) for m in (256, 512, 1024, 2048, 4096)} <= pairs
    assert {alpha for alpha, _ in pairs} - {0.03, 0.1, 0.3}
    assert all(cell.options.decoder_bias is False for cell in cells)
    worlds = toy_plan.worlds_of(sizes, 0)
    assert {(world.h < sizes.arms, world.frequencies) for world in worlds} == {
        (True, "uniform"), (True, "zipf"), (False, "uniform"), (False, "zipf"),
    }  # fmt: skip


# The command, run once.


@pytest.fixture(scope="module")
def command() -> typer.Typer:
    root = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
    root.registered_groups.extend(cli.app.registered_groups)
    root.callback()(lambda: None)
    return root


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kept activations of a layer of width 16; its first tokens are sinks."""
    folder = tmp_path_factory.mktemp("kept")
    random = np.random.default_rng(0)
    for shard in range(3):
        x = torch.from_numpy(random.standard_normal((1000, 16), np.float32)) + 3
        x[:10] *= 100
        write_shard(folder, shard, {2: x})
    Manifest("model", (2,), "corpus", 192, 16, {}).save(folder)
    return folder


@pytest.fixture(scope="module")
def folders(command, layer: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """What the command printed, and its two folders."""
    folder = tmp_path_factory.mktemp("toy")
    data, out = folder / "data", folder / "out"
    result = CliRunner().invoke(command, [*quick(layer), "--data", str(data), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return result.stdout, data, out


def quick(layer: Path) -> list[str]:
    return ["lab", "toy", "--quick", "--workers", "1", "--activations", str(layer), "--layer", "2"]


@pytest.mark.slow
def test_the_command_finds_the_features_and_says_how_many(folders) -> None:
    printed, _, _ = folders
    assert " NO " not in printed
    for table in ("MMCS of ReLU dictionaries", "Estimates of the number of features", "A layer of a model"):
        assert table in printed
    assert len(re.findall(r"\| α = 0\.\d, J = \d+ .* yes ", printed)) == 4


@pytest.mark.slow
def test_trained_directions_are_purer_than_data_points_and_those_than_random_ones(folders) -> None:
    _, _, out = folders
    rows = list(csv.DictReader((out / "purity.csv").read_text("utf-8").splitlines()))
    assert {(row["h"], row["frequencies"]) for row in rows} == {
        ("128", "uniform"), ("128", "zipf"), ("512", "uniform"), ("512", "zipf"),
    }  # fmt: skip
    purity = {row["kind"]: float(row["mean"]) for row in rows if (row["h"], row["frequencies"]) == ("128", "uniform")}
    order = ["random samples", "random sign", "frozen decoder", "data points", "soft-frozen decoder", "trained TopK"]
    assert [purity[kind] for kind in order] == sorted(purity[kind] for kind in order)
    assert purity["trained TopK"] > 0.95
    assert abs(purity["random sign"] - purity["neurons"]) < 0.1
    assert set(purity) == set(toy_arms.ORDER)


@pytest.mark.slow
def test_results_say_what_made_them(folders) -> None:
    _, _, out = folders
    written = json.loads((out / "toy.json").read_text("utf-8"))
    made = written["provenance"]
    assert made["command"].startswith("dartboard lab toy --quick --activations ")
    assert made["seed"] == 0
    assert "torch" in made["versions"]
    assert len(written["grid"]) == 8
    assert written["floors"]["1024"] == pytest.approx(theory.expected_nearest_uniform(64, 1024), abs=0.02)
    grid = list(csv.DictReader((out / "grid.csv").read_text("utf-8").splitlines()))
    assert [float(row["loss"]) for row in grid] == [row["loss"] for row in written["grid"]]
    assert len(list(csv.DictReader((out / "layer.csv").read_text("utf-8").splitlines()))) == 4
    for name in ("mmcs", "loss", "estimates", "purity", "needed"):
        assert made["command"] in (out / f"{name}.svg").read_text("utf-8")


@pytest.mark.slow
def test_another_run_takes_what_was_trained(command, layer: Path, folders, tmp_path: Path) -> None:
    printed, data, out = folders
    before = {path.name: path.stat().st_mtime_ns for path in (data / "toy").iterdir()}
    assert {path.suffix for path in (data / "toy").iterdir()} == {".safetensors"}
    result = CliRunner().invoke(command, [*quick(layer), "--data", str(data), "--out", str(tmp_path)])
    assert result.stdout == printed
    assert {path.name: path.stat().st_mtime_ns for path in (data / "toy").iterdir()} == before
    assert (tmp_path / "purity.csv").read_bytes() == (out / "purity.csv").read_bytes()


def test_a_layer_gives_every_ordinary_token_once_an_epoch(layer: Path) -> None:
    source = Layer(layer, 2, 2000)
    assert float(source.rows.norm(dim=1).max()) < 100  # no sink
    epoch = torch.cat(list(islice(source.batches(100, 1, 0), 20)))
    assert torch.equal(epoch.unique(dim=0), source.rows.unique(dim=0))
    assert torch.equal(next(source.batches(100, 1, 23)), list(islice(source.batches(100, 1, 0), 24))[23])
    units = source.units(centred=False)
    assert float(units.of(source.rows).square().sum(1).mean()) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("number", "tokens", "says"),
    [(1, 100, "keeps layer 2, but --layer is 1"), (2, 9000, "2,970 ordinary tokens, and 9,000")],
)
def test_a_layer_that_does_not_have_what_is_asked_for_is_refused(
    layer: Path, number: int, tokens: int, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        _ = Layer(layer, number, tokens).rows


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--correlation", "1"], "--correlation is 1, but must be from 0 to below 1."),
        (["--layer", "3"], "--activations and --layer belong together; give both, or neither."),
        (["--quick", "--out", __file__], f"{__file__} is not a folder; choose another with --out."),
    ],
)
def test_a_wrong_option_is_one_sentence(command, options: list[str], says: str) -> None:
    result = CliRunner().invoke(command, ["lab", "toy", *options])
    assert (result.exit_code, result.stderr) == (2, says + "\n")
