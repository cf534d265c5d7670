"""The admin's pages: progress that says nothing of arms, raters and invites, closing, revealing, the CSV."""

import csv
import io
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from app.export import COLUMNS, csv_text
from tests.web import PAIRS, SOLO, STUDY, Web, answer, answer_form, message, serve

PAGE = f"/admin/studies/{STUDY}"
ITEMS = SOLO + PAIRS


@pytest.fixture
def web(small_store: Path, tmp_path: Path) -> Iterator[Web]:
    with serve(small_store, tmp_path / "data") as web:
        yield web


def shown_link(text: str) -> str:
    (link,) = re.findall(r'value="http://127\.0\.0\.1:8000(/invite/[\w-]{43})"', text)
    return str(link)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_list_names_each_study_and_its_state(web: Web) -> None:
    admin = web.staff()
    assert f'href="{PAGE}"' in admin.get("/admin").text
    assert ">open<" in admin.get("/admin").text
    web.study.close(STUDY, "test")
    assert ">closed<" in admin.get("/admin").text


def test_the_list_says_what_to_do_where_it_is_empty(small_store: Path, tmp_path: Path) -> None:
    with serve(small_store, tmp_path / "data", study_url=f"sqlite:///{tmp_path}/empty.sqlite") as web:
        assert "dartboard study new" in web.staff().get("/admin").text


def test_progress_counts_items_and_ratings(web: Web) -> None:
    client = web.rater("Ada")
    for _ in range(2):
        answer(client)
    page = web.staff().get(PAGE).text
    assert f"2 of {3 * ITEMS} ratings" in page
    assert re.findall(r'<td class="number">(\d+)</td>\s*<td class="number">(\d+)</td>', page) == [
        ("0", str(ITEMS - 2)),
        ("1", "2"),
    ]
    assert re.search(r">Ada</a></td>\s*<td><code>r-[0-9a-f]{12}</code></td>\s*<td class=\"number\">2</td>", page)


def test_progress_is_blind_to_arms(web: Web) -> None:
    client = web.rater()
    for _ in range(ITEMS):
        answer(client)
    arms = [arm["name"] for arm in web.study.study(STUDY).protocol["arms"]]
    names = [*arms, *(d.name for d in web.app.state.features.dictionaries())]
    page = web.staff().get(PAGE).text
    assert [name for name in names if name in page] == []


def test_a_new_rater_gets_a_link_that_is_shown_once(web: Web) -> None:
    admin = web.staff()
    made = admin.post(f"{PAGE}/raters", data={"label": "Ada <b>"})
    assert made.status_code == 200
    assert "Ada &lt;b&gt;" in made.text
    link = shown_link(made.text)
    page = admin.get(PAGE).text
    assert "Ada &lt;b&gt;" in page
    assert link not in page
    assert web.visitor().get(link).status_code == 303


@pytest.mark.parametrize("label", ["", "   ", "x" * 201, "a\nb"])
def test_a_rater_needs_a_name(web: Web, label: str) -> None:
    response = web.staff().post(f"{PAGE}/raters", data={"label": label})
    assert response.status_code == 400
    assert "name" in message(response)
    assert web.study.raters(STUDY) == []


def test_another_link_for_the_same_rater(web: Web) -> None:
    admin = web.staff()
    first = shown_link(admin.post(f"{PAGE}/raters", data={"label": "Ada"}).text)
    (row,) = web.study.raters(STUDY)
    second = shown_link(admin.post(f"{PAGE}/raters/{row.rater.id}/invite").text)
    assert second != first
    assert len(web.study.raters(STUDY)) == 1
    assert [web.visitor().get(link).status_code for link in (first, second)] == [303, 303]


def test_revoking_ends_every_link_of_a_rater(web: Web) -> None:
    admin = web.staff()
    link = shown_link(admin.post(f"{PAGE}/raters", data={"label": "Ada"}).text)
    (row,) = web.study.raters(STUDY)
    assert admin.post(f"{PAGE}/raters/{row.rater.id}/revoke").headers["location"] == f"{PAGE}/raters/{row.rater.id}"
    assert web.visitor().get(link).status_code == 410
    assert "revoked" in admin.get(PAGE).text


@pytest.mark.parametrize("action", ["invite", "revoke", "release", "withdraw"])
def test_a_rater_who_is_not_there(web: Web, action: str) -> None:
    response = web.staff().post(f"{PAGE}/raters/99/{action}", data={"final": "yes"})
    assert response.status_code == 404
    assert message(response)


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 30])
def test_a_number_that_nothing_has(web: Web, number: str) -> None:
    admin = web.staff()
    for response in (
        admin.get(f"{PAGE}/raters/{number}"),
        admin.post(f"{PAGE}/raters/{number}/revoke"),
        admin.post(f"{PAGE}/links/{number}/revoke"),
    ):
        assert response.status_code == 404
        assert "no such" in message(response)


def test_a_study_that_is_not_there(web: Web) -> None:
    admin = web.staff()
    for path in ("", "/ratings.csv", "/close", "/reveal"):
        assert admin.get(f"/admin/studies/none{path}").status_code == 404


