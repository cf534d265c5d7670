"""What `dartboard lab darts` leaves behind: tables in the terminal (Markdown, so that they can be pasted), and darts.json."""

import json
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.errors import UserError
from pipeline.lab import theory
from pipeline.lab.checks import Check
from pipeline.lab.darts import Run

LIBRARIES = ("dartboard", "numpy", "scipy", "torch")


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure of the sweep against m: its values by seed, or the single one of a formula."""

    label: str
    values: Sequence[Sequence[float]]  # [size][seed]
    formula: bool = False


def curves_of_fve(run: Run) -> list[Curve]:
    n, k = run.sizes.n, run.sizes.k
    energies = [theory.energy_of_top(n, m, k) for m in run.sizes.sweep]
    return [
        Curve("OMP", _by_size(run.floors, lambda found: found.omp)),
        Curve("least squares on the support", _by_size(run.floors, lambda found: found.least_squares)),
        Curve("tied decoder, best scale", _by_size(run.floors, lambda found: found.tied)),
        Curve("kq/(1+(k−1)q)", [[theory.tied_fve(q, k)] for q in energies], formula=True),
        Curve("PCA with k components", [run.values["pca"]] * len(energies)),
    ]


def curves_of_products(run: Run) -> list[Curve]:
    n, sweep = run.sizes.n, run.sizes.sweep
    return [
        Curve("√(2 ln(m²/2)/n)", [[theory.largest_pair(n, m)] for m in sweep], formula=True),
        Curve("largest xᵢ·xⱼ of either sign", _by_size(run.pairs, lambda found: found.largest)),
        Curve("nearest neighbour's cosine", _by_size(run.pairs, lambda found: found.nearest)),
        Curve("root mean square", _by_size(run.pairs, lambda found: found.rms)),
    ]


def show(run: Run, checks: Sequence[Check], console: Console) -> None:
    """Print one table for each group of checks, and the sweep of m."""
    show_checks(checks, console)
    table = markdown_table(
        f"Sweep of m; n={run.sizes.n}, k={run.sizes.k}, means over seeds", "", *map(str, run.sizes.sweep)
    )
    for curve in [*curves_of_products(run), *curves_of_fve(run)]:
        table.add_row(escape(curve.label), *(f"{statistics.fmean(values):.3f}" for values in curve.values))
    console.print(table)


def show_checks(checks: Sequence[Check], console: Console) -> None:
    """Print one table for each group of checks."""
    for title, rows in groupby(checks, lambda check: check.table):
        table = markdown_table(title, "check", "recomputed", "over seeds", "theory", "published", "±", "within", "note")
        for check in rows:
            table.add_row(*map(escape, _cells(check)))
        console.print(table)


def markdown_table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.MARKDOWN)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 or heading == "note" else "right", overflow="fold")
    return table


def _cells(check: Check) -> Iterator[str]:
    digits = check.digits
    yield check.name
    yield f"{check.mean:.{digits}f}"
    yield f"{min(check.values):.{digits}f} to {max(check.values):.{digits}f}"
    yield "" if check.theory is None else f"{check.theory:.{digits}f}"
    yield "" if check.published is None else f"{check.published:g}"
    yield f"{check.tolerance:.1g}"
    yield {True: "yes", False: "NO", None: ""}[check.within]
    yield check.note


def save(folder: Path, run: Run, checks: Sequence[Check], provenance: dict[str, Any]) -> Path:
    """Write darts.json. Raises UserError where the folder cannot be written."""
    histogram = run.histogram
    content = {
        "provenance": provenance,
        "checks": [asdict(check) | {"mean": check.mean, "within": check.within} for check in checks],
        "sweep": {
            "m": run.sizes.sweep,
            **{curve.label: curve.values for curve in [*curves_of_products(run), *curves_of_fve(run)]},
        },
        "histogram": histogram
        and {"norm": histogram.norm, "count": histogram.count.tolist(), "edge": histogram.edge.tolist()},
    }
    return write(folder / "darts.json", json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write(path: Path, text: str) -> Path:
    """Raises UserError where the folder cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another folder with --out.") from error
    return path


def versions() -> dict[str, str]:
    """Of Python and the libraries that the figures depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _by_size(found: Sequence[Sequence[Any]], value: Callable[[Any], float]) -> list[list[float]]:
    """From `found[seed][size]` to `[size][seed]`."""
    return [[value(entry) for entry in by_seed] for by_seed in zip(*found, strict=True)]
