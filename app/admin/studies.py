"""The admin's pages of studies: how far they are, closing, revealing, the ratings as CSV."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from app.errors import Conflict, Unprocessable
from app.export import csv_lines, rating_rows
from app.render import render
from app.sessions import require_admin, require_login
from app.state import state
from app.store.study import AuditEntry, ItemProgress, RaterProgress, Session, Study

router = APIRouter(prefix="/admin")
Admin = Annotated[Session, Depends(require_admin)]
Staff = Annotated[Session, Depends(require_login)]
LOG_ENTRIES = 20


@dataclass(frozen=True)
class StudiesPage:
    admin: str
    studies: tuple[Study, ...]


@dataclass(frozen=True)
class StudyPage:
    admin: str
    study: Study
    items: tuple[ItemProgress, ...]
    wanted: int  # accepted ratings an item is to have
    ratings: int  # accepted so far
    raters: tuple[RaterProgress, ...]
    log: tuple[AuditEntry, ...]


@dataclass(frozen=True)
class ConfirmPage:
    admin: str
    study: Study
    title: str
    consequences: tuple[str, ...]
    action: str
    button: str


@router.get("")
def list_studies(request: Request, admin: Admin) -> Response:
    return render(request, "admin/studies.html", StudiesPage(admin.name, tuple(state(request).study.studies())))


@router.get("/studies/{name}")
def show_study(request: Request, admin: Admin, name: str) -> Response:
    store = state(request).study
    study = store.study(name)
    items = tuple(store.item_progress(name))
    page = StudyPage(
        admin=admin.name,
        study=study,
        items=items,
        wanted=study.items * int(study.protocol["raters_per_item"]),
        ratings=sum(row.ratings * row.items for row in items),
        raters=tuple(store.raters(name)),
        log=tuple(store.audit(name)[:LOG_ENTRIES]),
    )
    return render(request, "admin/study.html", page)


@router.get("/studies/{name}/ratings.csv")
def ratings(request: Request, staff: Staff, name: str) -> Response:
    store = state(request).study
    study = store.study(name)
    disposition = {"Content-Disposition": f'attachment; filename="{study.name}-ratings.csv"'}
    lines = csv_lines(rating_rows(store, study.name))
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=disposition)


@router.get("/studies/{name}/close")
def ask_close(request: Request, admin: Admin, name: str) -> Response:
    study = state(request).study.study(name)
    if study.state != "open":
        raise Conflict(f"The study “{name}” is not open; only an open study can be closed.")
    consequences = ("No further rating is accepted, from anybody.", "It cannot be opened again.")
    page = ConfirmPage(admin.name, study, "Close the study", consequences, "close", "Close for good")
    return render(request, "admin/confirm.html", page)


@router.get("/studies/{name}/reveal")
def ask_reveal(request: Request, admin: Admin, name: str) -> Response:
    study = state(request).study.study(name)
    if study.state != "closed":
        raise Conflict(f"The study “{name}” is not closed; close it first, since a reveal ends all rating.")
    consequences = (
        "The export names the arm, the dictionary and the feature of each page that was rated.",
        "From then on nobody can rate this study blind.",
        "It cannot be taken back.",
    )
    page = ConfirmPage(admin.name, study, "Reveal the key", consequences, "reveal", "Reveal for good")
    return render(request, "admin/confirm.html", page)


@router.post("/studies/{name}/close")
def close(request: Request, admin: Admin, name: str, final: Annotated[str, Form()] = "") -> Response:
    _confirmed(final)
    state(request).study.close(name, admin.name)
    return RedirectResponse(f"/admin/studies/{name}", 303)


@router.post("/studies/{name}/reveal")
def reveal(request: Request, admin: Admin, name: str, final: Annotated[str, Form()] = "") -> Response:
    _confirmed(final)
    state(request).study.reveal(name, admin.name)
    return RedirectResponse(f"/admin/studies/{name}", 303)


def _confirmed(final: str) -> None:
    if final != "yes":
        raise Unprocessable("Nothing was changed: tick the box that says that this is final, and send the form again.")
