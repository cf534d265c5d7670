"""`dartboard analyse RATINGS`: every figure of an export's analysis, as text or as JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.errors import UserError

app = typer.Typer()


@app.command(epilog="Example: dartboard analyse demo-export --json")
def analyse(
    ratings: Annotated[
        Path, typer.Argument(metavar="RATINGS", help="The folder of an export, or its ratings.csv, .jsonl or .parquet.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as one JSON object.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Every interval's draws follow from it.")] = 0,
    trained: Annotated[str | None, typer.Option(help="The trained arm, where no protocol says which.")] = None,
    random: Annotated[str | None, typer.Option(help="The arm compared with it, where no protocol says which.")] = None,
    null: Annotated[str | None, typer.Option(help="The null arm, where no protocol says which.")] = None,
    crossed: Annotated[
        bool,
        typer.Option("--crossed", help="Add the crossed ordinal model: a minute or more; needs the extra “crossed”."),
    ] = False,
) -> None:
    """Analyse an exported study: were random features about as interpretable as trained ones? docs/analysis.md explains it."""
    from app.commands.analysed import show
    from app.exported import read_export
    from app.study.analysis.design import Design
    from app.study.analysis.run import analyse as analysed
    from app.study.analysis.run import arms_of

    tables = read_export(ratings)
    design = None
    if trained or random or null:
        known = Design.of(tables.protocol) if tables.protocol else Design.given(None, None, None, arms_of(tables))
        if known.declared:
            raise UserError("The protocol says which arms are compared; leave --trained, --random and --null out.")
        for name in (trained, random, null):
            if name and name not in known.names:
                raise UserError(f"There is no arm {name!r}; the arms are {', '.join(known.names)}.")
        design = known.compared(trained, random, null or known.null)
    found = analysed(tables, design, seed=seed, crossed=crossed)
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        show(found, Console())
