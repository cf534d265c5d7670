"""create_app: what it opens, how it answers errors, what it does when the feature store comes, changes or is broken."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import UserError
from app.main import create_app
from app.settings import Settings
from tests.web import STUDY, Web, message, serve


@pytest.fixture
def web(small_store: Path, tmp_path: Path) -> Iterator[Web]:
    with serve(small_store, tmp_path / "data") as web:
        yield web


def test_healthz_says_ok_and_no_more(web: Web) -> None:
    response = web.visitor().get("/healthz")
    assert (response.status_code, response.text) == (200, "ok")


def test_healthz_fails_with_the_study_store(web: Web) -> None:
    with sqlite3.connect(web.data / "study.sqlite") as connection:
        connection.execute("ALTER TABLE study RENAME TO gone")
    assert web.visitor(raise_server_exceptions=False).get("/healthz").status_code == 500


def test_a_study_store_that_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "study.sqlite").write_bytes(b"not a database, but long enough to look like a file of one" * 99)
    with pytest.raises(UserError, match="cannot be opened"):
        create_app(Settings(data=tmp_path))


class TestFeatureStore:
    """The pipeline replaces the file whole while the server runs."""

    def test_is_found_when_it_comes(self, small_store: Path, tmp_path: Path) -> None:
        data = tmp_path / "data"
        with serve(small_store, data) as web:
            web.study.close(STUDY, "test")
            path = data / "features.sqlite"
            path.unlink()
            assert web.app.state.features is None
            assert web.visitor().get("/").status_code == 200
            shutil.copy(small_store / "features.sqlite", path)
            assert web.app.state.features is not None
            assert web.app.state.features is web.app.state.features

    def test_is_opened_anew_when_it_was_replaced(self, small_store: Path, tmp_path: Path) -> None:
        data = tmp_path / "data"
        with serve(small_store, data) as web:
            before = web.app.state.features
            names = [dictionary.name for dictionary in before.dictionaries()]
            new = data / "new.sqlite"
            shutil.copy(small_store / "features.sqlite", new)
            with sqlite3.connect(new) as connection:
                connection.execute("UPDATE dictionary SET name = name || '-new'")
            new.replace(data / "features.sqlite")
            assert [d.name for d in web.app.state.features.dictionaries()] == [f"{name}-new" for name in names]
            assert [d.name for d in before.dictionaries()] == names  # a request under way still reads the old one

    def test_that_is_none_is_said_in_one_sentence(self, small_store: Path, tmp_path: Path) -> None:
        data = tmp_path / "data"
        data.mkdir()
        (data / "features.sqlite").write_bytes(b"nonsense" * 1000)
        with serve(small_store, data) as web:
            response = web.staff().get("/")
            assert response.status_code == 400
            assert "not a dartboard feature store" in message(response)

    def test_that_was_lost_stops_no_rater(self, small_store: Path, tmp_path: Path) -> None:
        with serve(small_store, tmp_path / "data") as web:
            (web.data / "features.sqlite").unlink()
            assert 'id="answer"' in web.rater().get("/rate").text


def test_head_is_answered_as_get(web: Web) -> None:
    client = web.staff()
    for path in ("/", "/api/dictionaries", "/static/favicon.svg", "/nothing"):
        get, head = client.get(path), client.head(path)
        assert head.status_code == get.status_code
        assert head.headers["content-length"] == get.headers["content-length"]
        assert head.headers.get("etag") == get.headers.get("etag")


class TestErrors:
    def test_are_pages_with_a_title_and_a_sentence(self, web: Web) -> None:
        response = web.visitor().get("/nothing/here")
        assert response.status_code == 404
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "<h1>Not found</h1>" in response.text
        assert message(response) == "There is no such page; check the address."

    def test_are_fragments_for_htmx(self, web: Web) -> None:
        response = web.visitor().get("/nothing", headers={"HX-Request": "true"})
        assert response.status_code == 404
        assert "<html" not in response.text
        assert message(response)
        assert response.headers["vary"] == "HX-Request"

    def test_are_json_under_api(self, web: Web) -> None:
        response = web.staff().get("/api/dictionaries/none")
        assert response.status_code == 404
        assert "There is no dictionary" in response.json()["error"]
        assert web.staff().get(response.json()["nearest"]).status_code == 200
        name = response.json()["nearest"].removeprefix("/api/dictionaries/")
        for address in (
            f"/api/dictionaries/{name}/features?page=9999&state=live",
            f"/api/search?q=the&dictionary={name}&page=999",
        ):
            response = web.staff().get(address)
            assert response.status_code == 404
            found = web.staff().get(response.json()["nearest"]).json()
            last = found.get("dictionaries", [found])[0]
            assert last["page"] == last["pages"]
        assert web.visitor().get("/api/nothing").json() == {"error": "There is no such page; check the address."}

    def test_lead_to_what_is_near(self, web: Web) -> None:
        client = web.staff()
        dictionary = web.app.state.features.dictionaries()[0]
        response = client.get(f"/dictionaries/{dictionary.name}/features/99999999")
        assert response.status_code == 404
        assert f'href="/dictionaries/{dictionary.name}/features/{dictionary.m - 1}"' in response.text

    def test_of_a_value_in_the_address_lead_to_the_page_without_it(self, web: Web) -> None:
        client = web.staff()
        response = client.get("/compare?at=-1")
        assert response.status_code == 422
        assert "<h1>Not understood</h1>" in response.text
        assert 'class="button" href="/compare"' in response.text

    def test_lead_each_to_where_they_may_go(self, web: Web) -> None:
        assert '<a class="button"' not in web.visitor().get("/nothing").text
        assert 'class="button" href="/"' in web.staff().get("/nothing").text
        rater = web.rater().get("/nothing").text
        assert 'class="button" href="/rate"' in rater
        assert 'href="/"' not in rater

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", "/"), ("GET", "/logout"), ("DELETE", "/rate"), ("PUT", "/static/x")]
    )
    def test_of_the_method(self, web: Web, method: str, path: str) -> None:
        response = web.staff().request(method, path)
        assert response.status_code == 405
        assert message(response)
        assert method not in response.headers["allow"]

    @pytest.mark.parametrize(
        "path", ["/static/../app/main.py", "/static/%2e%2e/pyproject.toml", "/static/", "/static/%00"]
    )
    def test_of_static_files_elsewhere(self, web: Web, path: str) -> None:
        assert web.visitor().get(path).status_code == 404

    def test_that_nobody_expected_say_nothing_of_the_cause(self, web: Web) -> None:
        with sqlite3.connect(web.data / "study.sqlite") as connection:
            connection.execute("ALTER TABLE session RENAME TO gone")
        response = web.visitor(raise_server_exceptions=False, cookies={"dartboard": "x"}).get("/rate")
        assert response.status_code == 500
        assert message(response) == "Something failed on our side; what was saved is safe. Try again in a moment."
        assert "session" not in response.text.split("<main")[1]

    def test_html_in_what_was_asked_is_text(self, web: Web) -> None:
        response = web.staff().get("/admin/studies/<script>alert(1)</script>")
        assert response.status_code == 404
        assert "<script>alert" not in response.text