def test_closing_asks_first_and_is_final(web: Web) -> None:
    admin = web.staff()
    asked = admin.get(f"{PAGE}/close")
    assert "cannot be opened again" in asked.text
    assert "I understand that this is final" in asked.text
    unticked = admin.post(f"{PAGE}/close")
    assert unticked.status_code == 422
    assert "Nothing was changed" in message(unticked)
    assert web.study.study(STUDY).state == "open"
    assert admin.post(f"{PAGE}/close", data={"final": "yes"}).headers["location"] == PAGE
    assert web.study.study(STUDY).state == "closed"
    for again in (admin.get(f"{PAGE}/close"), admin.post(f"{PAGE}/close", data={"final": "yes"})):
        assert again.status_code == 409
    assert admin.post(f"{PAGE}/raters", data={"label": "late"}).status_code == 409


def test_revealing_needs_a_closed_study_and_is_final(web: Web) -> None:
    admin = web.staff()
    assert admin.get(f"{PAGE}/reveal").status_code == 409
    assert admin.post(f"{PAGE}/reveal", data={"final": "yes"}).status_code == 409
    web.study.close(STUDY, "test")
    assert "cannot be taken back" in admin.get(f"{PAGE}/reveal").text
    assert admin.post(f"{PAGE}/reveal", data={"final": "no"}).status_code == 422
    assert web.study.study(STUDY).state == "closed"
    assert admin.post(f"{PAGE}/reveal", data={"final": "yes"}).status_code == 303
    assert web.study.study(STUDY).state == "revealed"
    assert admin.get(f"{PAGE}/reveal").status_code == 409


def test_the_csv_is_the_exports_and_has_arms_after_the_reveal_alone(web: Web) -> None:
    client = web.rater()
    for _ in range(ITEMS):
        answer(client)
    admin = web.staff()
    before = admin.get(f"{PAGE}/ratings.csv")
    assert before.headers["content-type"] == "text/csv; charset=utf-8"
    assert before.headers["content-disposition"] == f'attachment; filename="{STUDY}-ratings.csv"'
    assert before.headers["cache-control"] == "no-store"
    assert before.text == csv_text(web.study, STUDY)
    assert list(rows(before.text)[0]) == list(COLUMNS)
    assert len(rows(before.text)) == SOLO + 3 * PAIRS
    assert {row["arm"] + row["dictionary"] + row["feature"] for row in rows(before.text)} == {""}
    web.study.close(STUDY, "test")
    web.study.reveal(STUDY, "test")
    after = rows(admin.get(f"{PAGE}/ratings.csv").text)
    assert {row["arm"] for row in after} == {"learned", "drawn", "scrambled"}


def test_an_analyst_may_have_the_csv(web: Web) -> None:
    assert web.staff("analyst").get(f"{PAGE}/ratings.csv").status_code == 200


def test_the_csv_has_a_header_where_nothing_was_rated(web: Web) -> None:
    assert web.staff().get(f"{PAGE}/ratings.csv").text == ",".join(COLUMNS) + "\r\n"


def test_the_log_says_who_did_what(web: Web) -> None:
    admin = web.staff()
    admin.post(f"{PAGE}/raters", data={"label": "Ada"})
    admin.post(f"{PAGE}/close", data={"final": "yes"})
    page = unescape(admin.get(PAGE).text)
    log = re.findall(r"</span> ([\w ]+) <span class=\"quiet\">by ([\w ]+)</span>", page)
    assert log == [("close", "an admin"), ("invite", "an admin"), ("add rater", "an admin"), ("freeze", "test")]


def test_the_ways_on_follow_the_state(web: Web) -> None:
    admin = web.staff()
    links = [f"{PAGE}/close", f"{PAGE}/reveal"]  # no pages to guess on: no such round
    found = []
    for step in (lambda: None, lambda: web.study.close(STUDY, "test"), lambda: web.study.reveal(STUDY, "test")):
        step()
        page = admin.get(PAGE).text
        found.append([f'href="{link}"' in page for link in links])
    assert found == [[True, False], [False, True], [False, False]]


def test_pausing_and_going_on(web: Web) -> None:
    admin, client = web.staff(), web.rater()
    assert admin.post(f"{PAGE}/pause").headers["location"] == PAGE
    assert ">paused<" in admin.get(PAGE).text
    assert f'action="{PAGE}/resume"' in admin.get(PAGE).text
    assert answer_form(client.get("/rate")) is None
    assert admin.post(f"{PAGE}/pause").status_code == 409
    admin.post(f"{PAGE}/resume")
    assert answer_form(client.get("/rate")) is not None


