"""Finish a dictionary after the pass: fit its decoder, and judge it on held-out text."""

import functools
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.decoders import Fidelity, fidelity, least_squares
from pipeline.engines import Shared
from pipeline.files import write_json
from pipeline.passes import Parts
from pipeline.streaming import Fit, add_moments

FITS: dict[str, Fit] = {"least-squares": "moment", "tied": "scale"}


@dataclass(frozen=True, slots=True)
class DictionaryFolder:
    """Where a dictionary's results are while a build is at work."""

    folder: Path

    @property
    def directions(self) -> Path:
        return self.folder / "directions.safetensors"

    @property
    def finished(self) -> Path:
        return self.folder / "dictionary.safetensors"

    @property
    def facts(self) -> Path:
        """Written last: where it is, the dictionary is finished."""
        return self.folder / "facts.json"

    def fidelity(self) -> Fidelity:
        return Fidelity(**json.loads(self.facts.read_text("utf-8")))

    def training(self) -> dict[str, Any]:
        """The training curve and its seconds; empty where nothing was trained."""
        path = self.folder / "training.json"
        facts: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return facts

    def dictionary(self) -> Dictionary:
        return Dictionary.load(self.finished)


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows `x[token, d]` of the sample on which every dictionary is judged, and the mean of the fitting ones."""

    held_out: Tensor
    fit: Tensor
    mean: Tensor
    spread: float


@dataclass(frozen=True, slots=True)
class Finishing:
    """One dictionary to finish."""

    name: str
    place: DictionaryFolder
    decoder: str  # as the build file says
    parts: Parts
    fit_shards: tuple[int, ...]


def finish(judged: Shared[Judged], job: Finishing) -> str:
    """A piece of work; gives the dictionary's name."""
    rows = judged.get()
    dictionary = Dictionary.load(job.place.directions)
    dictionary = replace(dictionary, decoder=_decoder(dictionary, job, rows.spread))
    dictionary.save(job.place.finished)
    write_json(job.place.facts, asdict(fidelity(rows.held_out, rows.fit, dictionary, rows.mean)))
    return job.name


def _decoder(dictionary: Dictionary, job: Finishing, spread: float) -> Tensor | None:
    if job.decoder == "least-squares":
        moments = (moment for moment, _ in job.parts.sums(job.name) if moment is not None)
        codes = functools.partial(job.parts.codes, job.name, "fitting", job.fit_shards)
        return least_squares(codes, add_moments(moments, spread), dictionary.m)
    if job.decoder == "tied":
        sums = [scale for _, scale in job.parts.sums(job.name) if scale is not None]
        above, below = (sum(values) for values in zip(*sums, strict=True))
        rows = dictionary.encoder if dictionary.decoder is None else dictionary.decoder
        return rows * (above / below if below else 0.0)
    return dictionary.decoder
