"""Links by which many may join: make one, revoke one."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.admin.raters import LinkPage
from app.admin.studies import Admin, Id
from app.render import render
from app.state import state

router = APIRouter(prefix="/admin/studies/{name}/links")
# Prolific's own placeholders; it puts the ids in their place.
PLATFORM_QUERY = "PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}"


@router.post("")
def make(
    request: Request,
    admin: Admin,
    name: str,
    kind: Annotated[str, Form()],
    cap: Annotated[int, Form()],
    days: Annotated[int, Form()] = 30,
    completion_code: Annotated[str, Form()] = "",
) -> Response:
    app = state(request)
    token = app.study.make_link(name, kind, cap, days, admin.name, completion_code.strip())
    address = f"{app.settings.public_url}/join/{token}"
    notes = [f"Copy it now: it is shown this once. It works for {days} days and lets in {cap} raters at most."]
    if kind == "crowd":
        address = f"{address}?{PLATFORM_QUERY}"
        notes.append(
            "Give it to the platform as the study's address: it fills in the ids. Each rater sees the completion code "
            "after the last answer is saved."
        )
    else:
        notes.append("Everyone who opens it becomes a rater of their own; the browser's cookie brings them back.")
    title = "Link for a crowd platform" if kind == "crowd" else "Open link"
    return render(request, "admin/link.html", LinkPage(admin.name, name, title, address, tuple(notes)))


@router.post("/{link_id}/revoke")
def revoke(request: Request, admin: Admin, name: str, link_id: Id) -> Response:
    state(request).study.revoke_link(name, link_id, admin.name)
    return RedirectResponse(f"/admin/studies/{name}", 303)
