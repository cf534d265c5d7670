"""Headers on every response, posts from other sites, bodies too large, guessed links."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import NotFound, TooMany
from app.main import MAX_BODY
from app.render import asset
from app.security import HEADERS, FailureLimit
from tests.web import Web, answer, current_form, message, serve


@pytest.fixture
def web(small_store: Path, tmp_path: Path) -> Iterator[Web]:
    with serve(small_store, tmp_path / "data") as web:
        yield web


def test_the_content_policy_allows_nothing_inline_and_no_other_host() -> None:
    policy = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/rate", 200),
        ("/nothing", 404),
        ("/admin", 403),
        ("/invite/x", 404),
        ("/static/none.css", 404),
    ],
)
def test_every_response_has_the_headers_and_is_kept_nowhere(web: Web, path: str, status: int) -> None:
    response = web.rater().get(path)
    assert response.status_code == status
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert response.headers["cache-control"] == "no-store"
    assert "server-timing" not in response.headers


def test_an_error_nobody_expected_has_the_headers_too(web: Web) -> None:
    def fail() -> None:
        raise RuntimeError("a secret detail")

    web.app.add_api_route("/fail", fail)
    response = web.visitor(raise_server_exceptions=False).get("/fail")
    assert response.status_code == 500
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert response.headers["cache-control"] == "no-store"
    assert "secret" not in response.text
    assert "what was saved is safe" in message(response)


def test_https_is_remembered_where_there_is_https(small_store: Path, tmp_path: Path) -> None:
    with serve(small_store, tmp_path / "data", base_url="https://rate.example.org") as web:
        assert web.visitor().get("/healthz").headers["strict-transport-security"] == "max-age=31536000"
        plain = "strict-transport-security"
    with serve(small_store, tmp_path / "plain") as web:
        assert plain not in web.visitor().get("/healthz").headers


def test_static_files_are_kept_for_good_once_their_address_has_a_digest(web: Web) -> None:
    visitor = web.visitor()
    versioned = visitor.get(asset("js/rate/main.js"))
    assert versioned.status_code == 200
    assert versioned.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert versioned.headers["content-type"] == "text/javascript; charset=utf-8"
    plain = visitor.get("/static/js/rate/main.js")
    assert (plain.headers["cache-control"], plain.content) == ("no-cache", versioned.content)
    assert (
        visitor.get("/static/js/keys+errors.js?v=x").headers["cache-control"] == "public, max-age=31536000, immutable"
    )
    for gone in (
        "/static/js/no.js?v=x",
        "/static/css/base+no.css",
        "/static/../app/main.py?v=x",
        "/static/css/..%2f..%2fREADME.md?v=x",
    ):
        assert visitor.get(gone).status_code == 404, gone
    assert visitor.post("/static/css/tokens+base.css").status_code == 405


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),  # a program
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),  # the address bar, a reload
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"}, False),
        ({"Origin": "http://127.0.0.1:8000"}, True),  # a browser that does not say where from
        ({"Origin": "http://127.0.0.1:8001"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://127.0.0.1:8000.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://[", "Sec-Fetch-Site": ""}, False),
        ({"Origin": "http://["}, False),
    ],
)
def test_forms_of_other_sites_are_refused(web: Web, headers: dict[str, str], passes: bool) -> None:
    client = web.rater()
    form = current_form(client)
    response = client.post(form.action, data=form.filled(), headers=headers)
    if passes:
        assert response.status_code == 303
    else:
        assert response.status_code == 403
        assert "another site" in message(response)
        assert current_form(client) == form


def test_reading_from_elsewhere_is_not_refused(web: Web) -> None:
    """An invite in a mail opens, whatever site the mail is read on."""
    assert web.visitor().get(web.invite(), headers={"Sec-Fetch-Site": "cross-site"}).status_code == 303


def test_a_body_too_large_is_refused_whether_it_says_its_size_or_not(web: Web) -> None:
    client = web.rater()
    form = current_form(client)
    big = b"score=" + b"3" * MAX_BODY
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post(form.action, content=big, headers=kind).status_code == 413
    assert client.post(form.action, content=iter([big[:1000], big[1000:]]), headers=kind).status_code == 413
    assert current_form(client) == form
    answer(client)


class Timer:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fail(limit: FailureLimit, client: str) -> None:
    with pytest.raises(NotFound), limit.attempt(client):
        raise NotFound("no")


class TestFailureLimit:
    def test_blocks_after_so_many_failures_and_says_for_how_long(self) -> None:
        limit = FailureLimit(failures=3, seconds=60, timer=(timer := Timer()))
        for _ in range(3):
            fail(limit, "a")
            timer.now += 10
        with pytest.raises(TooMany, match="in 31 seconds"), limit.attempt("a"):
            raise AssertionError("the attempt was made")

    def test_lets_the_client_try_again_once_the_first_failure_is_old(self) -> None:
        limit = FailureLimit(failures=2, seconds=60, timer=(timer := Timer()))
        fail(limit, "a")
        timer.now = 30
        fail(limit, "a")
        timer.now = 60
        fail(limit, "a")
        with pytest.raises(TooMany), limit.attempt("a"):
            pass

    def test_counts_no_successes(self) -> None:
        limit = FailureLimit(failures=2, timer=Timer())
        for _ in range(10):
            with limit.attempt("a"):
                pass
        fail(limit, "a")

    def test_counts_each_client_alone(self) -> None:
        limit = FailureLimit(failures=1, timer=Timer())
        fail(limit, "a")
        fail(limit, "b")

    def test_remembers_no_more_clients_than_it_should(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(FailureLimit, "CLIENTS", 3)
        limit = FailureLimit(failures=1, timer=Timer())
        for client in "abcd":
            fail(limit, client)
        fail(limit, "a")  # forgotten, so free to try
        with pytest.raises(TooMany), limit.attempt("d"):
            pass
