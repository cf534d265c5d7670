"""Make a dictionary from its entry in the build file: draw or compute its directions, read it from disk, or train it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from app.errors import UserError
from pipeline import formats
from pipeline.config import AnyDictionary, FileConfig, MadeConfig, ModelConfig, SiteConfig, TopKSAEConfig
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import directions, encoder_of, tied_rows
from pipeline.dictionaries.threshold import batch_topk_threshold
from pipeline.files import write_json
from pipeline.hashing import derive
from pipeline.kept import Kept
from pipeline.model import matrix
from pipeline.progress import Stages
from pipeline.sample import Statistics
from pipeline.train.loop import train


@dataclass(frozen=True, slots=True)
class Ground:
    """What dictionaries of a site are made from; the sample's fitting rows `x[token, d]` and the kept activations if asked for."""

    site: SiteConfig
    model: ModelConfig
    statistics: Statistics
    fitting: Callable[[], Tensor]
    kept: Callable[[], Kept]
    stages: Stages

    @property
    def mean(self) -> Tensor:
        return torch.from_numpy(self.statistics.mean)


def make(config: AnyDictionary, ground: Ground, folder: Path) -> Dictionary:
    """The dictionary, its decoder still to be fitted or, if tied, to be scaled. Raises UserError where it can't be made here."""
    if isinstance(config, FileConfig):
        return _read(config, ground)
    d = len(ground.mean)
    m, k = config.size(d), config.k or 0
    if k > m and getattr(config, "rule", "topk") != "relu":
        raise UserError(f"dictionary {config.name!r}: k = {k} is more than its m = {m} features; lower k or raise m.")
    seed = derive(config.seed, "dictionary", config.family)
    if isinstance(config, TopKSAEConfig):
        return _train(config, ground, seed, folder)
    with ground.stages.stage(f"{config.name}: directions"):
        return _draw(config, ground, m, seed)


def _draw(config: MadeConfig, ground: Ground, m: int, seed: int) -> Dictionary:
    mean, x = ground.mean, ground.fitting()
    notes: list[str] = []
    rows = directions(config, m, x, mean, seed, lambda which: matrix(ground.model, which), notes.append)
    made = Dictionary(
        kind=config.kind,
        rule=config.rule,
        encoder=encoder_of(rows, x, mean, config.encoding),
        b_enc=torch.zeros(m),
        decoder=tied_rows(rows, x, mean, config.encoding).clone()  # a file can't hold one tensor under two names
        if config.decoder == "tied"
        else None,  # scaled after the pass
        b_dec=mean,
        k=None if config.rule == "relu" else config.k,
        centred=config.encoding != "raw",
        provenance={"notes": notes} if notes else {},
    )
    return batch_topk_threshold(made, x) if config.rule == "batch-topk" else made


def _read(config: FileConfig, ground: Ground) -> Dictionary:
    with ground.stages.stage(f"{config.name}: read"):
        dictionary = formats.read(Path(config.source), config.format, config.scale)
        formats.check_site(dictionary, len(ground.mean), ground.model.source, ground.site.layer)
    return dictionary


def _train(config: TopKSAEConfig, ground: Ground, seed: int, folder: Path) -> Dictionary:
    begun = time.monotonic()
    x = ground.fitting()
    with ground.stages.stage(f"{config.name}: training", config.tokens, "tokens") as advance:
        checkpoint = folder / "checkpoint.pt"
        trained = train(config, ground.kept(), x, ground.statistics, seed, checkpoint, advance)
    write_json(folder / "training.json", {"curve": trained.curve, "seconds": round(time.monotonic() - begun, 1)})
    checkpoint.unlink(missing_ok=True)
    return trained.dictionary
