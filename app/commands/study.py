"""`dartboard study …`: new, list, invite, close, reveal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands import Data, settings_for, study_store
from app.freeze import freeze, load_protocol
from app.store.features import FeatureStore

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The study.")]


@app.command(epilog="Example: dartboard study new demo/STUDY.toml --if-missing")
def new(
    file: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file; docs/study-file.md explains it.")],
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing where there is a study of that name.")
    ] = False,
    data: Data = None,
) -> None:
    """Draw a study's features, freeze its protocol and pages, and open it to raters."""
    settings = settings_for(data=data)
    protocol = load_protocol(file)
    store = study_store(settings)
    if if_missing and store.has_study(protocol.name):
        typer.echo(f"The study “{protocol.name}” is there already.")
        return
    study = freeze(protocol, FeatureStore(settings.feature_path), store, actor="cli")
    typer.echo(f"Froze “{study.name}”: {study.items} items; protocol SHA-256 {study.protocol_hash}")
    for line in _report(store.report(study.name)):
        typer.echo(line)


@app.command("list", epilog="Example: dartboard study list")
def list_studies(data: Data = None) -> None:
    """List the studies with their state, items and raters."""
    store = study_store(settings_for(data=data))
    for study in store.studies():
        raters = store.raters(study.name)
        answers = sum(entry.done for entry in raters)
        typer.echo(f"{study.name}: {study.state}; items {study.items}, raters {len(raters)}, answers {answers}")


@app.command(epilog="Example: dartboard study invite demo --label Ada --days 14")
def invite(
    name: Name,
    label: Annotated[str, typer.Option(help="What you call this rater; it is not exported.")] = "rater",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long the link works.")] = 30,
    data: Data = None,
) -> None:
    """Add a rater and print the invite link, which works on any device until it expires or is revoked."""
    settings = settings_for(data=data)
    store = study_store(settings)
    rater = store.add_rater(name, label, actor="cli")
    typer.echo(f"{settings.public_url}/invite/{store.invite(name, rater.id, days, actor='cli')}")


@app.command(epilog="Example: dartboard study close demo")
def close(name: Name, data: Data = None) -> None:
    """Stop taking ratings, for good."""
    study_store(settings_for(data=data)).close(name, actor="cli")
    typer.echo(f"Closed “{name}”; `dartboard study reveal {name}` opens its key.")


@app.command(epilog="Example: dartboard study reveal demo")
def reveal(name: Name, data: Data = None) -> None:
    """Open the key of a closed study, for good: exports then say what each page was."""
    study_store(settings_for(data=data)).reveal(name, actor="cli")
    typer.echo(f"Revealed “{name}”; `dartboard export {name}` now names arms, dictionaries and features.")


def _report(report: dict[str, Any]) -> Iterator[str]:
    for name, arm in report["arms"].items():
        yield f"  {name}: {arm['pages']} pages"
    for name, counts in report["dictionaries"].items():
        yield (
            f"  {name}: {counts['eligible']} of {counts['features']} features can fill a page; "
            f"{counts['dead']} are dead, {counts['never']} never fire and {counts['rare']} are too rare, and are not shown"
        )
