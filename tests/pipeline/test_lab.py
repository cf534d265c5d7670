import io
import json
import math
import statistics
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
import torch
import typer
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner

from app.cli import Commands
from pipeline.dictionaries.directions import random_sign
from pipeline.lab import cli, gaussian, superposition, theory
from pipeline.lab.checks import Check, checks
from pipeline.lab.darts import Run, measure
from pipeline.lab.inner_products import pairs_of_prefixes
from pipeline.progress import Stages

QUICK = ["lab", "darts", "--n", "128", "--seeds", "2"]


def quiet(_: int) -> None:
    pass


def measured(n: int, seeds: int, seed: int) -> Run:
    with Stages(Console(file=io.StringIO())) as stages:
        return measure(n, seeds, seed, stages)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small products gain nothing from a second thread, and lose much where other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def quick() -> Run:
    return measured(cli.QUICK_N, 3, 0)


@pytest.fixture(scope="module")
def command() -> typer.Typer:
    """The command as the entry point adds it."""
    root = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
    root.registered_groups.extend(cli.app.registered_groups)
    root.callback()(lambda: None)
    return root


def test_what_is_measured_agrees_with_theory(quick: Run) -> None:
    found = checks(quick)
    assert [check.name for check in found if check.within is False] == []
    assert sum(check.theory is not None for check in found) >= 20
    assert all(check.published is None for check in found)  # which is for n = 1024


def test_a_figure_outside_its_tolerance_is_seen() -> None:
    check = Check("table", "name", (0.1, 0.3), theory=0.2, published=None, tolerance=0.05)
    assert check.within is True
    assert Check("table", "name", (0.1, 0.3), theory=0.2, published=0.3, tolerance=0.05).within is False
    assert Check("table", "name", (0.1, 0.3), theory=None, published=None, tolerance=0.05).within is None


def test_better_reconstructions_explain_more(quick: Run) -> None:
    for by_size in quick.floors:
        assert all(found.tied < found.least_squares < found.omp for found in by_size)
        assert [found.tied for found in by_size] == sorted(found.tied for found in by_size)
    assert max(quick.values["pca"]) < min(found.tied for by_size in quick.floors for found in by_size)


def test_seeds_are_reproducible() -> None:
    one, two, other = measured(128, 1, 5), measured(128, 2, 5), measured(128, 1, 6)
    assert (two.pairs[:1], two.floors[:1]) == (one.pairs, one.floors)
    assert {name: values[:1] for name, values in two.values.items()} == one.values
    assert two.values["spread"][0] != two.values["spread"][1]
    assert other.values["spread"] != one.values["spread"]


def test_pairs_of_each_prefix_equal_the_dense_product() -> None:
    n, sizes = 64, [128, 384]
    rows = random_sign(384, n, 3).double()
    for found in pairs_of_prefixes(n, sizes, 3, quiet):
        products = (rows[: found.m] @ rows[: found.m].T).numpy()
        off = products[~np.eye(found.m, dtype=bool)].reshape(found.m, -1)
        assert found.rms == pytest.approx(math.sqrt((off**2).mean()))
        assert found.largest == pytest.approx(np.abs(off).max())
        assert found.nearest == pytest.approx(off.max(1).mean())


def test_least_squares_equals_a_solver_of_each_token() -> None:
    directions, x = random_sign(256, 32, 1), gaussian.gaussian(20, 32, 2)
    left = 0.0
    for token in x.double():
        atoms = directions[(directions @ token.float()).topk(4).indices].double().T
        left += float((token - atoms @ torch.linalg.lstsq(atoms, token).solution).square().sum())
    assert gaussian.least_squares_fve(directions, x, 4) == pytest.approx(1 - left / float(x.double().square().sum()))


def test_matching_pursuit_equals_the_textbook() -> None:
    directions, x = random_sign(256, 32, 1), gaussian.gaussian(8, 32, 2)
    left = 0.0
    for token in x.double():
        residual, chosen = token, []
        for _ in range(5):
            chosen.append(int((directions.double() @ residual).argmax()))
            atoms = directions[chosen].double().T
            residual = token - atoms @ torch.linalg.lstsq(atoms, token).solution
        left += float(residual.square().sum())
    found = gaussian.omp_fve(directions, x, 5, quiet)
    assert found == pytest.approx(1 - left / float(x.double().square().sum()), abs=1e-5)


