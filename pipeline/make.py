"""Make a dictionary from its entry in the build file: draw or compute its directions, read it from disk, or train it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from app.errors import UserError
from pipeline import formats
from pipeline.config import ModelConfig, SiteConfig
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.directions import (
    check_natural_size,
    directions,
    encoder_of,
    reads_sample,
    starting_rows,
    tied_rows,
)
from pipeline.dictionaries.threshold import batch_topk_threshold
from pipeline.entries import DictionaryConfig, FileConfig, MadeConfig, TrainedConfig
from pipeline.files import write_json
from pipeline.hashing import derive
from pipeline.kept import Kept
from pipeline.model import matrix
from pipeline.progress import Stages
from pipeline.sample import Statistics
from pipeline.train.family import Units
from pipeline.train.geometry import geometric_median
from pipeline.train.loop import train
from pipeline.train.options import BatchTopKOptions, TopKOptions
from pipeline.train.run import Trainee
from pipeline.train.stream import batches

Choosing = TopKOptions | BatchTopKOptions  # of the trained families, those whose features fire by k


@dataclass(frozen=True, slots=True)
class Ground:
    """What dictionaries of a site are made from; the sample's fitting rows `x[token, d]` and the kept activations if asked for."""

    site: SiteConfig
    model: ModelConfig
    statistics: Statistics
    fitting: Callable[[], Tensor]
    kept: Callable[[], Kept]
    stages: Stages
    seed: int  # the build's: of what dictionaries share

    @property
    def mean(self) -> Tensor:
        return torch.from_numpy(self.statistics.mean)


def check_size(config: DictionaryConfig, d: int) -> None:
    """What can be told before the text is read: raises UserError where activations of width d have too few features for it.

    k counts for what chooses by it; a file's is checked when it is read.
    """
    m, k = config.size(d), config.k or 0
    chooses = config.rule != "relu" if isinstance(config, MadeConfig) else isinstance(config, Choosing)
    if isinstance(config, MadeConfig):
        check_natural_size(config, m, d)
    if chooses and k > m:
        raise UserError(f"dictionary {config.name!r}: k = {k} is more than its m = {m} features; lower k or raise m.")


def make(config: MadeConfig, ground: Ground) -> Dictionary:
    """The dictionary, its decoder still to be fitted or, if tied, to be scaled. Raises UserError where it can't be made here."""
    with ground.stages.stage(f"{config.name}: directions"):
        return _draw(config, ground)


def _draw(config: MadeConfig, ground: Ground) -> Dictionary:
    mean = ground.mean
    # Copied out of the sample where it is needed alone: by random directions it is not.
    x = ground.fitting() if reads_sample(config) else torch.zeros(0, len(mean))
    m, seed = config.size(len(mean)), _seed(config)
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


def read_file(config: FileConfig, site: SiteConfig, source: str, d: int) -> Dictionary:
    """A dictionary from disk, for a site of width d of the model from `source`. Raises UserError where it is of no use there."""
    dictionary = formats.read(Path(config.source), config.format, config.scale)
    formats.check_site(dictionary, d, source, site.layer)
    return dictionary


def trained_together(configs: Sequence[TrainedConfig]) -> list[list[TrainedConfig]]:
    """Dictionaries of a site that are trained in one pass over its activations: those that read the same batches."""
    passes: dict[tuple[int, ...], list[TrainedConfig]] = {}
    for config in configs:
        passes.setdefault((config.tokens, config.batch, config.threads), []).append(config)
    return list(passes.values())


def make_trained(configs: Sequence[TrainedConfig], ground: Ground, folders: Sequence[Path]) -> list[Dictionary]:
    """Train dictionaries of a site in one pass; each leaves its curve in its folder, as `training.json`.

    Raises UserError where one can't be trained here, DartboardError where the training fails.
    """
    x, begun, first = ground.fitting(), time.monotonic(), configs[0]
    units = Units(geometric_median(x), ground.statistics.spread)
    with ground.stages.stage(f"{_names(configs)}: training", first.tokens, "tokens") as advance:
        trainees = [
            Trainee(
                name=config.name,
                options=config.training,
                directions=starting_rows(config.start, config.size(x.shape[1]), x, ground.mean, _seed(config)),
                seed=_seed(config),
                checkpoint=folder / "checkpoint.pt",
            )
            for config, folder in zip(configs, folders, strict=True)
        ]
        seed = derive(ground.seed, "batches", ground.site.name)
        made = train(trainees, lambda start: batches(ground.kept(), first.batch, seed, start), x, units, advance)
        distinct = sum(ground.kept().fit_sizes())
    seconds = time.monotonic() - begun
    for trained, folder in zip(made, folders, strict=True):
        facts = {"seconds": round(seconds, 1), "trained_together": len(made), "distinct_tokens": distinct}
        write_json(folder / "training.json", {"curve": trained.curve, **facts})
    return [trained.dictionary for trained in made]


def _names(configs: Sequence[TrainedConfig]) -> str:
    return configs[0].name if len(configs) == 1 else f"{len(configs)} dictionaries"


def _seed(config: DictionaryConfig) -> int:
    return derive(config.seed, "dictionary", config.family)
