"""Results of a study: before the reveal progress that is blind to arms, after it what `app.results.compute` makes of it.

Nothing about a study that is not revealed gets past `_revealed`: no chart, no table, no computation.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

import app
from app.computing import Done, Failed, Running
from app.errors import NotFound
from app.export import csv_lines
from app.render import render, wants_fragment
from app.results.compute import SEED, check_revealed, compute
from app.results.light import in_light
from app.results.records import Chart, Report, Table
from app.results.words import Shown, cells, columns, shown_rows
from app.sessions import require_login
from app.state import state
from app.store.scores import FILE as SCORES
from app.store.study import ItemProgress, RaterProgress, Session, Study

router = APIRouter(prefix="/results/{name}", include_in_schema=False)
Staff = Annotated[Session, Depends(require_login)]
Part = TypeVar("Part", Chart, Table)


@dataclass(frozen=True)
class ProgressPage:
    """Before the reveal: counts of answers, whatever they say and whatever of."""

    staff: str
    study: Study
    items: tuple[ItemProgress, ...]
    item_count: int
    ratings: int
    wanted: int
    finished: int
    raters: int


@dataclass(frozen=True)
class ComputingPage:
    staff: str
    study: Study
    running: Running
    percent: int


@dataclass(frozen=True)
class ResultsPage:
    staff: str
    study: Study
    report: Report
    rows: dict[str, tuple[tuple[Shown, ...], ...]]  # of each table that the page shows, by its name


@dataclass(frozen=True)
class TablePage:
    staff: str
    study: Study
    table: Table
    rows: tuple[tuple[Shown, ...], ...]


@router.get("")
def show(request: Request, staff: Staff, name: str) -> Response:
    study = state(request).study.study(name)
    if study.state != "revealed":
        return render(request, "results/progress.html", _progress(request, staff.name, study))
    found = _ask(request, study)
    if isinstance(found, Running):
        page = ComputingPage(staff.name, study, found, round(100 * found.share))
        return render(request, "results/computing.html", page)
    if wants_fragment(request):  # the page that shows how far it is has asked: it is to make way
        return Response(headers={"HX-Refresh": "true"})
    rows = {one.name: tuple(shown_rows(one)) for one in found.tables() if not one.long}
    return render(request, "results/results.html", ResultsPage(staff.name, study, found, rows))


@router.get("/charts/{chart}.json")
def chart(request: Request, staff: Staff, name: str, chart: str, light: bool = False) -> Response:
    """A chart's specification; `light`: with the colours of the light theme in it, to be saved."""
    found = _named(chart, {one.name: one for one in _report(request, name).charts()}, "chart")
    return JSONResponse(in_light(found.spec) if light else found.spec)


@router.get("/data/{table}.csv")
def data(request: Request, staff: Staff, name: str, table: str) -> Response:
    """The exact values behind a chart or of a table."""
    found = _named(table, {one.name: one for one in _report(request, name).tables()}, "table")
    disposition = {"Content-Disposition": f'attachment; filename="{name}-{found.name}.csv"'}
    lines = csv_lines(cells(found), columns(found))
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=disposition)


@router.get("/tables/{table}")
def table(request: Request, staff: Staff, name: str, table: str) -> Response:
    """A table by itself: those that are too long for the page."""
    found = _named(table, {one.name: one for one in _report(request, name).tables()}, "table")
    study = state(request).study.study(name)
    return render(request, "results/table.html", TablePage(staff.name, study, found, tuple(shown_rows(found))))


def _progress(request: Request, staff: str, study: Study) -> ProgressPage:
    store = state(request).study
    items = tuple(store.item_progress(study.name))
    raters: list[RaterProgress] = store.raters(study.name)
    count = sum(row.items for row in items)
    return ProgressPage(
        staff=staff,
        study=study,
        items=items,
        item_count=count,
        ratings=sum(row.ratings * row.items for row in items),
        wanted=count * int(study.protocol["raters_per_item"]),
        finished=sum(one.finished_at is not None for one in raters),
        raters=len(raters),
    )


def _ask(request: Request, study: Study) -> Report | Running:
    """The report, or how far it is. Raises Conflict before the reveal, and what made the computation fail.

    A withdrawal erases answers and leaves the chain's head: so the raters who have withdrawn are part of the key.
    """
    check_revealed(study)
    here = state(request)
    withdrawn = sum(one.withdrawn_at is not None for one in here.study.raters(study.name))
    head = here.study.chain_head(study.name)
    settings = here.settings
    files = tuple(_stamp(path) for path in (settings.feature_path, settings.feature_path.with_name(SCORES)))
    key = (study.id, head.number, head.hash, withdrawn, SEED, app.__version__, files)
    arguments = (settings.study_database_url, study.name, settings.feature_path, SEED)
    match here.computing.ask(key, compute, arguments):
        case Done(value=Report() as report):
            return report
        case Failed(error=error):
            raise error
        case Running() as running:
            return running
    raise AssertionError("a computation has one of three outcomes")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from the one that stands there after it; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _report(request: Request, name: str) -> Report:
    """The report, for its parts. Raises as `_ask` does, NotFound while it is computed."""
    found = _ask(request, state(request).study.study(name))
    if isinstance(found, Running):
        raise NotFound(
            "The results are being computed; open their page, which shows how far they are.", nearest=f"/results/{name}"
        )
    return found


def _named(name: str, known: dict[str, Part], what: str) -> Part:
    if name not in known:
        raise NotFound(f"There is no {what} “{name[:40]}” in these results; there are {', '.join(known)}.")
    return known[name]