def test_expected_largest_pair_and_nearest_agree_with_exhaustive_draws() -> None:
    n, m, draws = 16, 12, 400
    random = np.random.Generator(np.random.Philox(0))
    signs = 2.0 * random.integers(0, 2, (draws, m, n)) - 1
    products = signs @ signs.swapaxes(1, 2) / n
    largest = [max(abs(one[i, j]) for i, j in combinations(range(m), 2)) for one in products]
    nearest = [np.where(np.eye(m, dtype=bool), -1, one).max(1).mean() for one in products]
    for values, expected in (
        (largest, theory.expected_largest_pair(n, m)),
        (nearest, theory.expected_nearest(n, m)),
    ):
        assert statistics.fmean(values) == pytest.approx(expected, abs=5 * statistics.stdev(values) / draws**0.5)


@pytest.mark.parametrize(("n", "cosine"), [(3, 0.5), (64, 0.25), (256, 0.5)])
def test_chance_of_a_cosine_is_the_beta_tail(n: int, cosine: float) -> None:
    expected = math.log10(stats.beta.sf(cosine**2, 0.5, (n - 1) / 2) / 2)
    assert theory.log10_chance_of_cosine(n, cosine) == pytest.approx(expected, rel=1e-9)


def test_chance_of_a_cosine_does_not_underflow() -> None:
    assert -700 < theory.log10_chance_of_cosine(8192, 0.5) < -500  # .75^(8191/2) is 10^-512


def test_saddle_point_agrees_with_counting_all_signs() -> None:
    y = np.random.Generator(np.random.Philox(1)).standard_normal(20)
    signs = 2.0 * ((np.arange(2**20)[:, None] >> np.arange(20)) & 1) - 1
    reached = (signs @ y >= 0.5 * math.sqrt(20) * np.linalg.norm(y)).mean()
    assert theory.log10_chance_of_cosine_signs(y, 0.5) == pytest.approx(math.log10(reached), abs=0.1)


def test_energy_of_what_fires_agrees_with_draws_and_its_limit() -> None:
    n, m, k = 24, 4096, 64
    x = gaussian.gaussian(300, n, 0)
    directions = gaussian.gaussian(m, n, 1)
    cosines = torch.nn.functional.normalize(x, dim=1) @ torch.nn.functional.normalize(directions, dim=1).T
    drawn = float(cosines.topk(k).values.double().square().mean())
    assert theory.energy_of_top(n, m, k) == pytest.approx(drawn, rel=0.02)
    limit = theory.energy_of_top_gaussian(10**6, 32768, 32)
    assert theory.energy_of_top(10**6, 32768, 32) == pytest.approx(limit, rel=1e-4)


def test_purity_of_true_features_is_whole_and_of_random_samples_its_null() -> None:
    found = superposition.purities(64, 128, 4000, 400, 0)
    assert found["true features"].mean > 0.99
    assert found["true features"].monosemantic == 1
    null = theory.expected_purity(128, superposition.ACTIVE / 128, superposition.TOP)
    assert found["random samples"].mean == pytest.approx(null, abs=0.01)
    assert found["random samples"].mean < found["random sign"].mean < found["data points"].mean


def test_the_command_prints_tables_and_writes_figures_and_charts(command, tmp_path) -> None:
    result = CliRunner().invoke(command, [*QUICK, "--out", str(tmp_path / "darts")])
    assert result.exit_code == 0, result.output
    assert "| nearest neighbour's cosine, 4096 × 128 " in result.output
    assert " NO " not in result.output
    written = json.loads((tmp_path / "darts" / "darts.json").read_text())
    made = written["provenance"]
    assert (made["n"], made["seeds"], made["seed"]) == (128, 2, 0)
    assert made["command"] == "dartboard lab darts --n 128 --seeds 2 --seed 0"
    assert set(made["versions"]) == {"python", "dartboard", "numpy", "scipy", "torch"}
    assert written["sweep"]["m"] == [128 * multiple for multiple in (1, 2, 4, 8, 16, 32)]
    assert sum(written["histogram"]["count"]) == 4096
    for name in ("fve", "histogram", "products"):
        svg = (tmp_path / "darts" / f"{name}.svg").read_text()
        assert made["command"] in svg
        assert 'fill="white"' in svg
    assert "number of directions" in (tmp_path / "darts" / "fve.svg").read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--n", "100"], "--n is 100, but must be a multiple of 64 from 128 to 2048."),
        (["--n", "4096"], "--n is 4096, but must be a multiple of 64 from 128 to 2048."),
        (["--seeds", "0"], "--seeds is 0, but must be from 1 to 100."),
        (["--quick", "--out", __file__], f"{__file__} is not a folder; choose another with --out."),
    ],
)
def test_a_wrong_option_is_one_sentence(command, options: list[str], says: str) -> None:
    result = CliRunner().invoke(command, ["lab", "darts", *options])
    assert (result.exit_code, result.stderr) == (2, says + "\n")


def test_help_shows_an_example(command) -> None:
    assert "dartboard lab darts --quick" in CliRunner().invoke(command, ["lab", "darts", "--help"]).output
