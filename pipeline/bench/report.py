"""The rows of the table: what was reached, beside its bar."""

from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; `bar` is the most that it may be, or the least. Without a bar it is there to explain the others."""

    shape: str
    what: str
    figure: float
    bar: float | None = None
    says: str = ""
    unit: str = "×"
    least: bool = False

    @property
    def mark(self) -> str:
        if self.bar is None:
            return ""
        return "pass" if (self.figure >= self.bar if self.least else self.figure <= self.bar) else "miss"

    @property
    def shown(self) -> str:
        return _figure(self.figure, self.unit)


def table(rows: list[Row], title: str) -> Table:
    made = Table(title=title, title_justify="left", show_lines=False)
    for heading, right in (("", 0), ("what", 0), ("reached", 1), ("bar", 1), ("", 0), ("made of", 0)):
        made.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        bar = "" if row.bar is None else f"{'≥' if row.least else '≤'} {_figure(row.bar, row.unit)}"
        colour = {"pass": "green", "miss": "red"}.get(row.mark, "")
        made.add_row(row.shape, row.what, row.shown, bar, f"[{colour}]{row.mark}[/]" if colour else "", row.says)
    return made


def _figure(value: float, unit: str) -> str:
    match unit:
        case "%":
            return f"{value:+.1%}"
        case "B" | "/s" | "ms" | "KB":
            return f"{value:,.0f}{'' if unit == '/s' else ' '}{unit}"
    return f"{value:.2f}"
