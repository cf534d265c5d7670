"""Time sae-lens's training steps: `python sae_lens_steps.py INPUTS OUT PRECISION THREADS`.

Run by `python -m pipeline.bench --only training`, in an environment of its own. It prints one JSON object. The steps are
those of its own SAETrainer, with its defaults: float32, Adam, the auxiliary loss; the first ones are not counted.
"""

# mypy: disable-error-code="import-not-found"

import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.config import SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.torch import load_file
from torch import Tensor

LEARNING_RATE = 3e-4  # the default


def main(inputs: Path, _out: Path, precision: str, threads: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    plan = json.loads((inputs / "steps.json").read_text("utf-8"))
    x = load_file(inputs / "activations.safetensors")["x"]
    steps = plan["warm"] + plan["steps"]
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=plan["d"], d_sae=plan["m"], k=plan["k"]))
    config = SAETrainerConfig(
        total_training_samples=steps * plan["batch"],
        train_batch_size_samples=plan["batch"],
        lr_end=LEARNING_RATE / 10,  # as its runner's configuration fills it in
        autocast=precision == "bfloat16",
    )
    batches = _batches(x, plan["batch"])
    trainer = SAETrainer(config, sae, batches)
    for _ in range(plan["warm"]):
        _step(trainer, batches)
    begun = time.perf_counter()
    for _ in range(plan["steps"]):
        _step(trainer, batches)
    seconds = time.perf_counter() - begun
    return {
        "versions": {name: version(name) for name in ("sae-lens", "torch")},
        "seconds": seconds,
        "tokens a second": plan["steps"] * plan["batch"] / seconds,
    }


def _step(trainer: SAETrainer, batches: Iterator[Tensor]) -> None:
    """What `SAETrainer.fit` does for each batch."""
    trainer.step(next(batches))
    trainer.n_training_steps += 1


def _batches(x: Tensor, batch: int) -> Iterator[Tensor]:
    while True:
        for start in range(0, len(x) - batch + 1, batch):
            yield x[start : start + batch]


if __name__ == "__main__":
    arguments = sys.argv[1:]
    found = main(Path(arguments[0]), Path(arguments[1]), arguments[2], int(arguments[3]))
    sys.stdout.write("\n" + json.dumps(found) + "\n")
