"""Make the trained dictionaries of a build file, and nothing else: no pass over the text for hits, and no store."""

import dataclasses
from pathlib import Path

from rich.console import Console

from app.errors import UserError
from pipeline.build import Workers, at_work
from pipeline.dictionaries import Dictionary
from pipeline.export import Export, export, export_key
from pipeline.group import Group, groups
from pipeline.plan import Plan, needs_kept
from pipeline.progress import Stages


def train(plan: Plan, data: Path, workers: Workers, keep_work: bool, to: Export, console: Console) -> Stages:
    """Train what `to` does not hold yet, and write it there. What is stopped goes on from its last checkpoint when run again.

    Raises UserError where nothing in the build file is trained, Conflict where a build is at work there.
    """
    plan = _trained_only(plan)
    with at_work(plan, data, workers, keep_work, console) as run:
        waiting = [Group(run, sites) for sites in groups(plan.config.sites)]
        for group in waiting:
            group.check()
        while waiting:
            group = waiting.pop(0)  # what it holds goes when it is done
            left = [(site, one) for site, one in group.dictionaries() if not to.has(one.name, export_key(group, one))]
            if left:
                group.make()
            for site, config in left:
                made = Dictionary.load(group.place(config).directions)
                path = export(group, site, config, made, to)
                console.print(f"{config.title} is in {path}.", highlight=False)
    return run.stages


def _trained_only(plan: Plan) -> Plan:
    config = plan.config
    sites = [site for site in config.sites if needs_kept(config, [site])]
    if not sites:
        raise UserError("The build file names no dictionary that is trained; `dartboard build` makes the others.")
    names = [
        entry.name
        for entry in config.dictionaries
        if needs_kept(config.model_copy(update={"dictionaries": [entry]}), sites)
    ]
    kept = [entry for entry in config.dictionaries if entry.name in names]
    return dataclasses.replace(plan, config=config.model_copy(update={"sites": sites, "dictionaries": kept}))
