"""Defences that stand in front of routes: headers and cross-site posts, as plain ASGI; guessed links, hasty clients.

Bodies that do not say how long they are are capped by FastAPI's `max_body_size`; `app.sessions` says who may see what.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Forbidden, TooMany, UserError

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Not `no-referrer`: with it browsers send `Origin: null` with our own forms, which OriginCheck could not tell apart.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class SecurityHeaders:
    """Sets HEADERS on every response, and a Cache-Control: nothing is kept but static files, for good once versioned."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        headers = HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self.names = frozenset(name for name, _ in self.headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [pair for pair in message["headers"] if pair[0] not in self.names]
                message["headers"] = given + self.headers
                if all(name != b"cache-control" for name, _ in given):
                    message["headers"].append((b"cache-control", cache_control(scope, message["status"]).encode()))
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def cache_control(scope: Scope, status: int) -> str:
    if not scope["path"].startswith("/static/") or status >= 400:
        return "no-store"
    return "public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else "no-cache"


class OriginCheck:
    """Refuses requests that change something and that a page of another site made the browser send.

    Browsers say where a request comes from in Sec-Fetch-Site (over https and to this computer) or else in Origin;
    a plain form needs nothing more. A program that sends neither carries nobody's cookie by accident, and may pass.
    `refuse` makes the response out of the error.
    """

    def __init__(self, app: ASGIApp, *, refuse: Callable[[Request, UserError], Response]) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            request = Request(scope, receive)
            if not same_origin(request):
                error = Forbidden("This form was sent from another site; open the page here and send it again.")
                response = await run_in_threadpool(self.refuse, request, error)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """Answers a request whose body says that it is too long by what `refuse` makes.

    The body is read to its end first, unless it is longer still than DRAINED: a browser that is sending hears nothing else.
    """

    DRAINED = 8 * 1024 * 1024  # bytes

    def __init__(self, app: ASGIApp, *, most: int, refuse: Callable[[Request], Response]) -> None:
        self.app = app
        self.most = most
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = dict(scope.get("headers", ())).get(b"content-length", b"")
        if scope["type"] != "http" or not length.isdigit() or int(length[:20]) <= self.most:
            await self.app(scope, receive, send)
            return
        left, more = min(int(length[:20]), self.DRAINED), True
        while left > 0 and more:
            message = await receive()
            left -= len(message.get("body", b""))
            more = message.get("more_body", False)
        response = await run_in_threadpool(self.refuse, Request(scope, receive))
        await response(scope, receive, send)


def same_origin(request: Request) -> bool:
    """True where the request was made by one of our own pages, by its user directly, or by a program."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin, host = request.headers.get("origin"), request.headers.get("host")
    return origin is None or origin in {f"http://{host}", f"https://{host}"}


def client_of(request: Request) -> str:
    """The address that a request came from; behind a proxy that uvicorn trusts, the one that the proxy names."""
    return request.client.host if request.client else ""


class FailureLimit:
    """Counts failed tries a client, and refuses further ones for a while once there were too many.

        with limit.attempt(client):
            redeem(token)           # a UserError raised here counts

    Tokens hold 256 random bits and can't be guessed; this keeps guessing from loading the server and filling its log.
    """

    CLIENTS = 10_000  # remembered at most; the one that last failed longest ago is forgotten first

    def __init__(self, failures: int = 20, seconds: float = 300, timer: Callable[[], float] = time.monotonic) -> None:
        self.failures = failures
        self.seconds = seconds
        self.timer = timer
        self._lock = threading.Lock()
        self._failed: dict[str, deque[float]] = {}

    @contextmanager
    def attempt(self, client: str) -> Iterator[None]:
        """Raises TooMany where the client has used up its failures."""
        with self._lock:
            wait = self._wait(client)
        if wait > 0:
            raise TooMany(f"Too many links that did not work came from here; try again in {int(wait) + 1} seconds.")
        try:
            yield
        except UserError:
            with self._lock:
                self._note(client)
            raise

    def _wait(self, client: str) -> float:
        """Seconds until the client may try again; not above zero where it may now."""
        failed = self._failed.get(client)
        if failed is None or len(failed) < self.failures:
            return 0.0
        return failed[0] + self.seconds - self.timer()

    def _note(self, client: str) -> None:
        failed = self._failed.pop(client, deque(maxlen=self.failures))
        failed.append(self.timer())
        self._failed[client] = failed  # put back last, so that the first key is the client that failed longest ago
        if len(self._failed) > self.CLIENTS:
            del self._failed[next(iter(self._failed))]


class RateLimit:
    """Lets each client ask `number` times in any `seconds`."""

    CLIENTS = 10_000  # remembered at most; the one that last asked longest ago is forgotten first

    def __init__(self, number: int, seconds: float = 60, timer: Callable[[], float] = time.monotonic) -> None:
        self.number = number
        self.seconds = seconds
        self.timer = timer
        self._lock = threading.Lock()
        self._asked: dict[str, deque[float]] = {}

    def take(self, client: str) -> None:
        """Raises TooMany where the client has asked too often."""
        with self._lock:
            now, asked = self.timer(), self._asked.pop(client, deque(maxlen=self.number))
            self._asked[client] = asked
            wait = asked[0] + self.seconds - now if len(asked) == self.number else 0.0
            if wait > 0:
                raise TooMany(f"That was asked too often from here; try again in {int(wait) + 1} seconds.")
            asked.append(now)
            if len(self._asked) > self.CLIENTS:
                del self._asked[next(iter(self._asked))]
