"""Recompute a dictionary's scores on a text that it was not fitted to. docs/measures.md has the formulas.

The text is read as a build reads it: windows drawn by seed, the same positions masked. All of it is judged, and μ is its own
mean, so that nothing that the dictionary was fitted with takes part.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.errors import UserError
from pipeline.config import CorpusConfig, ModelConfig, SiteConfig
from pipeline.corpus import Contexts, draw_contexts, load_contexts
from pipeline.dictionaries import Dictionary
from pipeline.dictionaries.decoders import TOKENS_AT_A_TIME
from pipeline.engines import Engine
from pipeline.floors import isotropic_floor, matched_floor, matched_tokens
from pipeline.formats import check_site
from pipeline.gguf import plain_model
from pipeline.hashing import derive
from pipeline.model import check_layer, check_length, find_blocks, load_tokenizer, load_whole_model, special_tokens
from pipeline.passes import piece
from pipeline.progress import Stages
from pipeline.sample import Layout, Sample
from pipeline.splice import SpliceScores, reconstructions, splice_scores
from pipeline.streaming import FromModel, sampled

NAME = "dictionary"  # of the one that is spliced in


@dataclass(frozen=True, slots=True)
class Reading:
    """What a dictionary is judged on: a model's layer, and windows of a text; reconstructions are spliced into some of them."""

    model: ModelConfig
    corpus: CorpusConfig
    site: SiteConfig
    seed: int
    splice_contexts: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Of the unmasked `tokens`; None where the dictionary doesn't reconstruct, or nothing was spliced.

    `dead`: share of features that fired on none of them.
    """

    tokens: int
    masked: int
    fve: float | None
    mse: float | None
    floor_isotropic: float
    floor_matched: float
    l0: float
    dead: float
    splice_contexts: int = 0
    ce_clean: float | None = None
    ce_ablated: float | None = None
    ce_spliced: float | None = None
    ce_recovered: float | None = None
    kl_score: float | None = None


def score(dictionary: Dictionary, reading: Reading, folder: Path, engine: Engine, stages: Stages) -> Scores:
    """`folder` takes what is unpacked and drawn. Raises UserError where dictionary, model and text don't go together."""
    layer = reading.site.layer
    with stages.stage("model"):
        model = plain_model(reading.model, folder / "model")
        check_layer(model, layer)
        check_length(model, reading.site.context_length)
        tokenizer = load_tokenizer(model)
    with stages.stage("contexts", None, "documents") as advance:
        draw_contexts(
            reading.corpus, reading.site, tokenizer, reading.seed, folder / "contexts", advance, hold_out=False
        )
    contexts = load_contexts(folder / "contexts")
    sample = _read(reading, model, tokenizer, contexts, engine, stages)
    x, mean = sample.part(held_out=False), torch.from_numpy(sample.statistics(reading.site.sink_norm).mean)
    check_site(dictionary, x.shape[1], reading.model.source, layer)
    with stages.stage("fidelity", len(x), "tokens") as advance:
        found = _judge(dictionary, x, mean, advance)
    with stages.stage("floors"):
        k, seed = min(dictionary.k or max(1, round(found.l0)), dictionary.m), derive(reading.seed, "floors")
        isotropic = isotropic_floor(x.shape[1], dictionary.m, k, seed)
        matched = matched_floor(matched_tokens(x, seed), dictionary.m, k, seed)
    spliced = _splice(dictionary, reading, model, sample, mean, stages)
    total = float((x - mean).double().square().sum())
    return Scores(
        tokens=len(x),
        masked=contexts.tokens.size - len(x),
        fve=None if found.residual is None else 1 - found.residual / total,
        mse=None if found.residual is None else found.residual / x.numel(),
        floor_isotropic=isotropic,
        floor_matched=matched,
        l0=found.l0,
        dead=found.dead,
        **spliced,
    )


def _read(
    reading: Reading, model: ModelConfig, tokenizer: Any, contexts: Contexts, engine: Engine, stages: Stages
) -> Sample:
    layer = reading.site.layer
    pieces = [piece(contexts, shard) for shard in range(Layout(contexts.count).count)]
    with stages.stage("activations", contexts.tokens.size, "tokens") as advance:
        work = functools.partial(sampled, FromModel(model, (layer,)))
        activations = {shard.number: layers[layer] for shard, layers in engine.run(work, pieces, advance)}
    return Sample.of(contexts, activations, special_tokens(tokenizer), reading.site.sink_norm)


@dataclass(frozen=True, slots=True)
class _Judged:
    residual: float | None  # Σ‖x − x̂‖²
    l0: float
    dead: float


def _judge(dictionary: Dictionary, x: Tensor, mean: Tensor, advance: Any) -> _Judged:
    reconstructs = dictionary.decoder is not None and dictionary.reconstructs
    residual, fired = 0.0, torch.zeros(dictionary.m, dtype=torch.int64)
    for part in torch.split(x, TOKENS_AT_A_TIME):
        codes = dictionary.encode(part)
        fired += codes.index.bincount(minlength=dictionary.m)
        if reconstructs:
            residual += float((part - dictionary.decode(codes, part)).double().square().sum())
        advance(len(part))
    dead = float((fired == 0).float().mean())
    return _Judged(residual if reconstructs else None, float(fired.sum()) / len(x), dead)


def _splice(
    dictionary: Dictionary, reading: Reading, model: ModelConfig, sample: Sample, mean: Tensor, stages: Stages
) -> dict[str, Any]:
    reconstruct = reconstructions({NAME: dictionary})
    count = min(reading.splice_contexts, sample.contexts.count)
    if not reconstruct or not count:
        return {}
    tokens = np.array(sample.contexts.tokens[:count], np.int64)
    allowed = np.zeros(tokens.shape, np.bool_)
    for shard in sorted(sample.activations):
        rows = sample.rows(shard)
        here = rows.context < count
        allowed[rows.context[here], rows.position[here]] = True
    with stages.stage("spliced model"):
        whole = load_whole_model(model)
        block = find_blocks(whole)[reading.site.layer]
        try:
            found: SpliceScores = splice_scores(
                whole, block, torch.from_numpy(tokens), torch.from_numpy(allowed), mean, reconstruct
            )[NAME]
        except ValueError as error:
            raise UserError(f"In the {count} contexts of --splice-contexts {error}; raise it.") from error
    return {
        "splice_contexts": count,
        "ce_clean": found.ce_clean,
        "ce_ablated": found.ce_ablated,
        "ce_spliced": found.ce_spliced,
        "ce_recovered": found.ce_recovered,
        "kl_score": found.kl_score,
    }
