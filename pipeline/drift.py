"""How far a build in bfloat16 drifts from the same one in float32: measured on some contexts, and kept with the results."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config import ModelConfig
from pipeline.dictionaries import Dictionary
from pipeline.model import load_site_model
from pipeline.sample import FORWARD_CONTEXTS, Mask, Rows
from pipeline.streaming import Precision


@dataclass(frozen=True, slots=True)
class Drifting:
    """What is measured: a site in bfloat16, `tokens[context, position]`, and its dictionaries by name."""

    model: ModelConfig
    layer: int
    mask: Mask
    precision: Precision
    tokens: NDArray[np.int32]
    dictionaries: Sequence[tuple[str, Dictionary]]


def drift(job: Drifting) -> dict[str, float]:
    """A piece of work: by dictionary, the mean share of a token's features in float32 that fire in the build's precision too.

    Model and encoder both run in float32, from the weights as the build has them, on FORWARD_CONTEXTS contexts.
    """
    tokens = job.tokens[:FORWARD_CONTEXTS]
    exact_model = job.model.model_copy(update={"dtype": "float32"})
    exact, fast = (
        load_site_model(config, (job.layer,)).activations(torch.from_numpy(tokens.astype(np.int64)))[job.layer]
        for config in (exact_model, job.model)
    )
    allowed = job.mask.allowed(tokens, fast.flatten(0, 1))
    shares = {}
    for name, dictionary in job.dictionaries:
        wanted = dictionary.encode(Rows.of(exact.flatten(0, 1), allowed, 0).x)
        found = dictionary.encode(Rows.of(fast.flatten(0, 1), allowed, 0).x, job.precision)
        both = wanted.csr(dictionary.m).astype(bool).multiply(found.csr(dictionary.m).astype(bool))
        shares[name] = float(both.sum()) / max(len(wanted.index), 1)
    return shares