def test_a_link_for_many_is_shown_once_and_can_be_revoked(web: Web) -> None:
    admin = web.staff()
    made = admin.post(f"{PAGE}/links", data={"kind": "crowd", "cap": "3", "completion_code": " C0DE "})
    (link,) = re.findall(r'value="http://127\.0\.0\.1:8000(/join/[\w-]{43})\?([^"]+)"', made.text)
    assert unescape(link[1]).startswith("PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID=")
    assert 'data-copy="link"' in made.text
    page = admin.get(PAGE).text
    assert link[0] not in page
    assert "0 of 3" in page
    assert "<code>C0DE</code>" in page
    (row,) = web.study.links(STUDY)
    assert admin.post(f"{PAGE}/links/{row.id}/revoke").headers["location"] == PAGE
    assert web.visitor().get(f"{link[0]}?PROLIFIC_PID=a&STUDY_ID=b&SESSION_ID=c").status_code == 410
    for wrong in ({"kind": "own", "cap": "3"}, {"kind": "open", "cap": "0"}):
        assert admin.post(f"{PAGE}/links", data=wrong).status_code == 400


def test_a_raters_own_page_and_what_can_be_done_there(web: Web) -> None:
    admin, client = web.staff(), web.rater("Ada")
    answer(client)
    (row,) = web.study.raters(STUDY)
    address = f"{PAGE}/raters/{row.rater.id}"
    page = admin.get(address).text
    assert row.rater.pseudonym in page
    assert re.search(r"<dt>Answered</dt><dd>1</dd>", page)
    assert admin.post(f"{address}/release").headers["location"] == address
    assert "Places freed" in admin.get(address).text
    assert client.get("/rate").status_code == 401, "one who was released is out"
    assert "is erased" in admin.get(f"{address}/withdraw").text
    assert admin.post(f"{address}/withdraw").status_code == 422
    assert admin.post(f"{address}/withdraw", data={"final": "yes"}).headers["location"] == address
    after = admin.get(address).text
    assert "Withdrawn" in after
    assert "Ada" not in after
    assert f"0 of {3 * ITEMS} ratings" in admin.get(PAGE).text


def test_a_rater_of_another_study_is_not_of_this_one(web: Web) -> None:
    web.rater("Ada")
    (row,) = web.study.raters(STUDY)
    assert web.staff().get(f"/admin/studies/other/raters/{row.rater.id}").status_code == 404


def test_a_draft_is_checked_as_it_is_saved_and_frozen_once_it_is_sound(web: Web) -> None:
    admin = web.staff()
    address = "/admin/drafts/next"
    assert admin.post("/admin/drafts", data={"name": "next"}).headers["location"] == address
    assert admin.post("/admin/drafts", data={"name": "next"}).status_code == 409
    assert f'href="{address}"' in admin.get("/admin").text
    starter = unescape(admin.get(address).text)
    assert "The design is sound" in starter
    assert "whether random keeps 80% of what trained gains over null pages" in starter
    assert "30 pages" in starter
    draft = web.study.draft("next")
    wrong = draft.text.replace("features = 10", 'features = "ten"\nfeature = 3')
    admin.post(address, data={"text": wrong})
    page = unescape(admin.get(address).text)
    assert "<li>unknown key tasks.page.feature" in page
    assert "<li>tasks.page.features: " in page
    assert "Freeze" not in page
    assert admin.get(f"{address}/freeze").status_code == 422
    assert admin.post(f"{address}/freeze", data={"final": "yes"}).status_code == 422
    admin.post(address, data={"text": "name = "})
    assert "not valid TOML" in admin.get(address).text
    unknown = draft.text.replace('dictionaries = ["', 'dictionaries = ["no-', 1)
    admin.post(address, data={"text": unknown})
    assert "there is no dictionary" in admin.get(address).text
    admin.post(address, data={"text": draft.text.replace("features = 10", "features = 1")})
    checked = unescape(admin.get(f"{address}/check").text)
    assert "<pre" in checked
    assert all(arm in checked for arm in ("trained", "random", "null-pages"))
    assert "can be changed" in admin.get(f"{address}/freeze").text
    assert admin.post(f"{address}/freeze").status_code == 422
    frozen = admin.post(f"{address}/freeze", data={"final": "yes"})
    assert frozen.headers["location"] == "/admin/studies/next"
    assert web.study.study("next").items == 3
    assert admin.get(f"{address}/freeze").status_code == 409
    assert admin.post(f"{address}/delete").status_code == 422
    assert admin.post(f"{address}/delete", data={"final": "yes"}).headers["location"] == "/admin"
    assert admin.get(address).status_code == 404
    assert web.study.has_study("next")


@pytest.mark.parametrize("name", ["", "Two Words", "a--b", "x" * 61, "a/b"])
def test_a_drafts_name(web: Web, name: str) -> None:
    assert web.staff().post("/admin/drafts", data={"name": name}).status_code == 400
    assert web.study.drafts() == []


def test_what_an_analyst_may_not_do(web: Web) -> None:
    analyst = web.staff("analyst")
    for path in (f"{PAGE}/pause", f"{PAGE}/links", f"{PAGE}/guessing", f"{PAGE}/raters/1/withdraw", "/admin/drafts"):
        assert analyst.post(path, data={"final": "yes", "kind": "open", "cap": "1"}).status_code == 403, path
