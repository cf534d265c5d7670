"""A virtual environment for each tool that dartboard is compared with: their needs contradict each other's, and dartboard's."""

import json
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from app.errors import DartboardError

HERE = Path(__file__).parent
AFTER = {  # what is done with pip once the pinned packages are in
    "sae-dashboard": ["uninstall", "--yes", "torchvision", "torchaudio"],
    "delphi": ["install", "--no-deps", "eai-delphi==0.1.3"],
}


def environment(tool: str, folder: Path) -> Path:
    """The Python of the tool's environment in `folder`, made where it is missing. Raises DartboardError where pip fails."""
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        typer.echo(f"Installing {tool} into {folder}, in some minutes", err=True)
        venv.create(folder, with_pip=True, clear=True)
        steps = [["install", "--requirement", str(HERE / f"{tool}.txt")]]
        for step in [*steps, *([AFTER[tool]] if tool in AFTER else [])]:
            ended = subprocess.run([str(python), "-m", "pip", *step], capture_output=True, text=True, check=False)
            if ended.returncode:
                raise DartboardError(f"Installing {tool} failed:\n{ended.stderr[-2000:]}")
        ready.touch()
    return python


def run_script(tool: str, folder: Path, script: str, arguments: Sequence[object]) -> dict[str, Any]:
    """The JSON object that a script beside this file prints last, in the tool's environment. Raises DartboardError."""
    command = [str(word) for word in (environment(tool, folder), HERE / script, *arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise DartboardError(f"{tool} failed:\n{ended.stderr[-2000:]}")
    facts: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return facts
