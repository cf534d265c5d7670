"""`dartboard study …`: check, new, list, invite, close, guess, reveal, verify, export, import."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from app.commands import Data, settings_for, study_store
from app.commands.simulate import app as simulate
from app.errors import UserError
from app.freeze import freeze, load_protocol
from app.store.features import FeatureStore

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The study.")]

app.add_typer(simulate)


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
    with Console(stderr=True).status("Drawing features and words, and making their pages"):
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
    study = study_store(settings_for(data=data)).close(name, actor="cli")
    asked = study.protocol.get("guess", {}).get("pages")
    guesses = f"`dartboard study guess {name}` opens the round of guesses, and then " if asked else ""
    typer.echo(f"Closed “{name}”; {guesses}`dartboard study reveal {name}` opens its key.")


@app.command(epilog="Example: dartboard study guess demo")
def guess(name: Name, data: Data = None) -> None:
    """Open the round of guesses of a closed study: raters who come back say which arm fresh pages are of."""
    study_store(settings_for(data=data)).open_guessing(name, actor="cli")
    typer.echo(f"Raters of “{name}” may guess, by their links; `dartboard study reveal {name}` ends that.")


@app.command(epilog="Example: dartboard study reveal demo")
def reveal(name: Name, data: Data = None) -> None:
    """Open the key of a closed study, for good: exports then say what each page was."""
    study_store(settings_for(data=data)).reveal(name, actor="cli")
    typer.echo(f"Revealed “{name}”; `dartboard export {name}` now names arms, dictionaries and features.")


@app.command(epilog="Example: dartboard study check demo/STUDY.toml")
def check(
    file: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file; docs/study-file.md explains it.")],
    data: Data = None,
) -> None:
    """Say what a study will be, before it is frozen: items, hours, strata, what is left out, imbalance, power."""
    from rich.progress import Progress

    from app.check import check as check_study
    from app.check import simulations

    protocol = load_protocol(file)
    features = FeatureStore(settings_for(data=data).feature_path)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        drawing = bar.add_task("Drawing features and words, and making their pages", total=None)
        simulating = bar.add_task("Simulating studies", total=simulations(protocol), visible=False)
        lines = []
        for line in check_study(protocol, features, lambda done: bar.advance(simulating, done)):
            bar.update(drawing, visible=False)
            bar.update(simulating, visible=True)
            lines.append(line)
    for line in lines:
        typer.echo(line)


@app.command(epilog="Example: dartboard study verify demo --archive demo-export/archive.jsonl")
def verify(
    name: Annotated[str | None, typer.Argument(help="The study; without one, the archive alone is verified.")] = None,
    archive: Annotated[
        Path | None, typer.Option(help="An archive.jsonl to verify, and to compare with the store.")
    ] = None,
    redraw: Annotated[
        bool, typer.Option("--redraw/--no-redraw", help="Draw the items anew, where the feature store is at hand.")
    ] = True,
    data: Data = None,
) -> None:
    """Derive everything of a study again, and name whatever was changed: protocol, key, items, ratings."""
    from app import verify as v

    if name is None and archive is None:
        raise UserError("Name a study, or an archive with --archive.")
    settings = settings_for(data=data)
    done: list[tuple[str, list[str]]] = []
    if archive is not None:
        done.append((f"{archive}: protocol, items, key and chain", v.verify_archive(archive)))
    if name is not None:
        store = study_store(settings)
        done.append((f"“{name}”: protocol, items, key and chain", v.verify_store(store, name)))
        if archive is not None:
            done.append((f"“{name}” and {archive} say the same", list(v.compare(store, name, archive))))
        if redraw and settings.feature_path.exists():
            features = FeatureStore(settings.feature_path)
            if v.drawn_from(store, name, features):
                done.append((f"“{name}”: its items, drawn anew", list(v.redraw(store, name, features))))
            else:
                typer.echo("Not checked: the feature store here is another one, so the items were not drawn anew.")
        elif redraw:
            typer.echo("Not checked: there is no feature store here, so the items were not drawn anew.")
    for what, faults in done:
        typer.echo(f"{'CHANGED' if faults else 'Holds'}: {what}")
        for fault in faults:
            typer.echo(f"  {fault}")
    if any(faults for _, faults in done):
        raise typer.Exit(1)


@app.command(epilog="Example: dartboard study export demo --out demo-export --parquet")
def export(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="New folder to write; NAME-export where unset.")] = None,
    form: Annotated[str, typer.Option("--format", help="csv, jsonl or parquet: of the tables.")] = "csv",
    parquet: Annotated[bool, typer.Option("--parquet", help="Write each table as Parquet, too.")] = False,
    data: Data = None,
) -> None:
    """Write a study as a folder: ratings, revisions, items, raters, features, codebook, protocol, archive."""
    from app.tables import FORMATS, write_folder

    if form not in FORMATS:
        raise UserError(f"There is no format {form!r}; use {', '.join(FORMATS)}.")
    settings = settings_for(data=data)
    forms = [one for one in FORMATS if one == form or (parquet and one == "parquet")]
    features = FeatureStore(settings.feature_path) if settings.feature_path.exists() else None
    folder = out or Path(f"{name}-export")
    written = write_folder(study_store(settings), name, folder, *forms, features=features)
    for path in written:
        typer.echo(f"Wrote {path}")
    if not any(path.stem == "features" for path in written):
        typer.echo(
            "Not written: features, since the feature store that the study was drawn from is not here.", err=True
        )


@app.command("import", epilog="Example: dartboard study import demo-export/archive.jsonl --data other")
def import_study(
    file: Annotated[Path, typer.Argument(metavar="archive.jsonl", help="What `dartboard study export` wrote.")],
    data: Data = None,
) -> None:
    """Take a study in from its archive; an export of it gives the same archive again."""
    from app.archive import load

    name = load(study_store(settings_for(data=data)), file, actor="cli")
    typer.echo(f"Imported “{name}”; `dartboard study verify {name}` derives its hashes again.")


def _report(report: dict[str, Any]) -> Iterator[str]:
    for name, arm in report["arms"].items():
        yield f"  {name}: {arm['pages']} pages" + (f", {arm['trials']} trials" if arm["trials"] else "")
    for name, counts in report["dictionaries"].items():
        yield (
            f"  {name}: {counts['eligible']} of {counts['features']} features can fill a page; "
            f"{counts['dead']} are dead, {counts['never']} never fire and {counts['rare']} are too rare, and are not shown"
        )
