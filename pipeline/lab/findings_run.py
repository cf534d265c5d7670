"""Build and score the stores of `dartboard lab findings`: a trained model's and a re-randomised one's, one after the other.

Both steps go on where they were stopped, and do nothing where they are done.
"""

import shlex
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pipeline.build import Workers
from pipeline.build import build as build_store
from pipeline.config import Build
from pipeline.entries import TrainedConfig
from pipeline.plan import Plan, make_plan
from pipeline.progress import Stages
from pipeline.published import finished
from pipeline.scores.read import Scored, read_scored
from pipeline.scores.run import Options, score_store
from pipeline.scores.store import Source

PARTS = ("trained", "rerandomised")
FEATURES = 576  # of each dictionary are scored, at most
QUICK_CONTEXTS, QUICK_SECOND, QUICK_TOKENS, QUICK_EXPANSION, QUICK_SEEDS = 160, 64, 60_000, 8, 2


def findings(files: Path, data: Path, quick: bool, workers: Workers, console: Console) -> dict[str, Scored]:
    """The scored stores, by part; `files` holds PART.toml, DATA/PART the store. Raises UserError, Conflict."""
    found = {}
    for part in PARTS:
        command = shlex.join(["dartboard", "lab", "findings", *(["--quick"] if quick else [])])
        plan = make_plan(files / f"{part}.toml", command)
        if quick:
            plan = replace(plan, config=smaller(plan.config))
        folder = data / part
        if not finished(folder / "features.sqlite", plan.key):
            console.rule(f"{part}: features", align="left")
            build_store(plan, folder, workers, False, console)
        console.rule(f"{part}: scores", align="left")
        found[part] = _scored(plan, folder, quick, workers.device, console)
    return found


def _scored(plan: Plan, folder: Path, quick: bool, device: str, console: Console) -> Scored:
    path = folder / "features.sqlite"
    source = Source(path)
    options = Options(plan.config.seed, FEATURES // 8 if quick else FEATURES, True, device)
    with Stages(console) as stages:
        score_store(source, options, stages, plan.command)
    return read_scored(path)


def smaller(config: Build) -> Build:
    """The same kinds of dictionary on a tenth of the text: shows that everything works, and says nothing."""
    kept = [
        one.model_copy(update={"tokens": QUICK_TOKENS}) if isinstance(one, TrainedConfig) else one
        for one in config.dictionaries
        if one.seed < QUICK_SEEDS and (one.expansion or 1) <= QUICK_EXPANSION
    ]
    sites = [
        site.model_copy(update={"contexts": QUICK_CONTEXTS, "second_contexts": QUICK_SECOND}) for site in config.sites
    ]
    pages = config.pages.model_copy(update={"pool": QUICK_CONTEXTS})
    return config.model_copy(update={"dictionaries": kept, "sites": sites, "pages": pages})
