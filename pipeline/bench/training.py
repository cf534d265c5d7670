"""Training steps of a TopK autoencoder: ours, sae-lens's and sparsify's, on the same activations; and against a dense one.

Each tool takes its own steps with its own defaults, in a process of its own, sizes and batch alike; the first steps are not
counted. Ours has AuxK, decoder rows of length 1 and everything else that a build's training does. What its sparse
arithmetic gives up is seen beside the same rule written out densely, in float32 throughout, after as many tokens.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.bench.others.environments import run_script
from pipeline.bench.shapes import Shape
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import starting_rows
from pipeline.train.auxiliary import stride
from pipeline.train.families import FAMILIES
from pipeline.train.family import Family, Moment, Step, Units, by_autograd
from pipeline.train.loop import train
from pipeline.train.options import TopKOptions
from pipeline.train.run import Trainee
from pipeline.train.topk import TopK

BATCH = 4096  # tokens a step: sae-lens's default
BATCHES = 12  # distinct ones, read again and again; the last is held out
SCRIPTS = {"sae-lens": "sae_lens_steps.py", "sparsify": "sparsify_steps.py"}
TRUE_ACTIVE = 24  # features that make up a token of the made activations
NOISE = 0.3  # of a token's length
DEAD_STEPS = (
    4  # without firing, and a feature is dead, so that AuxK has work: a share of a short run would be all of it
)


@dataclass(frozen=True, slots=True)
class Steps:
    """How many, of which the first `warm` are not counted; `compared`: after as many the losses are compared."""

    warm: int
    counted: int
    compared: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Share of the variance of held-out tokens that is left unexplained after so many tokens of training."""

    ours: float
    dense: float
    tokens: int

    @property
    def gap(self) -> float:
        return abs(self.ours / self.dense - 1)


def write_inputs(shape: Shape, steps: Steps, folder: Path) -> Tensor:
    """`x[token, d]`, as all tools read it in `folder`: sparse sums of true directions, and noise."""
    folder.mkdir(parents=True, exist_ok=True)
    x = made_activations(shape.d, shape.m // 2, BATCH * BATCHES, 0)
    save_file({"x": x[:-BATCH].contiguous()}, folder / "activations.safetensors")
    facts = {"d": shape.d, "m": shape.m, "k": shape.k, "batch": BATCH, "warm": steps.warm, "steps": steps.counted}
    (folder / "steps.json").write_text(json.dumps(facts), "utf-8")
    return x


def made_activations(d: int, features: int, tokens: int, seed: int) -> Tensor:
    """`x[token, d]`: TRUE_ACTIVE of `features` directions, frequent ones more often (as 1/rank), at exponential strengths."""
    random = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(features, d, generator=random))
    frequency = 1 / torch.arange(1, features + 1, dtype=torch.float64)
    index = torch.multinomial(frequency, tokens * TRUE_ACTIVE, replacement=True, generator=random)
    strength = torch.empty(tokens, TRUE_ACTIVE).exponential_(generator=random)
    x: Tensor = torch.nn.functional.embedding_bag(
        index.view(tokens, TRUE_ACTIVE), directions, per_sample_weights=strength, mode="sum"
    )
    x += torch.randn(tokens, d, generator=random) * (NOISE * float(x.norm(dim=1).mean()) / d**0.5)
    return x + 1.0


def their_speed(tool: str, inputs: Path, folder: Path, threads: int) -> float:
    """Tokens a second of the tool's own steps; its environment is made in `folder` where it is missing. Raises DartboardError."""
    found = run_script(tool, folder / tool, SCRIPTS[tool], (inputs, inputs, "float32", threads))
    return float(found["tokens a second"])


def our_speed(shape: Shape, x: Tensor, steps: Steps, threads: int) -> float:
    """Tokens a second, a step timed from one batch to the next."""
    begun: list[float] = []
    run(shape, x, steps.warm + steps.counted + 1, threads, begun=begun)
    return steps.counted * BATCH / (begun[-1] - begun[steps.warm])


