"""The admin's pages of studies: how far they are, and the ratings as CSV."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BeforeValidator
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from app.export import csv_lines, rating_rows
from app.render import render
from app.sessions import require_admin, require_login
from app.state import state
from app.store.study import AuditEntry, ChainHead, Draft, ItemProgress, Link, RaterProgress, Session, Study

router = APIRouter(prefix="/admin")
Admin = Annotated[Session, Depends(require_admin)]
Staff = Annotated[Session, Depends(require_login)]
LOG_ENTRIES = 20


def _id(text: str) -> int:
    """0, which nothing has, where it is no number that could be one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


Id = Annotated[int, BeforeValidator(_id)]  # of a rater or a link, in an address


@dataclass(frozen=True)
class StudiesPage:
    admin: str
    studies: tuple[Study, ...]
    drafts: tuple[Draft, ...]


@dataclass(frozen=True)
class StudyPage:
    admin: str
    study: Study
    items: tuple[ItemProgress, ...]
    item_count: int  # main items: those that are to be rated
    wanted: int  # accepted ratings that they are to have
    ratings: int  # accepted so far
    raters: tuple[RaterProgress, ...]
    links: tuple[Link, ...]
    can_join: bool
    can_guess: bool  # there are pages for a round of guesses
    chain: ChainHead
    log: tuple[AuditEntry, ...]


@router.get("")
def list_studies(request: Request, staff: Staff) -> Response:
    """The studies; analysts, who have none to administer, are shown those with results."""
    if staff.role != "admin":
        return RedirectResponse("/results", 303)
    store = state(request).study
    page = StudiesPage(staff.name, tuple(store.studies()), tuple(store.drafts()))
    return render(request, "admin/studies.html", page)


@router.get("/studies/{name}")
def show_study(request: Request, admin: Admin, name: str) -> Response:
    store = state(request).study
    study = store.study(name)
    items = tuple(store.item_progress(name))
    count = sum(row.items for row in items)
    page = StudyPage(
        admin=admin.name,
        study=study,
        items=items,
        item_count=count,
        wanted=count * int(study.protocol["raters_per_item"]),
        ratings=sum(row.ratings * row.items for row in items),
        raters=tuple(store.raters(name)),
        links=tuple(store.links(name)),
        can_join=study.state in ("open", "paused"),
        can_guess=bool(study.protocol["guess"]["pages"]),
        chain=store.chain_head(name),
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
