"""Add a rater, make an invite link, revoke a rater's links."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.admin.studies import Admin
from app.render import render
from app.state import state
from app.store.study import Rater

router = APIRouter(prefix="/admin/studies/{name}/raters")
INVITE_DAYS = 30


@dataclass(frozen=True)
class InvitePage:
    """The one page that shows an invite: only its hash is kept."""

    admin: str
    study: str
    label: str
    link: str
    days: int


@router.post("")
def add(request: Request, admin: Admin, name: str, label: Annotated[str, Form()] = "") -> Response:
    rater = state(request).study.add_rater(name, label, admin.name)
    return _invite(request, admin.name, rater)


@router.post("/{rater_id}/invite")
def invite(request: Request, admin: Admin, name: str, rater_id: int) -> Response:
    return _invite(request, admin.name, state(request).study.rater(rater_id))


@router.post("/{rater_id}/revoke")
def revoke(request: Request, admin: Admin, name: str, rater_id: int) -> Response:
    state(request).study.revoke_invite(rater_id, admin.name)
    return RedirectResponse(f"/admin/studies/{name}", 303)


def _invite(request: Request, admin: str, rater: Rater) -> Response:
    app = state(request)
    token = app.study.invite(rater.study, rater.id, INVITE_DAYS, admin)
    link = f"{app.settings.public_url}/invite/{token}"
    return render(request, "admin/invite.html", InvitePage(admin, rater.study, rater.label, link, INVITE_DAYS))
