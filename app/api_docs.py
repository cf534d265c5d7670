"""What the API can do: the OpenAPI document at /api/openapi.json, and a page that shows it, with a form to try each call.

The viewer is Swagger UI, vendored; without scripts the page lists the calls.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from app import __version__
from app.api import answer_json
from app.api import router as api
from app.render import render
from app.sessions import require_staff

router = APIRouter(prefix="/api", dependencies=[Depends(require_staff)], include_in_schema=False)
ABOUT = (
    "Everything that the pages for staff show of a feature store, as JSON. Every answer has an ETag: send it back in "
    "If-None-Match, and what you have already is not sent again. Log in as on the pages: the session's cookie is the key."
)


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    words: str


@dataclass(frozen=True, slots=True)
class ApiDocsPage:
    about: str
    calls: tuple[Call, ...]


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    return answer_json(request, document())


@router.get("/docs")
def docs_page(request: Request) -> Response:
    calls = tuple(
        Call(method.upper(), path, operation["summary"])
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    )
    return render(request, "api.html", ApiDocsPage(ABOUT, calls))


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of the API's routes; what a route's function says of itself is the summary of its call."""
    made = get_openapi(title="dartboard", version=__version__, description=ABOUT, routes=api.routes)
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["summary"] = operation.pop("description").removesuffix(".")
    return made