def compare(shape: Shape, x: Tensor, steps: Steps, threads: int) -> Compared:
    """Ours and the dense rule, from the same start on the same batches."""
    ours = run(shape, x, steps.compared, threads)
    dense = run(shape, x, steps.compared, threads, Dense)
    mean = x[:-BATCH].mean(0)
    return Compared(unexplained(ours, x[-BATCH:], mean), unexplained(dense, x[-BATCH:], mean), steps.compared * BATCH)


def run(
    shape: Shape, x: Tensor, steps: int, threads: int, family: type[Family] = TopK, begun: list[float] | None = None
) -> Dictionary:
    """So many steps on all but the last batch of `x[token, d]`; `begun` takes the moment at which each batch was asked for."""
    train_on = x[:-BATCH]
    mean = train_on.mean(0)
    spread = float((train_on - mean).square().sum(1).mean().sqrt())
    dead_after = min(1.0, DEAD_STEPS / steps)
    options = TopKOptions(tokens=steps * BATCH, batch=BATCH, k=shape.k, threads=threads, dead_after=dead_after)
    usual = FAMILIES["topk-sae"]
    FAMILIES["topk-sae"] = family
    try:
        trainee = Trainee("bench", options, starting_rows("data-points", shape.m, train_on, mean, 0))
        [trained] = train([trainee], lambda start: _batches(train_on, start, begun), train_on, Units(mean, spread))
    finally:
        FAMILIES["topk-sae"] = usual
    return trained.dictionary


def unexplained(dictionary: Dictionary, x: Tensor, mean: Tensor) -> float:
    left = (x - dictionary.decode(dictionary.encode(x))).double().square().sum()
    return float(left / (x - mean).double().square().sum())


def _batches(x: Tensor, start: int, begun: list[float] | None) -> Iterator[Tensor]:
    number = start
    while True:
        if begun is not None:
            begun.append(perf_counter())
        first = number * BATCH % len(x)
        yield x[first : first + BATCH]
        number += 1


class Dense(TopK):
    """The same rule and loss with every product written out, by autograd, in float32."""

    tangent = False

    def step(self, x: Tensor, moment: Moment) -> Step:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            loss, found = by_autograd(self.tensors, lambda p: self._rule(p, x, moment.dead))
        finally:
            torch.set_float32_matmul_precision(before)
        residual, codes = found
        return Step(loss, residual, float((codes > 0).sum()) / len(x), (codes > 0).any(0))

    def _rule(self, p: Mapping[str, Tensor], x: Tensor, dead: Tensor) -> tuple[Tensor, tuple[float, Tensor]]:
        centred = x - p["b_dec"]
        pre = centred @ p["encoder"].T + p["b_enc"]
        top = pre.topk(self.options.k, dim=1)
        codes = torch.zeros_like(pre).scatter(1, top.indices, top.values.relu())
        error = x - (codes @ p["decoder"] + p["b_dec"])
        residual = error.square().sum() / len(x)
        loss = residual
        if self.options.aux and bool(dead.any()):
            every = stride(int(dead.sum()), len(dead))
            loss = loss + self.options.aux * _aux(p, centred.detach()[::every], error.detach()[::every], dead)
        return loss, (float(residual.detach()), codes.detach())


def _aux(p: Mapping[str, Tensor], x: Tensor, error: Tensor, dead: Tensor) -> Tensor:
    """‖e − ê‖² / ‖e‖², ê being what the strongest d/2 dead features make of the error."""
    pre = x @ p["encoder"][dead].T + p["b_enc"][dead]
    k = min(pre.shape[1], max(1, x.shape[1] // 2))
    top = pre.topk(k, dim=1)
    made = torch.zeros_like(pre).scatter(1, top.indices, top.values.relu()) @ p["decoder"][dead]
    return (error - made).square().sum() / error.square().sum()
