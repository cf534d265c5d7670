"""The training loop: seeded, with checkpoints from which a run goes on to the same bytes.

Activations are centred and divided by their spread for training; both are folded back into the dictionary that comes
out. The learning rate rises over the first steps and falls to zero over the last.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.errors import DartboardError
from pipeline.config import TopKSAEConfig
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import data_points
from pipeline.files import whole
from pipeline.hashing import derive
from pipeline.kept import Kept
from pipeline.sample import Statistics
from pipeline.train.stream import batches
from pipeline.train.topk import TopKParameters, gradients, normalise

CHECKPOINT_STEPS = 250
CURVE_POINTS = 60
START_TOKENS = 8192  # from which the encoder's first scale is found
DEAD_AFTER = 0.1  # a feature is dead if it has not fired for this share of the run


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained dictionary, and its curve: one dict of step, tokens, loss, FVE (1 − loss), L0 and dead share a point."""

    dictionary: Dictionary
    curve: list[dict[str, float]]


def train(
    config: TopKSAEConfig,
    kept: Kept,
    rows: Tensor,
    statistics: Statistics,
    seed: int,
    checkpoint: Path,
    advance: Callable[[int, str], None],
) -> Trained:
    """Train a TopK SAE on the site's kept fitting tokens, going on from `checkpoint` where there is one.

    `rows[token, d]`: fitting tokens of the sample, from which it starts.

    `advance` is told of tokens as they are used, with a few words on how it goes. Raises DartboardError on a NaN loss.
    """
    mean = torch.from_numpy(statistics.mean)
    m, k = config.size(len(mean)), config.k
    steps = max(1, config.tokens // config.batch)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(config.threads)
    torch.set_float32_matmul_precision("medium")
    try:
        directions = data_points(rows, mean, m, derive(seed, "start"))
        sample = (rows[:START_TOKENS] - mean) / statistics.spread
        parameters = TopKParameters.start(directions, sample, k)
        run = _Run(parameters, torch.optim.Adam(parameters.tensors(), lr=config.learning_rate, fused=True), m)
        run.resume(checkpoint)
        advance(run.step * config.batch, "resumed" if run.step else "")
        stream = batches(kept, config.batch, derive(seed, "batches"), run.step)
        while run.step < steps:
            x = (next(stream) - mean) / statistics.spread
            for group in run.optimiser.param_groups:
                group["lr"] = config.learning_rate * _schedule(run.step / steps, config)
            result = gradients(parameters, x, k)
            if math.isnan(result.loss):
                raise DartboardError(
                    f"training {config.name!r}: the loss became NaN at step {run.step}; lower learning_rate."
                )
            run.optimiser.step()
            normalise(parameters)
            run.last_fired[result.fired] = run.step
            run.step += 1
            if run.step % max(1, steps // CURVE_POINTS) == 0 or run.step == steps:
                dead = float((run.step - run.last_fired > DEAD_AFTER * steps).float().mean())
                run.curve.append(
                    {
                        "step": run.step,
                        "tokens": run.step * config.batch,
                        "loss": result.loss,
                        "fve": 1 - result.loss,
                        "l0": result.l0,
                        "dead": dead,
                    }
                )
            advance(config.batch, f"FVE {1 - result.loss:.3f}")
            if run.step % CHECKPOINT_STEPS == 0:
                run.save(checkpoint)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
    return Trained(_fold_back(parameters, mean, statistics.spread, k), run.curve)


class _Run:
    """Everything that a run needs to go on as if it had never stopped."""

    def __init__(self, parameters: TopKParameters, optimiser: torch.optim.Adam, m: int) -> None:
        self.parameters = parameters
        self.optimiser = optimiser
        self.step = 0
        self.last_fired = torch.zeros(m, dtype=torch.int64)
        self.curve: list[dict[str, float]] = []

    def save(self, path: Path) -> None:
        state: dict[str, Any] = {
            "parameters": self.parameters.tensors(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "last_fired": self.last_fired,
            "curve": self.curve,
        }
        with whole(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path) -> None:
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        for mine, saved in zip(self.parameters.tensors(), state["parameters"], strict=True):
            mine.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.last_fired, self.curve = state["step"], state["last_fired"], state["curve"]


def _schedule(progress: float, config: TopKSAEConfig) -> float:
    """The learning rate's factor: a linear rise, a plateau, a linear fall."""
    rise = min(1.0, (progress + 1e-9) / config.warmup) if config.warmup else 1.0
    fall = min(1.0, (1 - progress) / config.decay) if config.decay else 1.0
    return min(rise, fall)


def _fold_back(parameters: TopKParameters, mean: Tensor, spread: float, k: int) -> Dictionary:
    """From units of the spread back to the model's own: codes grow by the spread, decoder rows keep length 1."""
    return Dictionary(
        kind="topk-sae",
        rule="topk",
        encoder=parameters.encoder,
        b_enc=parameters.b_enc * spread,
        decoder=parameters.decoder,
        b_dec=mean + parameters.b_dec * spread,
        k=k,
    )
