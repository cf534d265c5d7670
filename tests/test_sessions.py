"""Who may see what: the cookie, the guards of every route, login links, logging out."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from tests.web import STUDY, Web, current_form, message, serve


@pytest.fixture
def web(small_store: Path, tmp_path: Path) -> Iterator[Web]:
    with serve(small_store, tmp_path / "data") as web:
        yield web


LATER = {"number": "1", "entry": "1", "code": "x", "chart": "scores", "table": "items"}
PUBLIC = {"/healthz", "/login/{token}", "/logout", "/invite/{token}", "/join/{token}"}
RATING = {
    "/rate",
    "/rate/consent",
    "/rate/start",
    "/rate/practice/{public_id}",
    "/rate/practised",
    "/rate/guess",
    "/rate/undo",
    "/rate/withdraw",
    "/rate/{public_id}",
}


def routes(web: Web) -> list[tuple[str, str]]:
    """Method and path of every route but those that anyone may use."""
    found = []
    for route in all_routes(web.app.routes):
        if route.path not in PUBLIC | RATING:
            found += [(method, filled(route.path)) for method in sorted((route.methods or set()) - {"HEAD"})]
    assert len(found) > 10
    return found


def all_routes(routes: list) -> Iterator[APIRoute | Route]:  # type: ignore[type-arg]
    for route in routes:
        if isinstance(route, APIRoute | Route):
            yield route
        elif isinstance(route, Mount):
            assert route.path == "/static", "a part of the application that this test does not look into"
        else:
            yield from all_routes(route.original_router.routes)


def filled(path: str) -> str:
    """A path with something in each of its places."""
    for name, value in {"name": STUDY, "index": "0", "group": "q1", "rater_id": "1", "link_id": "1", **LATER}.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, f"no value for a parameter of {path}"
    return path


class TestCookie:
    def test_holds_a_random_id_out_of_reach_of_scripts(self, web: Web) -> None:
        cookie = web.visitor().get(web.invite()).headers["set-cookie"]
        name, *attributes = cookie.split("; ")
        assert re.fullmatch(r"dartboard=[\w-]{43}", name)
        assert set(attributes) == {"HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=lax"}

    def test_is_secure_over_https(self, small_store: Path, tmp_path: Path) -> None:
        with serve(small_store, tmp_path / "data", base_url="https://rate.example.org") as web:
            opened = web.visitor(base="https://rate.example.org").get(web.invite())
        name, *attributes = opened.headers["set-cookie"].split("; ")
        assert name.startswith("__Host-dartboard=")
        assert set(attributes) == {"HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=lax", "Secure"}

    def test_is_stored_as_a_hash(self, web: Web) -> None:
        client = web.rater()
        token = client.cookies["dartboard"]
        with closing(sqlite3.connect(web.data / "study.sqlite")) as connection:
            dump = "\n".join(connection.iterdump())
        assert token not in dump

    def test_is_new_after_each_login(self, web: Web) -> None:
        """An id that somebody planted, or saw, before a login stands for nobody after it."""
        client = web.staff()
        before = client.cookies["dartboard"]
        client.get(web.invite())
        assert client.cookies["dartboard"] != before
        stale = web.visitor(cookies={"dartboard": before})
        assert stale.get("/admin").status_code == 401
        assert client.get("/admin").status_code == 200

    @pytest.mark.parametrize("value", ["x", "0" * 43, "é", "a" * 5000, "' OR 1=1 --"])
    def test_that_we_never_gave_stands_for_nobody(self, web: Web, value: str) -> None:
        response = web.visitor().get("/rate", headers={"Cookie": f"dartboard={value}".encode()})
        assert response.status_code == 401

    def test_expires(self, web: Web) -> None:
        rater, staff = web.rater(), web.staff()
        web.clock.forward(days=7)
        assert staff.get("/admin").status_code == 401
        assert rater.get("/rate").status_code == 200
        web.clock.forward(days=23)
        assert rater.get("/rate").status_code == 401


class TestGuards:
    def test_a_raters_session_opens_the_rating_pages_alone(self, web: Web) -> None:
        client = web.rater()
        for method, path in routes(web):
            response = client.request(method, path)
            assert response.status_code == 403, f"{method} {path}"
            assert "rating pages alone" in response.text

    def test_still_so_when_the_study_is_closed_or_revealed(self, web: Web) -> None:
        client = web.rater()
        for end in (web.study.close, web.study.reveal):
            end(STUDY, "test")
            assert {client.request(*route).status_code for route in routes(web)} == {403}

    def test_while_a_study_is_open_strangers_see_nothing(self, web: Web) -> None:
        client = web.visitor()
        assert {client.request(*route).status_code for route in routes(web)} == {401}

    def test_an_analyst_sees_all_but_the_admins_pages(self, web: Web) -> None:
        client = web.staff("analyst")
        for path in ("/", "/compare"):
            assert client.get(path).status_code == 200
        response = client.get(f"/admin/studies/{STUDY}")
        assert response.status_code == 403
        assert "for admins" in message(response)
        listed = client.get("/admin")  # what the menu leads to
        assert (listed.status_code, listed.headers["location"]) == (303, "/results")

    def test_no_study_open_on_loopback_browsing_needs_no_login(self, web: Web) -> None:
        web.study.close(STUDY, "test")
        assert web.visitor().get("/").status_code == 200
        assert web.visitor(base="http://localhost:8000").get("/").status_code == 200
        assert web.visitor(base="http://[::1]:8000").get("/").status_code == 200
        assert web.visitor().get("/admin").status_code == 401

    def test_a_foreign_name_for_this_computer_needs_a_login(self, web: Web) -> None:
        web.study.close(STUDY, "test")
        assert web.visitor(base="http://rebound.example:8000").get("/").status_code == 401

    @pytest.mark.parametrize("settings", [{"host": "0.0.0.0"}, {"base_url": "https://rate.example.org"}])
    def test_a_server_that_others_reach_needs_a_login_always(
        self, small_store: Path, tmp_path: Path, settings: dict[str, str]
    ) -> None:
        with serve(small_store, tmp_path / "data", **settings) as web:
            web.study.close(STUDY, "test")
            assert web.visitor().get("/").status_code == 401

    def test_one_browser_may_be_staff_and_rater(self, web: Web) -> None:
        client = web.staff()
        client.get(web.invite())
        client.post("/rate/consent")
        client.post("/rate/start")
        assert current_form(client)
        assert client.get("/admin").status_code == 200


class TestLogin:
    def link(self, web: Web, minutes: int = 10) -> str:
        return f"/login/{web.study.login_link('admin', 'Grace', minutes, 'test')}"

    def test_opening_the_link_uses_nothing_up(self, web: Web) -> None:
        link, client = self.link(web), web.visitor()
        for _ in range(3):
            page = client.get(link)
            assert page.status_code == 200
            assert f'action="{link}"' in page.text
            assert "set-cookie" not in page.headers
        assert client.post(link).headers["location"] == "/"
        assert client.get("/admin").status_code == 200

    def test_works_once(self, web: Web) -> None:
        link = self.link(web)
        assert web.visitor().post(link).status_code == 303
        response = web.visitor().post(link)
        assert response.status_code == 410
        assert "used already" in message(response)

    def test_expires(self, web: Web) -> None:
        link = self.link(web, minutes=10)
        web.clock.forward(minutes=10)
        response = web.visitor().post(link)
        assert response.status_code == 410
        assert "expired" in message(response)

    def test_mangled_is_said_and_slowed(self, web: Web) -> None:
        client = web.visitor()
        assert [client.post(f"/login/{n:043d}").status_code for n in range(900, 921)] == [404] * 20 + [429]

    def test_an_invite_is_no_login_link(self, web: Web) -> None:
        token = web.invite().removeprefix("/invite/")
        assert web.visitor().post(f"/login/{token}").status_code == 404

    def test_logging_out_ends_the_session_on_the_server(self, web: Web) -> None:
        client = web.staff()
        token = client.cookies["dartboard"]
        left = client.post("/logout")
        assert left.status_code == 303
        assert web.visitor(cookies={"dartboard": token}).get("/admin").status_code == 401

    def test_a_rater_s_cookie_goes_with_the_logout_but_one_that_was_staff_stays_marked(self, web: Web) -> None:
        rater = web.rater()
        assert "Max-Age=0" in rater.post("/logout").headers["set-cookie"]
        staff = web.staff()
        assert "set-cookie" not in staff.post("/logout").headers
        staff.get(web.invite())
        session = web.app.state.study.session(staff.cookies["dartboard"])
        assert session is not None
        assert (session.role, session.was_staff) == (None, True)

    def test_logging_out_twice_is_no_error(self, web: Web) -> None:
        assert web.visitor().post("/logout").status_code == 303
