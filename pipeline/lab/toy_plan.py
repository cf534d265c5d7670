"""What `dartboard lab toy` trains: its sizes, the grid of α and dictionary size, and the arms of the comparison."""

from dataclasses import dataclass
from typing import Any

from pipeline.lab.toy_cells import Cell, Source
from pipeline.lab.toy_world import Frequencies, World
from pipeline.train.options import ReLUOptions, TopKOptions, Training

BATCH = 256
KNOWN_ALPHAS = (0.03, 0.1, 0.3)  # where Sharkey, Braun and beren found the features


@dataclass(frozen=True, slots=True)
class Sizes:
    """`steps` of the grid's dictionaries by size, J, for each of `alphas`; `outside`: α beyond the known range, for h and 2h alone.

    `arms`: m of the comparison's dictionaries, trained for `arm_steps`; `worlds`: the numbers of features, below and above m.
    `judged`: samples that everything is measured on. `floors`: sizes of random dictionaries.
    `long`: whether training lasts until features that are not needed have died. `cosines`: how many are drawn. `layer`: steps by
    size on a real layer, `layer_tokens` of it.
    """

    n: int
    h: int
    active: float
    alphas: tuple[float, ...]
    steps: dict[int, int]
    long: bool
    outside: tuple[float, ...]
    arms: int
    arm_steps: int
    worlds: tuple[int, int]
    judged: int
    floors: tuple[int, int]
    cosines: int
    layer: dict[int, int]
    layer_alphas: tuple[float, ...]
    layer_tokens: int


FULL = Sizes(
    n=256,
    h=512,
    active=5,
    alphas=KNOWN_ALPHAS,
    steps={256: 2000, 384: 2000, 512: 2000, 640: 2000, 1024: 2000, 2048: 1000, 4096: 750},
    long=True,
    outside=(0.003, 1.0),
    arms=1024,
    arm_steps=1000,
    worlds=(512, 2048),
    judged=30_000,
    floors=(4096, 32_768),
    cosines=2**25,
    layer={288: 3000, 576: 3000, 1152: 3000, 2304: 3000},
    layer_alphas=(0.1,),
    layer_tokens=200_000,
)
QUICK = Sizes(
    n=64,
    h=128,
    active=3,
    alphas=(0.1, 0.3),
    steps={64: 400, 96: 400, 160: 400, 256: 400},
    long=False,
    outside=(),
    arms=256,
    arm_steps=120,
    worlds=(128, 512),
    judged=8000,
    floors=(1024, 8192),
    cosines=2**22,
    layer={16: 100, 32: 100, 64: 100, 128: 100},
    layer_alphas=(0.1,),
    layer_tokens=2000,
)


def world_of(sizes: Sizes, frequencies: Frequencies, correlation: float, seed: int) -> World:
    """The world of the grid."""
    return World(sizes.n, sizes.h, frequencies, correlation, sizes.active, seed)


def worlds_of(sizes: Sizes, seed: int) -> list[World]:
    """The worlds of the comparison: uniform and Zipf frequencies, fewer features than directions and more."""
    return [World(sizes.n, h, how, 0.0, sizes.active, seed) for h in sizes.worlds for how in ("uniform", "zipf")]


def grid(sizes: Sizes, source: Source, seed: int) -> list[Cell]:
    """One ReLU dictionary for each α and J, to the letter of the report: x̂ = D·ReLU(W x + b), from random rows."""
    wanted = [(alpha, m) for m in sizes.steps for alpha in sizes.alphas]
    wanted += [(alpha, m) for m in (sizes.h, 2 * sizes.h) for alpha in sizes.outside]
    return [Cell(source, relu(alpha, sizes.steps[m]), m, seed) for alpha, m in wanted]


def layer_grid(sizes: Sizes, source: Source, seed: int) -> list[Cell]:
    """The same on a real layer."""
    return [
        Cell(source, relu(alpha, steps), m, seed) for m, steps in sizes.layer.items() for alpha in sizes.layer_alphas
    ]


def alpha_of(cell: Cell) -> float:
    """Of a cell of a grid."""
    return float(getattr(cell.options, "alpha", 0.0))


def relu(alpha: float, steps: int) -> ReLUOptions:
    return ReLUOptions(
        alpha=alpha,
        decoder_bias=False,
        start="gaussian",
        tokens=steps * BATCH,
        batch=BATCH,
        learning_rate=0.01,
        warmup=0.05,
        decay=0.3,
        sparsity_warmup=0.1,
        threads=1,
    )


def arms(sizes: Sizes, world: World, seed: int) -> dict[str, Cell]:
    """The comparison's trained dictionaries, by arm: TopK with as many features as are active, ReLU, and TopK partly frozen."""
    frozen: dict[str, dict[str, Any]] = {
        "trained TopK": {},
        "frozen encoder": {"frozen": "encoder", "start": "random-sign"},
        "frozen decoder": {"frozen": "decoder", "start": "random-sign"},
        "soft-frozen decoder": {"frozen": "soft-decoder", "start": "random-sign"},
    }
    shared = {"tokens": sizes.arm_steps * BATCH, "batch": BATCH, "k": round(sizes.active), "threads": 1}
    found: dict[str, Training] = {name: TopKOptions(**shared, **options) for name, options in frozen.items()}
    found["trained ReLU"] = relu(0.1, 2 * sizes.arm_steps)
    cells = {name: Cell(world, options, sizes.arms, seed) for name, options in found.items()}
    if world.h == sizes.h:  # the shape for which figures are published
        cells["trained TopK, m = h"] = Cell(world, found["trained TopK"], world.h, seed)
    return cells
