"""Progress bars that show the stage, how much is done, the rate and the time left; a line a stage where there is no terminal."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Advance = Callable[..., None]


NOTED_SECONDS = 5.0  # between notes of a stage's time


class Stages:
    """Shows one bar a stage. `seconds` holds how long each took, by name.

    With a file `kept`, runs that were interrupted count too, as long as the work is the same, which `key` says: the time is
    noted there after each stage, and now and then within.
    """

    def __init__(self, console: Console | None = None, kept: Path | None = None, key: str = "") -> None:
        self.console = console or Console(stderr=True)
        self.seconds: dict[str, float] = _before(kept, key)
        self._kept, self._key, self._noted = kept, key, time.monotonic()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> "Stages":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "", done: int = 0) -> Iterator[Advance]:
        """A stage of `total` units, `done` of them by an earlier run; yields `advance(units, note="")`.

        Without a total the bar only shows that something goes on; without a unit nothing is counted.
        """
        task = self._progress.add_task(name, total=total, completed=done, unit=unit, note="")
        begun, before = time.monotonic(), self.seconds.get(name, 0.0)

        def advance(units: int = 1, note: str = "") -> None:
            self._progress.update(task, advance=units, note=note)
            if time.monotonic() - self._noted > NOTED_SECONDS:
                self._note(name, before + time.monotonic() - begun)

        try:
            yield advance
        finally:
            seconds = time.monotonic() - begun
            self._note(name, before + seconds)
        state = next(entry for entry in self._progress.tasks if entry.id == task)
        self._progress.update(task, total=state.completed, note="")
        if not self.console.is_terminal:
            counted = f"{state.completed - done:,.0f} {unit} in " if unit else ""
            self.console.print(f"{name}: {counted}{seconds:.1f} s", highlight=False)

    def _note(self, name: str, seconds: float) -> None:
        self.seconds[name] = round(seconds, 3)
        self._noted = time.monotonic()
        if self._kept is not None and self._kept.parent.is_dir():
            temporary = self._kept.with_name(f".{self._kept.name}.part")
            temporary.write_text(json.dumps({"key": self._key, "seconds": self.seconds}), "utf-8")
            temporary.replace(self._kept)


def _before(kept: Path | None, key: str) -> dict[str, float]:
    """What earlier runs have noted; nothing where that can't be read, as it is of no consequence."""
    if kept is None:
        return {}
    try:
        noted = json.loads(kept.read_text("utf-8"))
        return dict(noted["seconds"]) if noted["key"] == key else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        shown = f"{speed:>9,.0f} {unit}/s" if speed is not None and unit else ""
        return Text(shown, style="progress.data.speed")
