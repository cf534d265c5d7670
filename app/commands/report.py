"""`dartboard report`: what the results page says, as files."""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.commands import Data, settings_for
from app.errors import UserError

app = typer.Typer()


@app.command(epilog="Example: dartboard report demo --out demo-report")
def report(
    name: Annotated[str, typer.Argument(help="The study; it must be revealed.")],
    out: Annotated[Path | None, typer.Option(help="New folder to write; NAME-report where unset.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling; the results page has 0.")] = 0,
    redraw: Annotated[
        bool, typer.Option("--redraw", help="Verify the items by drawing them anew, too: that may take minutes.")
    ] = False,
    data: Data = None,
) -> None:
    """Write a revealed study's results: one HTML file that opens from disk, and Markdown with figures and tables."""
    from rich.progress import Progress

    from app.results.compute import compute
    from app.results.files import files

    settings = settings_for(data=data)
    folder = out or Path(f"{name}-report")
    if folder.exists():
        raise UserError(f"{folder} is there already; name a new folder with --out.")
    part = folder.with_name(f".{folder.name}.part")
    console = Console(stderr=True)
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)  # where nothing can be written, that is said before the work
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("Starting", total=1.0)

            def tell(doing: str, share: float) -> None:
                bar.update(task, description=doing, completed=share)

            found = compute(tell, settings.study_database_url, name, settings.feature_path, seed, redraw)
            written = files(tell, found, settings.public_url)
        for path, content in written.items():
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            (part / path).write_bytes(content)
        part.rename(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another place with --out.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    typer.echo(found.headline)
    for path in ("report.html", "report.md", "figures", "data"):
        typer.echo(f"Wrote {folder / path}")
