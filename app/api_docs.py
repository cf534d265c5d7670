"""What the API can do: the OpenAPI document at /api/openapi.json, a page that lists the calls, and one to try them on.

The latter is Swagger UI, vendored, whose markup is its own; all that it says, /api/docs says as well.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

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
    """`parameters`: name and meaning of what the address may say; `answer`: the name of what comes back."""

    path: str
    words: str
    answer: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ApiDocsPage:
    about: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class ApiTryPage:
    """Needs nothing: the viewer reads the document."""


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    return answer_json(request, document())


@router.get("")
def api_page() -> Response:
    return RedirectResponse("/api/docs", 303)


@router.get("/docs")
def docs_page(request: Request) -> Response:
    calls = tuple(call(path, operations["get"]) for path, operations in document()["paths"].items())
    return render(request, "api.html", ApiDocsPage(ABOUT, calls))


@router.get("/docs/try")
def try_page(request: Request) -> Response:
    return render(request, "api_try.html", ApiTryPage())


def call(path: str, operation: dict[str, Any]) -> Call:
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    said = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
    return Call(path, operation["summary"], answer, tuple((one["name"], meaning(one)) for one in said))


def meaning(parameter: dict[str, Any]) -> str:
    allowed = parameter["schema"].get("enum")
    return str(parameter["description"]) + (f" One of: {', '.join(allowed)}." if allowed else "")


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of the API's routes; what a route's function says of itself is the summary of its call."""
    made = get_openapi(title="dartboard", version=__version__, description=ABOUT, routes=api.routes)
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["summary"] = operation.pop("description").removesuffix(".")
    return made
