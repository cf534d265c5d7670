"""Rating through the routes: instructions, screens, answers, undo, resuming; and what bad input gets."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.rate.pages import instructions
from app.study.answers import PageAnswer, PairAnswer
from tests.web import PAIRS, SOLO, STUDY, Web, answer, answer_form, current_form, message, serve

TOTAL = SOLO + PAIRS


@pytest.fixture
def web(small_store: Path, tmp_path: Path) -> Iterator[Web]:
    with serve(small_store, tmp_path / "data") as web:
        yield web


def answers(web: Web) -> list[tuple[int, str]]:
    """Revision and answer of every rating in the store, in order of arrival."""
    with closing(sqlite3.connect(web.data / "study.sqlite")) as connection:
        return list(connection.execute("SELECT revision, answer FROM rating ORDER BY id"))


def visible_times(web: Web) -> list[int | None]:
    with closing(sqlite3.connect(web.data / "study.sqlite")) as connection:
        return [row[0] for row in connection.execute("SELECT visible_ms FROM rating ORDER BY id")]


def test_an_invite_leads_to_instructions_and_leaves_the_address(web: Web) -> None:
    client = web.visitor()
    opened = client.get(web.invite())
    assert (opened.status_code, opened.headers["location"]) == (303, "/rate")
    assert "Taking part is voluntary" in client.get("/rate").text
    assert client.post("/rate/consent").headers["location"] == "/rate"
    page = client.get("/rate")
    assert "How clear are these pages?" in page.text
    assert f"{TOTAL} questions" in page.text
    assert answer_form(page) is None


def test_instructions_are_markdown_without_html_or_images(web: Web) -> None:
    hostile = (
        "# Title\n\n<script>alert(1)</script>\n\n![x](https://example.org/x.png) [y](javascript:alert(1)) **bold**"
    )
    html = str(instructions(replace(web.study.study(STUDY), instructions=hostile)))
    assert "<strong>bold</strong>" in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<img" not in html
    assert re.findall(r"<a [^>]*>", html) == ['<a href="https://example.org/x.png">']


def test_start_leads_to_the_first_screen_and_stays_left(web: Web) -> None:
    client = web.rater(started=False)
    assert client.post("/rate/start").headers["location"] == "/rate"
    first = current_form(client)
    assert client.post("/rate/start").status_code == 303  # pressed twice
    assert current_form(client) == first


def test_the_whole_session_without_javascript(web: Web) -> None:
    client = web.rater()
    tasks = []
    for done in range(TOTAL):
        page = client.get("/rate")
        assert f"{done} of {TOTAL} done" in page.text
        tasks.append(answer(client).task)
    assert tasks == ["page"] * SOLO + ["pair"] * PAIRS
    page = client.get("/rate")
    assert "All done" in page.text
    assert len(answers(web)) == TOTAL


def test_a_page_shows_three_blocks_of_equal_counts_and_a_pair_twice_as_many(web: Web) -> None:
    client = web.rater()
    sizes = {}
    while form := answer_form(page := client.get("/rate")):
        blocks = re.findall(r'<ol class="snippets">(.*?)</ol>', page.text, re.DOTALL)
        sizes.setdefault(form.task, set()).add(tuple(block.count("<li") for block in blocks))
        answer(client)
    assert sizes == {"page": {(4, 4, 4)}, "pair": {(4,) * 6}}


def test_questions_have_words_and_names(web: Web) -> None:
    client = web.rater()
    page = client.get("/rate").text
    assert re.findall(r'name="score" value="(\d)" required', page) == list("12345")
    assert [unescape(word) for word in re.findall(r'class="segment-word">(.*?)<', page)] == [
        "no pattern",
        "a hint",
        "partial",
        "clear",
        "very clear",
    ]
    for _ in range(SOLO):
        answer(client)
    page = client.get("/rate").text
    assert re.findall(r'name="(left|right)" value="(\d)" required', page) == [
        (side, score) for side in ("left", "right") for score in "12345"
    ]
    assert re.findall(r'name="choice" value="(\w+)" required', page) == ["left", "tie", "right", "neither"]
    assert page.count("<fieldset") == page.count("<legend>") == 4  # with the reasons to skip


def test_what_is_sent_is_stored(web: Web) -> None:
    client = web.rater()
    for _ in range(SOLO):
        answer(client, score=5)
    answer(client, left=1, right=4, choice="neither")
    stored = [text for _, text in answers(web)]
    assert stored[0] == '{"score": 5}'
    assert stored[-1] == '{"left": 1, "right": 4, "choice": "neither"}'


def test_htmx_gets_the_next_screen_at_once(web: Web) -> None:
    client = web.rater()
    form = current_form(client)
    fragment = client.post(form.action, data=form.filled(), headers={"HX-Request": "true"})
    assert fragment.status_code == 200
    assert fragment.text.startswith('<title>One page · dartboard</title>\n<div id="screen"')
    assert "<html" not in fragment.text
    assert answer_form(fragment) == current_form(client)
    assert 'data-announcement="Saved. 1 of' in fragment.text


def test_undo_reopens_the_last_answer_filled_in_and_a_new_one_replaces_it(web: Web) -> None:
    client = web.rater()
    first = answer(client, score=2)
    assert client.post("/rate/undo").headers["location"] == "/rate"
    page = client.get("/rate")
    again = answer_form(page)
    assert again is not None
    assert (again.action, again.revision) == (first.action, "2")
    assert re.findall(r'value="(\d)" required checked', page.text) == ["2"]
    assert "disabled" in page.text  # one step, no more
    answer(client, score=4)
    assert [(revision, text) for revision, text in answers(web)] == [(1, '{"score": 2}'), (2, '{"score": 4}')]
    assert current_form(client).action != first.action


def test_undo_works_from_the_last_page(web: Web) -> None:
    client = web.rater()
    for _ in range(TOTAL):
        last = answer(client)
    fragment = client.post("/rate/undo", headers={"HX-Request": "true"})
    form = answer_form(fragment)
    assert form is not None
    assert form.action == last.action
    assert "open again" in fragment.text


def test_nothing_to_undo_is_said(web: Web) -> None:
    response = web.rater().post("/rate/undo")
    assert response.status_code == 409
    assert "no answer to undo" in message(response)


def test_the_invite_resumes_in_another_browser(web: Web) -> None:
    link = web.invite()
    laptop, phone = web.visitor(), web.visitor()
    laptop.get(link)
    laptop.post("/rate/consent")
    laptop.post("/rate/start")
    answer(laptop)
    phone.get(link)
    assert current_form(phone) == current_form(laptop)
    answer(phone)
    assert f"2 of {TOTAL} done" in laptop.get("/rate").text


def test_a_reload_shows_the_same_screen(web: Web) -> None:
    client = web.rater()
    for _ in range(SOLO):
        answer(client)
    assert len({client.get("/rate").text for _ in range(3)}) == 1


@pytest.mark.parametrize(
    "values", [{"score": 0}, {"score": 6}, {"score": "x"}, {"score": ""}, {"score": "٣"}, {"score": "3.0"}]
)
def test_a_score_out_of_range_is_refused_and_the_screen_stays(web: Web, values: dict[str, str]) -> None:
    client = web.rater()
    form = current_form(client)
    response = client.post(form.action, data=form.filled(**values))  # type: ignore[arg-type]
    assert response.status_code == 422
    assert "1 to 5" in message(response)
    assert answers(web) == []
    assert current_form(client) == form


@pytest.mark.parametrize("values", [{"left": 9}, {"right": -1}, {"choice": "both"}, {"choice": ""}])
def test_a_pair_out_of_range_is_refused(web: Web, values: dict[str, str]) -> None:
    client = web.rater()
    for _ in range(SOLO):
        answer(client)
    form = current_form(client)
    response = client.post(form.action, data=form.filled(**values))  # type: ignore[arg-type]
    assert response.status_code == 422
    assert len(answers(web)) == SOLO
    assert current_form(client) == form


@pytest.mark.parametrize("field", ["task", "revision"])
@pytest.mark.parametrize("value", [None, "", "pair", "-1", "9" * 30])
def test_a_mangled_form_is_refused(web: Web, field: str, value: str | None) -> None:
    client = web.rater()
    form = current_form(client)
    data = {name: text for name, text in (form.filled() | {field: value}).items() if text is not None}
    response = client.post(form.action, data=data)
    assert response.status_code in (409, 422)
    assert message(response)
    assert answers(web) == []


def test_the_same_answer_twice_is_stored_once(web: Web) -> None:
    client = web.rater()
    form = current_form(client)
    for _ in range(3):
        assert client.post(form.action, data=form.filled(score=4)).status_code == 303
    assert answers(web) == [(1, '{"score": 4}')]


def test_another_answer_to_an_answered_question_is_a_conflict(web: Web) -> None:
    client = web.rater()
    form = answer(client, score=4)
    response = client.post(form.action, data=form.filled(score=5))
    assert response.status_code == 409
    assert "answered already" in message(response)
    assert 'href="/rate"' in response.text
    assert answers(web) == [(1, '{"score": 4}')]


def test_after_closing_nothing_is_taken_and_nothing_is_lost(web: Web) -> None:
    client = web.rater()
    answer(client, score=4)
    form = current_form(client)
    web.study.close(STUDY, "test")
    response = client.post(form.action, data=form.filled())
    assert response.status_code == 409
    assert "closed" in message(response)
    assert client.post("/rate/undo").status_code == 409
    assert answers(web) == [(1, '{"score": 4}')]
    page = client.get("/rate")
    assert page.status_code == 200
    assert "This study is closed" in page.text
    assert "Undo" not in page.text


def test_a_question_of_another_rater_is_unknown(web: Web) -> None:
    one, two = web.rater("Ada"), web.rater("Ben")
    form = current_form(one)
    assert current_form(two).action != form.action
    response = two.post(form.action, data=form.filled())
    assert response.status_code == 404
    assert "not one of yours" in message(response)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("1234", 1234), ("0", 0), ("", None), ("-5", None), ("abc", None), ("9" * 11, None), ("1" * 99, None)],
)
def test_visible_time_is_kept_where_it_can_be(web: Web, sent: str, stored: int | None) -> None:
    client = web.rater()
    form = current_form(client)
    assert client.post(form.action, data=form.filled(visible_ms=sent)).status_code == 303
    assert visible_times(web) == [stored]


def test_ratings_of_staff_are_flagged(web: Web) -> None:
    staff = web.staff()
    staff.get(web.invite("Eve"))
    staff.post("/rate/consent")
    staff.post("/rate/start")
    answer(staff)
    answer(web.rater("Ada"))
    with closing(sqlite3.connect(web.data / "study.sqlite")) as connection:
        assert connection.execute("SELECT staff FROM rating ORDER BY id").fetchall() == [(1,), (0,)]


@pytest.mark.parametrize("path", ["/rate", "/rate/start", "/rate/undo", f"/rate/{'0' * 24}"])
def test_without_an_invite_there_is_nothing_to_rate(web: Web, path: str) -> None:
    client: TestClient = web.visitor()
    response = client.get(path) if path == "/rate" else client.post(path, data={"task": "page", "revision": "1"})
    assert response.status_code == 401
    assert "invite" in message(response)


class TestInvites:
    def test_mangled(self, web: Web) -> None:
        response = web.visitor().get(web.invite()[:-1])
        assert response.status_code == 404
        assert "copy the link whole" in message(response)
        assert "set-cookie" not in response.headers

    def test_expired(self, web: Web) -> None:
        link = web.invite(days=2)
        web.clock.forward(days=2)
        response = web.visitor().get(link)
        assert response.status_code == 410
        assert "expired" in message(response)

    def test_revoked_ends_the_session_and_keeps_the_ratings(self, web: Web) -> None:
        link = web.invite()
        client = web.visitor()
        client.get(link)
        client.post("/rate/consent")
        client.post("/rate/start")
        answer(client, score=1)
        (row,) = web.study.raters(STUDY)
        web.study.revoke_invite(row.rater.id, "test")
        assert client.get("/rate").status_code == 401
        response = client.get(link)
        assert response.status_code == 410
        assert "revoked" in message(response)
        assert answers(web) == [(1, '{"score": 1}')]

    def test_guessing_is_slowed_and_leaves_others_alone(self, web: Web) -> None:
        link = web.invite()
        guesser = web.visitor(client=("203.0.113.9", 1))
        statuses = [guesser.get(f"/invite/{number:043d}").status_code for number in range(1000, 1021)]
        assert statuses == [404] * 20 + [429]
        assert guesser.get(link).status_code == 429
        assert web.visitor(client=("203.0.113.10", 1)).get(link).status_code == 303


def test_answers_make_the_exported_values(web: Web) -> None:
    """What the form's words mean: the stored answers read back as the dataclasses that analysis uses."""
    client = web.rater()
    for _ in range(SOLO):
        answer(client, score=3)
    answer(client, left=5, right=1, choice="left")
    client.post("/rate/undo")
    rater = web.study.session(client.cookies["dartboard"])
    assert rater is not None
    assert rater.rater is not None
    screen = web.study.screen(rater.rater)
    assert screen is not None
    assert screen.previous == PairAnswer(5, 1, "left")
    assert screen.previous != PageAnswer(5)
