"""Every error that a user can cause, in one hierarchy.

    DartboardError            exit code 1, HTTP 500
    └── UserError             exit code 2, HTTP 400: bad input, one sentence that says what, where, what to do
        ├── LoginNeeded       401
        ├── Forbidden         403
        ├── NotFound          404
        ├── Conflict          409
        ├── Gone              410: an invite or link that has expired, was revoked or was used
        ├── Unprocessable     422: a form value out of range
        │   └── TooSoon       an answer under the minimum dwell
        ├── TooMany           429
        └── Unavailable       503: what the live worker can't do now, or not here
            └── TooSlow       504

Code raises these; the command line prints the message and exits, the web app renders it as a page.
"""

from math import ceil


class DartboardError(Exception):
    """Base of all errors that dartboard raises on purpose."""

    status = 500
    exit_code = 1


class UserError(DartboardError):
    status = 400
    exit_code = 2


class LoginNeeded(UserError):
    status = 401


class Forbidden(UserError):
    status = 403


class NotFound(UserError):
    """`nearest` is the address of what there is instead, for a page to link to."""

    status = 404

    def __init__(self, message: str, *, nearest: str | None = None) -> None:
        super().__init__(message)
        self.nearest = nearest


class Conflict(UserError):
    status = 409


class Gone(UserError):
    status = 410


class Unprocessable(UserError):
    status = 422


class TooSoon(Unprocessable):
    """`seconds` is how long to wait before the same answer is accepted."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"This came very fast: look at the page for {ceil(seconds)} s more, then send the answer again."
        )
        self.seconds = seconds


class TooMany(UserError):
    status = 429


class Unavailable(UserError):
    status = 503


class TooSlow(Unavailable):
    status = 504
