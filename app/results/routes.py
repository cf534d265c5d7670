"""Results of a study: before the reveal progress that is blind to arms, after it what `app.results.compute` makes of it.

Nothing about a study that is not revealed gets past `_revealed`: no chart, no table, no computation.
"""

import asyncio
import io
import zipfile
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

import app
from app.computing import Done, Failed, Running
from app.errors import NotFound
from app.export import csv_lines
from app.files import file_stamp
from app.render import render, wants_fragment
from app.results.compute import SEED, check_revealed, compute
from app.results.files import Files, files
from app.results.light import in_light
from app.results.records import Chart, Report, Table
from app.results.words import Shown, cells, columns, shown_rows
from app.sessions import require_login
from app.state import state
from app.store.scores import FILE as SCORES
from app.store.study import ItemProgress, RaterProgress, Session, Study

router = APIRouter(prefix="/results", include_in_schema=False)
Staff = Annotated[Session, Depends(require_login)]
POLL = 0.2  # seconds between two looks at whether the files are drawn
Part = TypeVar("Part", Chart, Table)


@dataclass(frozen=True)
class ListPage:
    staff: str
    studies: tuple[Study, ...]


@dataclass(frozen=True)
class ProgressPage:
    """Before the reveal: counts of answers, whatever they say and whatever of. `back`: where the study's name leads."""

    staff: str
    back: str
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
    back: str
    study: Study
    running: Running
    percent: int


@dataclass(frozen=True)
class ResultsPage:
    staff: str
    back: str
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
def list_studies(request: Request, staff: Staff) -> Response:
    """Every study, for analysts too, who have no page of studies to administer."""
    return render(request, "results/list.html", ListPage(staff.name, tuple(state(request).study.studies())))


@router.get("/{name}")
def show(request: Request, staff: Staff, name: str) -> Response:
    study = state(request).study.study(name)
    if study.state != "revealed":
        return render(request, "results/progress.html", _progress(request, staff, study))
    found = _ask(request, study)
    if isinstance(found, Running):
        page = ComputingPage(staff.name, _back(staff, study), study, found, round(100 * found.share))
        return render(request, "results/computing.html", page)
    if wants_fragment(request):  # the page that shows how far it is has asked: it is to make way
        return Response(headers={"HX-Refresh": "true"})
    rows = {one.name: tuple(shown_rows(one)) for one in found.tables() if not one.long}
    return render(request, "results/results.html", ResultsPage(staff.name, _back(staff, study), study, found, rows))


@router.get("/{name}/charts/{chart}.json")
def chart(request: Request, staff: Staff, name: str, chart: str, light: bool = False) -> Response:
    """A chart's specification; `light`: with the colours of the light theme in it, to be saved."""
    found = _named(chart, {one.name: one for one in _report(request, name).charts()}, "chart")
    return JSONResponse(in_light(found.spec) if light else found.spec)


@router.get("/{name}/data/{table}.csv")
def data(request: Request, staff: Staff, name: str, table: str) -> Response:
    """The exact values behind a chart or of a table."""
    found = _named(table, {one.name: one for one in _report(request, name).tables()}, "table")
    disposition = {"Content-Disposition": f'attachment; filename="{name}-{found.name}.csv"'}
    lines = csv_lines(cells(found), columns(found))
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=disposition)


@router.get("/{name}/report.html")
async def report_page(request: Request, staff: Staff, name: str) -> Response:
    """The report as one file, to be saved: it opens from disk."""
    found = await _files(request, name)
    disposition = {"Content-Disposition": f'attachment; filename="{name}-report.html"'}
    return Response(found["report.html"], media_type="text/html; charset=utf-8", headers=disposition)


@router.get("/{name}/report.zip")
async def report_folder(request: Request, staff: Staff, name: str) -> Response:
    """Everything that `dartboard report` writes."""
    found = await _files(request, name)
    disposition = {"Content-Disposition": f'attachment; filename="{name}-report.zip"'}
    return Response(await run_in_threadpool(zipped, name, found), media_type="application/zip", headers=disposition)


