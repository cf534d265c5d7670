"""Progress bars that show the stage, how much is done, the rate and the time left; a line a stage where there is no terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Advance = Callable[..., None]


class Stages:
    """Shows one bar a stage. `seconds` holds how long each took, by name."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.seconds: dict[str, float] = {}
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
        begun = time.monotonic()

        def advance(units: int = 1, note: str = "") -> None:
            self._progress.update(task, advance=units, note=note)

        yield advance
        seconds = time.monotonic() - begun
        self.seconds[name] = round(self.seconds.get(name, 0) + seconds, 3)
        state = next(entry for entry in self._progress.tasks if entry.id == task)
        self._progress.update(task, total=state.completed, note="")
        if not self.console.is_terminal:
            counted = f"{state.completed - done:,.0f} {unit} in " if unit else ""
            self.console.print(f"{name}: {counted}{seconds:.1f} s", highlight=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        shown = f"{speed:>9,.0f} {unit}/s" if speed is not None and unit else ""
        return Text(shown, style="progress.data.speed")
