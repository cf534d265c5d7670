"""A rater's whole way through the routes: consent, practice, every task, the end, withdrawal, the round of guesses."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from starlette.testclient import TestClient

from app.render import environment
from app.study.content import Snippet
from tests.web import Form, Web, answer, answer_form, current_form, message, serve_frozen
from tests.whole import NAME, whole_study

HTMX = {"HX-Request": "true"}


@contextmanager
def whole(folder: Path, **changes: Any) -> Iterator[Web]:
    folder.mkdir()
    with serve_frozen(whole_study(**changes), folder) as web:
        yield web


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with whole(tmp_path / "data") as web:
        yield web


@pytest.fixture
def unpractised(tmp_path: Path) -> Iterator[Web]:
    """A study without a practice round, so that raters come to the questions at once."""
    with whole(tmp_path / "data", practice=0) as web:
        yield web


def answers(web: Web) -> list[dict[str, Any] | None]:
    with closing(sqlite3.connect(web.data / "study.sqlite")) as connection:
        return [
            json.loads(text) if text else None
            for (text,) in connection.execute("SELECT answer FROM rating ORDER BY id")
        ]


def passed(client: TestClient) -> TestClient:
    """A rater who has answered the practice rightly."""
    answer(client, score=5)
    assert client.post("/rate/practised").headers["location"] == "/rate"
    return client


def to_task(client: TestClient, task: str) -> Form:
    """Answer until a question of that task is there."""
    while (form := current_form(client)).task != task:
        answer(client)
    return form


def text_of(response: Response) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.text.partition("<main")[2])))


class TestConsent:
    def test_comes_first_and_is_noted_once(self, web: Web) -> None:
        client = web.rater(started=False)
        assert "Start" in client.get("/rate").text
        with closing(sqlite3.connect(web.data / "study.sqlite")) as connection:
            (first,) = connection.execute("SELECT consented_at FROM rater").fetchone()
            web.clock.forward(minutes=1)
            assert client.post("/rate/consent").status_code == 303
            assert connection.execute("SELECT consented_at FROM rater").fetchone() == (first,)
        assert first

    def test_is_asked_for_until_it_is_given(self, web: Web) -> None:
        client = web.visitor()
        client.get(web.invite())
        for _ in range(2):
            page = client.get("/rate")
            assert "I agree to take part" in page.text
            assert answer_form(page) is None


class TestPractice:
    def test_tells_what_was_wrong_and_asks_again(self, web: Web) -> None:
        client = web.rater()
        first = client.get("/rate")
        assert "Practice: one page" in first.text
        assert "Nothing of this is counted" in text_of(first)
        form = answer(client, score=1)
        wrong = client.get("/rate")
        assert "Not quite. Try this one again. It is word" in text_of(wrong)
        again = answer_form(wrong)
        assert again is not None
        assert (again.action, again.revision) == (form.action, "2")
        answer(client, score=4)
        right = client.get("/rate")
        assert "That is right. It is word" in text_of(right)
        assert answer_form(right) is None
        assert "From here on your answers count" in right.text
        assert client.post("/rate/practised").status_code == 303
        assert "0 of 5 done" in client.get("/rate").text

    def test_must_be_passed(self, web: Web) -> None:
        client = web.rater()
        response = client.post("/rate/practised")
        assert response.status_code == 409
        assert "practice questions left" in message(response)
        answer(client, score=2)
        assert client.post("/rate/practised").status_code == 409
        assert "Practice" in client.get("/rate").text

    def test_cannot_be_skipped_or_undone(self, web: Web) -> None:
        client = web.rater()
        page = client.get("/rate").text
        assert "Skip this question" not in page
        assert "/rate/undo" not in page

    def test_sent_twice_is_one_try(self, web: Web) -> None:
        client = web.rater()
        form = current_form(client)
        for _ in range(2):
            assert client.post(form.action, data=form.filled(score=2)).status_code == 303
        assert len(answers(web)) == 1

    def test_what_is_missing_is_said_on_the_screen_itself(self, web: Web) -> None:
        client = web.rater()
        form = current_form(client)
        response = client.post(form.action, data=form.filled(explanation=" ", score=4))
        assert response.status_code == 422
        assert answer_form(response) == form
        assert "in a few words" in message(response)


class TestTasks:
    def test_a_page_asks_for_words_then_a_score_then_how_sure(self, unpractised: Web) -> None:
        client = unpractised.rater()
        form = to_task(client, "page")
        assert form.asked == ("explanation", "score", "confidence")
        answer(client, explanation="  verbs of\r\nmotion ", score=4, confidence=5)
        assert answers(unpractised)[-1] == {"score": 4, "confidence": 5, "explanation": "verbs of\nmotion"}

    def test_an_intruder_trial_is_a_choice_of_five_pieces(self, unpractised: Web) -> None:
        client = unpractised.rater()
        form = to_task(client, "intruder")
        assert form.asked == ("pick",)
        page = client.get("/rate").text
        assert re.findall(r'name="pick" value="(\d)" required', page) == list("12345")
        assert page.count('class="tokens"') == 5
        answer(client, pick=3)
        assert answers(unpractised)[-1] == {"pick": 3}

    def test_any_question_can_be_skipped_with_a_reason(self, unpractised: Web) -> None:
        client = unpractised.rater()
        form = current_form(client)
        sent = {"task": form.task, "revision": form.revision, "skip": "upsetting"}
        assert client.post(form.action, data=sent).status_code == 303
        assert answers(unpractised) == [{"skip": "upsetting"}]
        client.post("/rate/undo")
        page = client.get("/rate").text
        assert re.findall(r'name="skip" value="(\w+)" required checked', page) == ["upsetting"]
        answer(client)
        assert "skip" not in (answers(unpractised)[-1] or {})

    def test_a_reason_that_there_is_not_is_refused(self, unpractised: Web) -> None:
        client = unpractised.rater()
        form = current_form(client)
        sent = {"task": form.task, "revision": form.revision, "skip": "bored"}
        assert client.post(form.action, data=sent).status_code == 422
        assert answers(unpractised) == []

    def test_undo_brings_back_every_field(self, unpractised: Web) -> None:
        client = unpractised.rater()
        to_task(client, "page")
        answer(client, explanation="“a” < b & c", score=2, confidence=4)
        client.post("/rate/undo")
        page = client.get("/rate").text
        assert [unescape(text) for text in re.findall(r"<textarea[^>]*>(.*?)</textarea>", page)] == ["“a” < b & c"]
        assert re.findall(r'name="(\w+)" value="(\d)" required checked', page) == [("score", "2"), ("confidence", "4")]

    def test_an_answer_that_is_not_complete_keeps_what_was_typed(self, unpractised: Web) -> None:
        """Without a script nothing else would."""
        client = unpractised.rater()
        form = to_task(client, "page")
        response = client.post(form.action, data=form.filled(explanation="verbs </textarea>", score="", confidence=4))
        assert response.status_code == 422
        assert answer_form(response) == form
        assert "verbs &lt;/textarea&gt;</textarea>" in response.text
        assert re.findall(r'name="(\w+)" value="(\d)" required checked', response.text) == [("confidence", "4")]
        assert "1 to 5" in message(response)
        assert answers(unpractised) == []

    def test_words_that_cannot_be_stored_are_refused_with_a_sentence(self, unpractised: Web) -> None:
        client = unpractised.rater()
        form = to_task(client, "page")
        for words in ("a\0b", "x" * 2001):
            response = client.post(form.action, data=form.filled(explanation=words))
            assert response.status_code == 422
            assert "explanation" in message(response)
        assert answers(unpractised) == []


class TestDwell:
    @pytest.fixture
    def slow(self, tmp_path: Path) -> Iterator[Web]:
        with whole(tmp_path / "data", practice=0, dwell_seconds=3) as web:
            yield web

    def test_an_answer_that_comes_too_soon_waits_and_keeps_what_was_given(self, slow: Web) -> None:
        client = slow.rater()
        page = client.get("/rate")
        assert 'data-wait="3"' in page.text
        form = current_form(client)
        slow.clock.forward(seconds=1.2)
        early = client.post(form.action, data=form.filled(**{form.asked[-1]: 5}))
        assert early.status_code == 422
        assert 'data-wait="2"' in early.text
        assert "2 s" in message(early)
        assert f'name="{form.asked[-1]}" value="5" required checked' in early.text
        assert answers(slow) == []
        slow.clock.forward(seconds=1.8)
        assert client.post(form.action, data=form.filled()).status_code == 303
        assert len(answers(slow)) == 1

    def test_a_script_is_told_how_long_to_wait(self, slow: Web) -> None:
        client = slow.rater()
        form = current_form(client)
        early = client.post(form.action, data=form.filled(), headers=HTMX)
        assert early.status_code == 422
        assert "<html" not in early.text
        assert 'data-wait="3"' in early.text


class TestTheEnd:
    def test_a_closing_text_and_no_code_for_invited_raters(self, unpractised: Web) -> None:
        client = unpractised.rater()
        while answer_form(client.get("/rate")):
            answer(client)
        end = client.get("/rate")
        assert "All done" in end.text
        assert "You have rated pages of several kinds" in end.text
        assert "completion code" not in end.text

    def test_a_pause_says_so_and_takes_what_is_on_the_way(self, unpractised: Web) -> None:
        client = unpractised.rater()
        form = current_form(client)
        unpractised.study.pause(NAME, "test")
        assert "This study is paused" in client.get("/rate").text
        assert client.post(form.action, data=form.filled()).status_code == 303
        assert len(answers(unpractised)) == 1
        unpractised.study.resume(NAME, "test")
        assert current_form(client).action != form.action


class TestWithdrawal:
    def test_asks_to_be_sure_then_erases_and_says_so(self, unpractised: Web) -> None:
        client = unpractised.rater()
        answer(client)
        page = client.get("/rate/withdraw")
        assert "erased" in page.text
        refused = client.post("/rate/withdraw")
        assert refused.status_code == 422
        assert answers(unpractised) != [None]
        assert client.post("/rate/withdraw", data={"sure": "yes"}).status_code == 303
        assert answers(unpractised) == [None]
        assert "You have withdrawn" in client.get("/rate").text

    def test_afterwards_nothing_is_taken(self, unpractised: Web) -> None:
        client = unpractised.rater()
        form = current_form(client)
        client.post("/rate/withdraw", data={"sure": "yes"})
        for path, data in ((form.action, form.filled()), ("/rate/undo", {}), ("/rate/consent", {})):
            assert client.post(path, data=data).status_code in (401, 410)
        assert answers(unpractised) == []


class TestGuesses:
    def test_fresh_pages_then_the_arms_then_the_guesses(self, unpractised: Web) -> None:
        client = unpractised.rater()
        answer(client)
        unpractised.study.close(NAME, "test")
        assert "This study is closed" in client.get("/rate").text
        unpractised.study.open_guessing(NAME, "test")
        fresh = []
        for _ in range(2):
            page = client.get("/rate")
            assert "these pages are new" in page.text
            assert "random" not in text_of(page)
            fresh.append(answer(client).action)
        told = client.get("/rate")
        assert "What the pages were" in told.text
        assert re.findall(r"<li>(.*?)</li>", told.text.partition("<main")[2]) == ["trained", "random"]
        assert client.post("/rate/guess").headers["location"] == "/rate"
        form = current_form(client)
        assert (form.task, form.asked) == ("guess", ("guess", "confidence"))
        assert form.action not in fresh
        assert re.findall(r'name="guess" value="(\w+)"', client.get("/rate").text) == ["trained", "random", "unknown"]
        answer(client, guess="random", confidence=2)
        answer(client, guess="unknown", confidence=1)
        assert answers(unpractised)[-2:] == [{"arm": "random", "confidence": 2}, {"arm": None, "confidence": 1}]
        assert "All done" in client.get("/rate").text

    def test_an_arm_that_there_is_not_is_refused(self, unpractised: Web) -> None:
        client = unpractised.rater()
        unpractised.study.close(NAME, "test")
        unpractised.study.open_guessing(NAME, "test")
        for _ in range(2):
            answer(client)
        client.post("/rate/guess")
        form = current_form(client)
        before = len(answers(unpractised))
        for guess in ("sae", ""):
            response = client.post(form.action, data=form.filled(guess=guess))
            assert response.status_code == 422
            assert "kind of page" in message(response)
        assert len(answers(unpractised)) == before

    def test_the_arms_are_not_told_before(self, unpractised: Web) -> None:
        client = unpractised.rater()
        assert client.post("/rate/guess").status_code == 409
        unpractised.study.close(NAME, "test")
        unpractised.study.open_guessing(NAME, "test")
        client.post("/rate/guess")
        assert current_form(client).task == "page"
        assert "random" not in text_of(client.get("/rate"))


@pytest.mark.parametrize(
    ("tokens", "levels", "peak", "shown"),
    [
        ((" the", " cat"), (0, 4), 1, 'the <span class="hl-4 peak">cat</span>'),
        ((" ", "1", "9"), (0, 0, 4), 2, '1<span class="hl-4 peak">9</span>'),
        ((" ", "1"), (4, 0), 0, '<span class="hl-4 peak">\N{OPEN BOX}</span>1'),
    ],
)
def test_a_line_begins_with_no_space_but_one_that_is_marked(
    tokens: tuple[str, ...], levels: tuple[int, ...], peak: int, shown: str
) -> None:
    macro = environment().get_template("rate/_page.html").module.text_of  # type: ignore[attr-defined]
    assert str(macro(Snippet(tokens, levels, peak))).strip() == shown
