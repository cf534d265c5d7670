"""Errors as responses: a page, its fragment for htmx, or JSON under /api; each one sentence, with the right status."""

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.errors import DartboardError, NotFound
from app.render import render
from app.sessions import current_session

TITLES = {
    400: "That did not work",
    401: "A link is needed",
    403: "Not open to you",
    404: "Not found",
    409: "That cannot be done",
    410: "Too late",
    413: "Too long",
    422: "Not accepted",
    429: "Too many tries",
    500: "Something failed",
    503: "Not now",
    504: "That took too long",
}
FRAMEWORK = {
    404: "There is no such page; check the address.",
    405: "This address takes no request of that kind; go back and use the links and buttons of the page.",
    413: "That is more than a form here may hold; shorten it and send it again.",
}
UNEXPECTED = "Something failed on our side; what was saved is safe. Try again in a moment."


@dataclass(frozen=True)
class Link:
    href: str
    label: str


@dataclass(frozen=True)
class ErrorPage:
    title: str
    message: str
    back: Link | None  # None where the visitor has nowhere to go


def error_response(request: Request, status: int, message: str, nearest: str | None = None) -> Response:
    """`nearest` is the address of what there is in place of something that was not found."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": message} | ({"nearest": in_api(nearest)} if nearest else {}), status)
    title = TITLES.get(status, HTTPStatus(status).phrase)
    back = Link(nearest, "Go to the nearest") if nearest else way_back(request)
    if status == 422 and request.method == "GET" and request.url.query and back:  # a value in the address
        title, back = "Not understood", Link(request.url.path, "Go to the page without it")
    return render(request, "error.html", ErrorPage(title, message, back), status=status)


def in_api(address: str) -> str:
    """Where the API has what a page shows."""
    path, _, query = address.partition("?")
    if path.startswith("/api/"):
        return address
    return f"/api{path}/features?{query}" if query and path.startswith("/dictionaries/") else f"/api{address}"


def way_back(request: Request) -> Link | None:
    """A rater is led back to the rating pages and told of no others."""
    try:
        session = current_session(request)
    except (DartboardError, SQLAlchemyError):
        return None  # the store itself may be what failed
    if session is None:
        return None
    if session.rater is not None and (session.role is None or request.url.path.startswith("/rate")):
        return Link("/rate", "Go on rating")
    return Link("/", "Go to the start page") if session.role is not None else None


def raised(request: Request, error: Exception) -> Response:
    assert isinstance(error, DartboardError)
    return error_response(request, error.status, str(error), error.nearest if isinstance(error, NotFound) else None)


def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = error_response(request, error.status_code, FRAMEWORK.get(error.status_code, error.detail))
    response.headers.update(error.headers or {})  # which methods an address does take
    return response


def too_large(request: Request) -> Response:
    return error_response(request, 413, FRAMEWORK[413])


def malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return error_response(
        request, 422, f"The value of “{field}” is not valid ({first['msg']}); correct it and try again."
    )


def unexpected(request: Request, error: Exception) -> Response:
    return error_response(request, 500, UNEXPECTED)


def install_error_pages(app: FastAPI) -> None:
    app.add_exception_handler(DartboardError, raised)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(Exception, unexpected)
