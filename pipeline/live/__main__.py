"""python -m pipeline.live --store DATA/features.sqlite: started and ended by `dartboard serve --live`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

NICE = 5  # behind the server itself: people who rate come first


def main(store: Annotated[Path, typer.Option(help="The feature store.")]) -> None:
    """Answer questions about texts, a line of JSON each; docs/live.md has the form."""
    os.nice(NICE)
    # What libraries print must not stand between the answers.
    out = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")

    try:
        from pipeline.live.worker import work
    except ModuleNotFoundError as error:
        say({"failed": f"It needs {error.name}, which is not installed: pip install 'dartboard[pipeline]'."})
        return
    work(store, sys.stdin, say)


if __name__ == "__main__":
    typer.run(main)
