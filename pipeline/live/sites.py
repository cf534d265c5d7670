"""The sites of a feature store, loaded again: model, mask and dictionaries, as the build had them."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from app.errors import NotFound, UserError
from pipeline.config import ModelConfig, SiteConfig
from pipeline.devices import choose_device
from pipeline.dictionaries import Codes, Dictionary
from pipeline.gguf import plain_model
from pipeline.hashing import fingerprint
from pipeline.live.windows import Windows, windows
from pipeline.live.work import Going
from pipeline.model import SiteModel, load_site_model, load_tokenizer, special_tokens
from pipeline.plan import library_versions
from pipeline.published import WEIGHTS, Stored, StoredSite, weights_folder
from pipeline.sample import FORWARD_CONTEXTS, Mask, Rows
from pipeline.sources import model_hash
from pipeline.streaming import Precision
from pipeline.text import TokenText
from pipeline.weights import load_weights


@dataclass(frozen=True, slots=True)
class Encoded:
    """What fired on a text: `codes` by dictionary, of the unmasked tokens, whose places in the text are `token[row]`."""

    windows: Windows
    token: NDArray[np.int64]
    special: tuple[int, ...]  # places of masked tokens: BOS, EOS and padding …
    sinks: tuple[int, ...]  # … and attention sinks
    codes: dict[str, Codes]


class LiveSite:
    """A site; its model and dictionaries are loaded when they are first asked for."""

    def __init__(self, build: Stored, site: StoredSite, model: "LiveModel", data: Path) -> None:
        self.site = site
        self.model = model
        self.folder = weights_folder(data, build.key)
        config = SiteConfig.model_validate(_named(build.config["sites"], site.name))
        self.limit = config.sink_norm * site.median_norm
        self.precision = cast(Precision, build.config["precision"])
        self._dictionaries: dict[str, Dictionary] = {}

    def dictionary(self, name: str) -> Dictionary:
        """Without its decoder. Raises NotFound and UserError where its file is not there, or another."""
        if name not in self._dictionaries:
            dictionary = load_weights(self.folder, name, self.site.weights[name])
            self._dictionaries[name] = replace(dictionary, decoder=None)
        return self._dictionaries[name]

    def load(self) -> None:
        """Everything, now. Raises as its parts do."""
        self.model.site_model  # noqa: B018
        for name in self.site.weights:
            self.dictionary(name)

    def encode(self, text: str, going: Going) -> Encoded:
        """What every dictionary of the site says of a text. Raises Cancelled."""
        model = self.model
        cut = windows(text, model.tokenizer, model.shown, self.site.context_length)
        mask, used = Mask(special_tokens(model.tokenizer), self.limit), cut.used
        x, allowed = [torch.zeros(0, model.site_model.d)], [np.zeros((0, used.shape[1]), bool)]
        for start in range(0, len(cut.tokens), FORWARD_CONTEXTS):
            going.on()
            # A product may be rounded otherwise where its shape is another: the build's forward passes are this large.
            tokens = np.zeros((FORWARD_CONTEXTS, used.shape[1]), np.int32)
            some = cut.tokens[start : start + FORWARD_CONTEXTS]
            tokens[: len(some)] = some
            read = model.site_model.activations(torch.from_numpy(tokens.astype(np.int64)))[self.site.layer]
            activations = read[: len(some)].flatten(0, 1)
            allowed.append(mask.allowed(some, activations) & used[start : start + len(some)])
            x.append(Rows.of(activations, allowed[-1], start).x)
        ordinary = np.concatenate(allowed)[used]
        codes = {}
        for name in self.site.weights:
            going.on()
            codes[name] = self.dictionary(name).encode(torch.cat(x), self.precision)
        special = mask.special_at(cut.tokens)[used]
        return Encoded(
            windows=cut,
            token=np.flatnonzero(ordinary),
            special=tuple(np.flatnonzero(special).tolist()),
            sinks=tuple(np.flatnonzero(~special & ~ordinary).tolist()),
            codes=codes,
        )


class LiveModel:
    """A model of the build, cut off after the deepest layer that a site of the store reads."""

    def __init__(self, build: Stored, name: str, data: Path, device: str) -> None:
        self.config = ModelConfig.model_validate(_named(build.config["models"], name))
        self.build = build
        self.data = data
        self.device = device
        self.layers = [site.layer for site in build.sites if site.model == name]
        self.hash = next(site.model_hash for site in build.sites if site.model == name)

    @cached_property
    def plain(self) -> ModelConfig:
        """As it loads fast; unpacked beside the dictionaries the first time. Raises UserError where it is another model."""
        if model_hash(self.config) != self.hash:
            raise UserError(
                f"The files of model {self.config.name!r} ({self.config.source}) are not those that the feature store was "
                "built with; bring those back, or build the store anew."
            )
        unpacked = fingerprint(self.hash, self.config.dtype, library_versions())[:16]
        return plain_model(self.config, self.data / WEIGHTS / f"model-{unpacked}")

    @cached_property
    def tokenizer(self) -> Any:
        return load_tokenizer(self.plain)

    @cached_property
    def shown(self) -> TokenText:
        return TokenText(self.tokenizer)

    @cached_property
    def site_model(self) -> SiteModel:
        return load_site_model(self.plain, self.layers, self.device)


def live_sites(build: Stored, data: Path) -> dict[str, LiveSite]:
    """By name, in the store's order; nothing is loaded yet."""
    device = here(build.device)
    models = {site.model: LiveModel(build, site.model, data, device) for site in build.sites}
    return {site.name: LiveSite(build, site, models[site.model], data) for site in build.sites}


def here(device: str) -> str:
    """The build's kind of device where there is one, else the processor."""
    return choose_device(None) if device.startswith("cuda") else "cpu"


def differences(build: Stored) -> list[str]:
    """What may make activations differ from the store's in their last digits, a sentence each."""
    found = [
        f"The feature store was built with {name} {before}, and {now} is installed here."
        for name, now in library_versions().items()
        if (before := build.versions.get(name, "no version")) != now and name != "dartboard"
    ]
    if here(build.device) == "cpu" and build.device != "cpu":
        found.append("The feature store was built on a GPU, and there is none here.")
    return found


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise NotFound(f"The feature store does not say what {name!r} is; build it anew.")
