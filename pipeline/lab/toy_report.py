"""What `dartboard lab toy` leaves behind: tables in the terminal (Markdown), toy.json, and a CSV for each kind of measurement."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.lab.checks import Check
from pipeline.lab.report import markdown_table, show_checks, write
from pipeline.lab.toy_arms import Arm
from pipeline.lab.toy_figures import Figures
from pipeline.lab.toy_run import Run

Row = dict[str, Any]


def show(run: Run, checks: Sequence[Check], console: Console) -> None:
    """Print the checks, the grid, the comparison in every world, and what a real layer shows."""
    show_checks(checks, console)
    world = run.world
    _show_grid(f"Grid; {world.h} features, {world.frequencies}, in {world.n} dimensions", run.grid, console)
    for title, arms in _by_world(run.arms):
        table = markdown_table(title, "directions", "m", "alive", "purity", "monosemantic", "beyond chance", "MMCS")
        for arm in arms:
            found, mmcs = arm.purity, "" if arm.mmcs is None else f"{arm.mmcs:.3f}"
            figures = (f"{value:.3f}" for value in (found.mean, found.monosemantic, found.beyond))
            table.add_row(arm.kind, str(arm.m), str(arm.alive), *figures, mmcs)
        console.print(table)
    if run.layer:
        _show_grid("A layer of a model", run.layer, console)
        table = markdown_table("Estimates of its features", "α", "dead neurons", "loss stickiness", "larger dictionary")
        for one in run.layer_estimates:
            table.add_row(f"{one.alpha:g}", *(f"{value:.0f}" for value in (one.dead, one.stickiness, one.larger)))
        console.print(table)


def _show_grid(title: str, grid: Sequence[Figures], console: Console) -> None:
    known = any(one.mmcs is not None for one in grid)
    table = markdown_table(title, "α", "J", "loss", "FVE", "L0", "alive", *(("MMCS", "back", "found") if known else ()))
    for one in sorted(grid, key=lambda one: (one.alpha, one.m)):
        cells = [f"{one.alpha:g}", str(one.m), f"{one.loss:.3f}", f"{one.fve:.3f}", f"{one.l0:.1f}", str(one.alive)]
        if one.mmcs is not None and one.mmcs_back is not None:
            cells += [f"{one.mmcs:.3f}", f"{one.mmcs_back:.3f}", str(one.found)]
        table.add_row(*cells)
    console.print(table)


def _by_world(arms: Sequence[Arm]) -> Iterator[tuple[str, list[Arm]]]:
    for world in dict.fromkeys(arm.world for arm in arms):
        title = f"Directions among {world.h} features, {world.frequencies}, in {world.n} dimensions"
        yield title, [arm for arm in arms if arm.world == world]


def save(folder: Path, run: Run, checks: Sequence[Check], provenance: Row) -> list[Path]:
    """Write toy.json and the CSV files. Raises UserError where the folder cannot be written."""
    tables = {
        "grid": [asdict(one) for one in run.grid],
        "estimates": [asdict(one) for one in run.estimates],
        "purity": [_flat(arm) for arm in run.arms],
        "needed": [asdict(one) for one in run.needed],
        "layer": [asdict(one) for one in run.layer],
        "layer_estimates": [asdict(one) for one in run.layer_estimates],
    }
    found = [asdict(check) | {"mean": check.mean, "within": check.within} for check in checks]
    content = {"provenance": provenance, "world": asdict(run.world), "checks": found, "floors": run.floors, **tables}
    paths = [write(folder / "toy.json", json.dumps(content, ensure_ascii=False, indent=1) + "\n")]
    return paths + [write(folder / f"{name}.csv", _csv(rows)) for name, rows in tables.items() if rows]


def _flat(arm: Arm) -> Row:
    world = {name: getattr(arm.world, name) for name in ("n", "h", "frequencies")}
    rest = {name: getattr(arm, name) for name in ("kind", "m", "alive", "mmcs")}
    return {**world, **rest, **asdict(arm.purity), **{f"{name}_of_all": v for name, v in asdict(arm.whole).items()}}


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
