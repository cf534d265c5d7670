"""Time eai-sparsify's training steps: `python sparsify_steps.py INPUTS OUT PRECISION THREADS`.

Run by `python -m pipeline.bench --only training`, in an environment of its own. It prints one JSON object. Its own Trainer
runs, with its defaults, on a model that is no more than a table of the activations. A step is timed from one batch to the
next; the first ones are not counted.
"""

# mypy: disable-error-code="import-not-found"

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file
from sparsify import SparseCoderConfig, TrainConfig, Trainer
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

SEQUENCE = 128  # tokens of an item of the data set


class Table(PreTrainedModel):
    """`x[token, d]`, of which token ids are the row numbers."""

    config_class = PretrainedConfig

    def __init__(self, x: Tensor) -> None:
        super().__init__(PretrainedConfig())
        self.rows = nn.Embedding(x.shape[0], x.shape[1], _weight=x)
        self.begun: list[float] = []

    def forward(self, input_ids: Tensor, **_: object) -> Tensor:
        self.begun.append(time.perf_counter())
        found: Tensor = self.rows(input_ids)
        return found


def main(inputs: Path, out: Path, _precision: str, threads: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    plan = json.loads((inputs / "steps.json").read_text("utf-8"))
    x = load_file(inputs / "activations.safetensors")["x"]
    steps = plan["warm"] + plan["steps"] + 1
    ids = torch.arange(steps * plan["batch"]).remainder(len(x)).view(-1, SEQUENCE)
    config = TrainConfig(
        SparseCoderConfig(num_latents=plan["m"], k=plan["k"]),
        batch_size=plan["batch"] // SEQUENCE,
        hookpoints=["rows"],
        log_to_wandb=False,
        save_dir=str(out / "sparsify"),
    )
    table = Table(x)
    trainer = Trainer(config, [{"input_ids": row} for row in ids], table)
    table.begun.clear()
    trainer.fit()
    seconds = table.begun[-1] - table.begun[plan["warm"]]
    return {
        "versions": {name: version(name) for name in ("eai-sparsify", "torch")},
        "seconds": seconds,
        "tokens a second": plan["steps"] * plan["batch"] / seconds,
    }


if __name__ == "__main__":
    arguments = sys.argv[1:]
    found = main(Path(arguments[0]), Path(arguments[1]), arguments[2], int(arguments[3]))
    sys.stdout.write("\n" + json.dumps(found) + "\n")
