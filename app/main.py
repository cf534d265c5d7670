"""The web application.

app = create_app(Settings())        # what `dartboard serve` runs
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.admin import router as admin
from app.api import router as api
from app.api_docs import router as api_docs
from app.assets import Assets
from app.browse import router as browse
from app.browse.features import ROUTES as feature_routes
from app.computing import Computing
from app.error_pages import install_error_pages, raised, too_large
from app.live import Live
from app.rate import router as rate
from app.render import static_directory
from app.results import router as results
from app.security import BodyLimit, FailureLimit, OriginCheck, RateLimit, SecurityHeaders
from app.settings import Settings
from app.state import AppState, FeatureFile, state
from app.store.study import Clock, StudyStore, TokenSource, random_token, utc_now

MAX_BODY = 64 * 1024  # bytes; the longest honest form here has some hundreds
LIVE_QUESTIONS = 60  # a minute, from one client

health = APIRouter()
ROUTERS = (browse, api_docs, api, rate, admin, results, health)


class HeadAsGet:
    """Answers HEAD by what GET would be answered; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)


class Application(FastAPI):
    """FastAPI with the security headers outermost, so that even the answer to an error nobody expected has them."""

    def build_middleware_stack(self) -> ASGIApp:
        limited = BodyLimit(HeadAsGet(super().build_middleware_stack()), most=MAX_BODY, refuse=too_large)
        return SecurityHeaders(limited, https=self.state.settings.secure_cookies)


def create_app(settings: Settings, *, clock: Clock = utc_now, token: TokenSource = random_token) -> FastAPI:
    """The application for `settings`. `clock` and `token` can be fixed, so that a test can compare bytes.

    Opens the study store, making or migrating it. Raises UserError where that cannot be done.
    """
    app = Application(
        title="dartboard", docs_url=None, redoc_url=None, openapi_url=None, max_body_size=MAX_BODY, lifespan=lifespan
    )
    app.state = AppState()
    app.state.settings = settings
    app.state.feature_file = FeatureFile(settings.feature_path)
    app.state.study = StudyStore.open(settings.study_database_url, clock=clock, token=token)
    app.state.failures = FailureLimit()
    app.state.computing = Computing()
    app.state.live = Live(settings.feature_path) if settings.live else None
    app.state.live_limit = RateLimit(LIVE_QUESTIONS)
    app.add_middleware(OriginCheck, refuse=raised)
    install_error_pages(app)
    app.router.routes.extend(feature_routes)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", Assets(directory=static_directory()), name="static")
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    live = app.state.live
    if live is not None:
        live.start()
    yield
    if live is not None:
        await run_in_threadpool(live.stop)
    app.state.computing.close()
    app.state.study.dispose()


@health.get("/healthz")
def healthy(request: Request) -> Response:
    """Answers once the study store can be read."""
    state(request).study.any_open()
    return PlainTextResponse("ok")