@router.get("/{name}/tables/{table}")
def table(request: Request, staff: Staff, name: str, table: str) -> Response:
    """A table by itself: those that are too long for the page."""
    found = _named(table, {one.name: one for one in _report(request, name).tables()}, "table")
    study = state(request).study.study(name)
    return render(request, "results/table.html", TablePage(staff.name, study, found, tuple(shown_rows(found))))


def _back(staff: Session, study: Study) -> str:
    """An analyst may not open the page by which a study is run."""
    return f"/admin/studies/{study.name}" if staff.role == "admin" else "/results"


def _progress(request: Request, staff: Session, study: Study) -> ProgressPage:
    store = state(request).study
    items = tuple(store.item_progress(study.name))
    raters: list[RaterProgress] = store.raters(study.name)
    count = sum(row.items for row in items)
    return ProgressPage(
        staff=staff.name,
        back=_back(staff, study),
        study=study,
        items=items,
        item_count=count,
        ratings=sum(row.ratings * row.items for row in items),
        wanted=count * int(study.protocol["raters_per_item"]),
        finished=sum(one.finished_at is not None for one in raters),
        raters=len(raters),
    )


def _key(request: Request, study: Study) -> tuple[Hashable, ...]:
    """What tells one report from another: the ratings, the files beside them, seed and version.

    A withdrawal erases answers and leaves the chain's head, so the number of raters who have withdrawn is part of it.
    """
    here = state(request)
    withdrawn = sum(one.withdrawn_at is not None for one in here.study.raters(study.name))
    head = here.study.chain_head(study.name)
    features = here.settings.feature_path
    files_beside = tuple(file_stamp(path) for path in (features, features.with_name(SCORES)))
    return study.id, head.number, head.hash, withdrawn, files_beside, SEED, app.__version__


def _ask(request: Request, study: Study) -> Report | Running:
    """The report, or how far it is. Raises Conflict before the reveal, and what made the computation fail."""
    check_revealed(study)
    here = state(request)
    arguments = (here.settings.study_database_url, study.name, here.settings.feature_path, SEED)
    match here.computing.ask(_key(request, study), compute, arguments):
        case Done(value=Report() as report):
            return report
        case Failed(error=error):
            raise error
        case Running() as running:
            return running
    raise AssertionError("a computation has one of three outcomes")


def _report(request: Request, name: str) -> Report:
    """The report, for its parts. Raises as `_ask` does, NotFound while it is computed."""
    found = _ask(request, state(request).study.study(name))
    if isinstance(found, Running):
        raise NotFound(
            "The results are being computed; open their page, which shows how far they are.", nearest=f"/results/{name}"
        )
    return found


async def _files(request: Request, name: str) -> Files:
    """The report's files, drawn in a process of their own; meanwhile the event loop goes on. Raises as `_report` does."""
    report, key = await run_in_threadpool(_report_and_key, request, name)
    here = state(request)
    arguments = (report, here.settings.public_url)
    while True:
        match here.computing.ask(("files", *key), files, arguments):
            case Done(value=dict() as written):
                return written
            case Failed(error=error):
                raise error
        await asyncio.sleep(POLL)


def _report_and_key(request: Request, name: str) -> tuple[Report, tuple[Hashable, ...]]:
    return _report(request, name), _key(request, state(request).study.study(name))


def zipped(name: str, found: Files) -> bytes:
    """The files in a folder `name`-report, as a ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in found.items():
            archive.writestr(f"{name}-report/{path}", content)
    return buffer.getvalue()


def _named(name: str, known: dict[str, Part], what: str) -> Part:
    if name not in known:
        raise NotFound(f"There is no {what} “{name[:40]}” in these results; there are {', '.join(known)}.")
    return known[name]
