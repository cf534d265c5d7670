"""A study's raters: add one, make an invite, revoke the links, free the places of one who left, withdraw."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.admin.confirm import ConfirmPage, check_confirmed
from app.admin.studies import Admin, Id
from app.errors import NotFound
from app.render import render
from app.state import state
from app.store.study import Rater, RaterProgress, Study

router = APIRouter(prefix="/admin/studies/{name}/raters")
INVITE_DAYS = 30


@dataclass(frozen=True)
class LinkPage:
    """The one page that shows a link: only its hash is kept."""

    admin: str
    study: str
    title: str
    link: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RaterPage:
    admin: str
    study: Study
    row: RaterProgress


@router.post("")
def add(request: Request, admin: Admin, name: str, label: Annotated[str, Form()] = "") -> Response:
    rater = state(request).study.add_rater(name, label, admin.name)
    return _invite(request, admin.name, rater)


@router.get("/{rater_id}")
def show(request: Request, admin: Admin, name: str, rater_id: Id) -> Response:
    store = state(request).study
    return render(request, "admin/rater.html", RaterPage(admin.name, store.study(name), _row(request, name, rater_id)))


@router.post("/{rater_id}/invite")
def invite(request: Request, admin: Admin, name: str, rater_id: Id) -> Response:
    return _invite(request, admin.name, _of_study(request, name, rater_id))


@router.post("/{rater_id}/revoke")
def revoke(request: Request, admin: Admin, name: str, rater_id: Id) -> Response:
    _of_study(request, name, rater_id)
    state(request).study.revoke_invite(rater_id, admin.name)
    return RedirectResponse(f"/admin/studies/{name}/raters/{rater_id}", 303)


@router.post("/{rater_id}/release")
def release(request: Request, admin: Admin, name: str, rater_id: Id) -> Response:
    _of_study(request, name, rater_id)
    state(request).study.release(rater_id, admin.name)
    return RedirectResponse(f"/admin/studies/{name}/raters/{rater_id}", 303)


@router.get("/{rater_id}/withdraw")
def ask_withdraw(request: Request, admin: Admin, name: str, rater_id: Id) -> Response:
    rater = _of_study(request, name, rater_id)
    address = f"/admin/studies/{name}/raters/{rater_id}"
    consequences = (
        "Every answer of this rater is erased, and the name and the platform's ids with them.",
        "That there were answers, and when, stays in the chain, so that the rest can still be verified.",
        "The items are asked of others again, where the study is still open.",
        "It cannot be taken back.",
    )
    page = ConfirmPage(
        admin.name,
        address,
        rater.label,
        f"Withdraw {rater.label}",
        consequences,
        f"{address}/withdraw",
        "Erase for good",
    )
    return render(request, "admin/confirm.html", page)


@router.post("/{rater_id}/withdraw")
def withdraw(request: Request, admin: Admin, name: str, rater_id: Id, final: Annotated[str, Form()] = "") -> Response:
    check_confirmed(final)
    state(request).study.withdraw(_of_study(request, name, rater_id), admin.name)
    return RedirectResponse(f"/admin/studies/{name}/raters/{rater_id}", 303)


def _of_study(request: Request, name: str, rater_id: int) -> Rater:
    """Raises NotFound where the study has no such rater."""
    rater = state(request).study.rater(rater_id)
    if rater.study != name:
        raise NotFound(f"The study “{name}” has no such rater; choose one from the study's page.")
    return rater


def _row(request: Request, name: str, rater_id: int) -> RaterProgress:
    rater = _of_study(request, name, rater_id)
    return next(row for row in state(request).study.raters(name) if row.rater.id == rater.id)


def _invite(request: Request, admin: str, rater: Rater) -> Response:
    app = state(request)
    token = app.study.invite(rater.study, rater.id, INVITE_DAYS, admin)
    notes = (
        f"Copy it now: it is shown this once. It works for {INVITE_DAYS} days, on any device, and brings its holder back "
        "to where they stopped.",
        f"Whoever has it rates as {rater.label}.",
    )
    link = f"{app.settings.public_url}/invite/{token}"
    return render(request, "admin/link.html", LinkPage(admin, rater.study, f"Invite for {rater.label}", link, notes))
