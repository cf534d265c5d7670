"""The measurements of `dartboard lab toy`, in order: what is trained is trained first, then all is judged on samples of its own."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.arithmetic import one_thread
from pipeline.engines import Engine
from pipeline.hashing import derive
from pipeline.lab import toy_arms, toy_plan
from pipeline.lab.toy_arms import Arm, Needed
from pipeline.lab.toy_cells import Cell, trained, work
from pipeline.lab.toy_figures import Estimates, Figures, Judged, estimates, judge
from pipeline.lab.toy_layer import Layer
from pipeline.lab.toy_plan import Sizes
from pipeline.lab.toy_world import World
from pipeline.progress import Stages

FIGURE_SAMPLES = 8192
UNIT = 1_000_000  # tokens × features to a step of the progress bar


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured. `floors`: MMCS of random directions by how many there are."""

    sizes: Sizes
    world: World
    grid: list[Figures]
    estimates: list[Estimates]
    floors: dict[int, float]
    arms: list[Arm]
    needed: list[Needed]
    layer: list[Figures]
    layer_estimates: list[Estimates]


def measure(
    sizes: Sizes, world: World, layer: Layer | None, seed: int, folder: Path, engine: Engine, stages: Stages
) -> Run:
    """Train what `folder` does not hold yet, and measure everything. Raises what training and reading raise."""
    grid = toy_plan.grid(sizes, world, seed)
    of_layer = toy_plan.layer_grid(sizes, layer, seed) if layer is not None else []
    worlds = toy_plan.worlds_of(sizes, seed)
    arms = [toy_plan.arms(sizes, one, seed) for one in worlds]
    _train([*grid, *of_layer, *(cell for one in arms for cell in one.values())], folder, engine, stages)
    with one_thread(), stages.stage("Judging", len(grid) + len(of_layer) + len(arms) + 2) as advance:

        def judged(cells: list[Cell]) -> list[Judged]:
            found = []
            for cell, dictionary in zip(cells, trained(cells, folder, engine), strict=True):
                x = cell.source.sample(FIGURE_SAMPLES, derive(seed, "judged"))
                features = cell.source.features if isinstance(cell.source, World) else None
                found.append(judge(dictionary, toy_plan.alpha_of(cell), x, features, cell.source.units(False).spread))
                advance()
            return found

        known, unknown = judged(grid), judged(of_layer)
        compared = []
        for one, cells in zip(worlds, arms, strict=True):
            dictionaries = dict(zip(cells, trained(list(cells.values()), folder, engine), strict=True))
            samples = one.samples(sizes.judged, derive(seed, "compared"))
            compared += toy_arms.compare(one, dictionaries, samples, sizes.arms, derive(seed, "arms"))
            advance()
        floors = {count: toy_arms.floor(sizes.n, sizes.h, count, seed) for count in sizes.floors}
        advance()
        needed = toy_arms.needed(sizes.cosines, derive(seed, "needed"))
        advance()
    return Run(
        sizes=sizes,
        world=world,
        grid=[one.figures for one in known],
        estimates=estimates(known),
        floors=floors,
        arms=compared,
        needed=needed,
        layer=[one.figures for one in unknown],
        layer_estimates=estimates(unknown),
    )


def _train(cells: list[Cell], folder: Path, engine: Engine, stages: Stages) -> None:
    done, total = 0, sum(map(work, cells))
    with stages.stage(f"Training {len(cells)} dictionaries", total=total // UNIT) as advance:

        def count(products: int) -> None:
            nonlocal done
            advance((done + products) // UNIT - done // UNIT)
            done += products

        trained(cells, folder, engine, count)
