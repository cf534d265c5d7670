"""Stars, notes and lists through the pages, as a browser without scripts uses them; files that open from disk; ratings."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.browse.markdown import plain
from app.commands.page import save_list, save_named
from app.errors import NotFound, UserError
from app.memo import memo
from app.store.features import Dictionary, Feature, FeatureStore
from app.store.sealed import any_revealed, ratings_of, unopened
from app.store.shelf import Place, Shelf
from tests.test_render import Reader
from tests.web import Web, answer, serve

HOSTILE = "<script>alert(1)</script> “\u202eabc” & \x1b[31m"


@pytest.fixture
def web(small_store: Path, tmp_path: Path) -> Iterator[Web]:
    with serve(small_store, tmp_path / "data") as web:
        yield web


@pytest.fixture
def here(trained: Dictionary, live: Feature) -> str:
    return f"/dictionaries/{trained.name}/features/{live.index}"


def follow(client, address: str, **form: str):
    sent = client.post(address, data=form)
    assert sent.status_code == 303, sent.text
    return client.get(sent.headers["location"])


def test_a_feature_is_starred_noted_and_listed_from_its_page(web: Web, here: str, trained: Dictionary) -> None:
    ada, bea = web.staff(), web.staff("analyst")
    page = follow(ada, f"{here}/star", on="yes")
    assert 'aria-pressed="true"' in page.text
    assert 'aria-pressed="true"' not in bea.get(here).text
    page = follow(ada, f"{here}/note", text=HOSTILE)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text and "<script>alert" not in page.text
    page = follow(ada, f"{here}/lists", name=HOSTILE[:60])
    assert "✓" in page.text
    assert "<script>alert" not in page.text
    number = re.findall(r'href="/lists/(\d+)"', page.text)[0]
    shown = ada.get(f"/lists/{number}")
    assert f'href="{here}"' in shown.text
    assert "<script>alert" not in shown.text
    assert "⟨202E⟩" in shown.text and "\u202e" not in re.sub(r'value="[^"]*"', "", shown.text)
    assert bea.get(f"/lists/{number}").status_code == 404
    assert "✓" not in follow(ada, f"{here}/lists", list=number, on="no").text
    assert 'aria-pressed="true"' not in follow(ada, f"{here}/star", on="no").text
    assert '<span class="small quiet">saved ' in ada.get(here).text
    assert '<span class="small quiet">saved ' not in follow(ada, f"{here}/note", text="").text
    for bad in ({"on": "perhaps"}, {"list": "x", "on": "yes"}):
        assert ada.post(f"{here}/lists", data={"list": number, **bad}).status_code == 422


def test_lists_are_renamed_reordered_and_deleted_on_their_pages(web: Web, trained: Dictionary) -> None:
    ada = web.staff()
    for name in ("One", "Two"):
        follow(ada, "/lists", name=name)
    one, two = re.findall(r'id="list-(\d+)"', ada.get("/lists").text)
    page = follow(ada, f"/lists/{two}/move", way="up")
    assert re.findall(r'id="list-(\d+)"', page.text) == [two, one]
    assert "<h1>Uno</h1>" in follow(ada, f"/lists/{one}/rename", name="Uno").text
    for index in ("1", "2", "3"):
        follow(ada, f"/dictionaries/{trained.name}/features/{index}/lists", list=one)
    entries = re.findall(r'id="entry-(\d+)"', ada.get(f"/lists/{one}").text)
    page = follow(ada, f"/lists/{one}/entries/{entries[2]}/move", way="up")
    assert re.findall(r'id="entry-(\d+)"', page.text) == [entries[0], entries[2], entries[1]]
    page = follow(ada, f"/lists/{one}/entries/{entries[0]}/remove")
    assert re.findall(r'id="entry-(\d+)"', page.text) == [entries[2], entries[1]]
    exported = ada.get(f"/lists/{one}/export.json").json()
    assert [entry["feature"] for entry in exported["features"]] == [3, 2]
    assert {entry["weights_sha256"] for entry in exported["features"]} == {trained.weights_hash}
    assert [one["name"] for one in ada.get("/lists/export.json").json()["lists"]] == ["Two", "Uno"]
    assert "Delete Uno?" in ada.get(f"/lists/{one}/delete").text
    assert "Uno" not in follow(ada, f"/lists/{one}/delete").text
    assert ada.get(f"/lists/{one}").status_code == 404
    assert ada.post("/lists", data={"name": "two"}).status_code == 409


def test_without_a_login_there_is_nothing_to_keep(client, here: str) -> None:
    page = client.get(here)
    assert "belong to a login" in page.text
    assert "☆" not in page.text
    for refused in (client.get("/lists"), client.post(f"{here}/star", data={"on": "yes"})):
        assert refused.status_code == 401
        assert "belong to a login" in refused.text


def test_a_feature_that_is_gone_or_has_other_weights_is_said_to(web: Web, trained: Dictionary, here: str) -> None:
    shelf = Shelf(web.study)
    number = shelf.new_list("an admin", "Old")
    shelf.add("an admin", number, Place("gone", 5, "x"))
    shelf.add("an admin", number, Place(trained.name, 1, "other weights"))
    shelf.note("an admin", Place("gone", 5, "x"), "seen")
    ada = web.staff()
    page = ada.get(f"/lists/{number}").text
    assert "not in the feature store of now" in page
    assert "other weights now" in page
    assert "not in the feature store of now" in ada.get("/lists").text


def loads(html: str) -> list[str]:
    """Addresses that a browser would fetch for a file."""
    return re.findall(r"""(?:<link[^>]*\shref|\ssrc|url\(|@import)\s*=?\s*["']?([^"')\s>]+)""", html)


def test_a_file_holds_all_that_it_needs(
    web: Web, store: FeatureStore, trained: Dictionary, live: Feature, here: str
) -> None:
    ada = web.staff()
    follow(ada, f"{here}/note", text=HOSTILE)
    follow(ada, f"{here}/lists", name="Kept")
    number = re.findall(r'href="/lists/(\d+)"', ada.get(here).text)[0]
    for address in (f"{here}/html", f"/lists/{number}/export.html"):
        answer = ada.get(address)
        assert answer.headers["content-disposition"].startswith('attachment; filename="')
        assert loads(answer.text) == []
        assert re.findall(r'href="?(?!#)[^"]', answer.text) == []
        assert "&lt;script&gt;alert(1)" in answer.text
        assert answer.text.count("<script>") == answer.text.count("</script>") == 1
        for group in ("top", "q1", "q5"):
            for hit in store.hits(trained.id, live.index, group):
                assert f"id={group}-{trained.id}-{live.index}-{hit.context} " in answer.text
        reader = Reader()
        reader.feed(answer.text)
        assert HOSTILE.partition(" ")[0] in reader.text
    empty = follow(ada, "/lists", name="Nothing").url.path
    assert ada.get(f"{empty}/export.html").status_code == 409
    assert "export.html" not in ada.get(empty).text


def test_a_feature_as_markdown_is_text(
    client, store: FeatureStore, trained: Dictionary, live: Feature, here: str
) -> None:
    text = client.get(f"{here}/markdown")
    assert text.headers["content-type"].startswith("text/plain")
    assert text.text.startswith(f"# Feature {live.index} of ")
    assert text.text.count("\n- ") >= 10
    assert f"]({here}" not in text.text
    assert plain("a*b_[x](y)<z>`\n\u202e") == r"a\*b\_\[x\]\(y\)\<z\>\`↵⟨202E⟩"


def test_ratings_show_once_the_study_is_revealed_and_not_before(web: Web, store: FeatureStore, here: str) -> None:
    rater, ada = web.rater(), web.staff()
    for _ in range(4):
        answer(rater)
    study = web.study
    digest = study.study(web.name).protocol["feature_digest"]
    pages = [row for rows in unopened(study, study.study(web.name)).rows.values() for row in rows if row["dictionary"]]

    def ratings(digest: str = digest) -> list:
        return [ratings_of(study, row["dictionary"], row["feature"], digest) for row in pages]

    assert ratings() == [()] * len(pages)
    study.close(web.name, "test")
    assert ratings() == [()] * len(pages)
    assert not any_revealed(study)
    study.reveal(web.name, "test")
    told = [one for found in ratings() for one in found]
    assert len(told) == len(pages)
    assert ratings("another digest") == [()] * len(pages)
    assert sum(len(one.scores) for one in told) > 0
    assert {one.study for one in told} == {web.name}
    rated = next(row for row, one in zip(pages, told, strict=True) if one.scores)
    page = ada.get(f"/dictionaries/{rated['dictionary']}/features/{rated['feature']}").text
    assert "who did not know what they rated" in page


def test_what_is_remembered_of_the_study_store_is_forgotten_at_its_next_change(web: Web, here: str) -> None:
    study = web.study
    asked: list[int] = []
    known = memo(study)
    for _ in range(3):
        known.ask("number", lambda: asked.append(1))
    assert asked == [1]
    study.add_rater(web.name, "Ada", "test")
    known.ask("number", lambda: asked.append(1))
    assert asked == [1, 1]
    stranger = web.visitor()
    assert stranger.get(here).status_code == 401
    study.close(web.name, "test")
    assert stranger.get(here).status_code == 200
    ada = web.staff()
    assert "☆" in ada.get(here).text
    token = ada.cookies["dartboard"]
    assert study.end_session(token) in (True, False)
    assert "☆" not in ada.get(here).text
    assert json.loads(ada.get(f"/api{here}").text)["index"] >= 0


def test_the_command_writes_the_same_file(
    web: Web, trained: Dictionary, live: Feature, here: str, tmp_path: Path
) -> None:
    out, settings = tmp_path / "features.html", web.app.state.settings
    save_named(settings, trained.name, [str(live.index)], out)
    assert out.read_text("utf-8") == web.staff().get(f"{here}/html").text
    shelf = Shelf(web.study)
    shelf.add("ada", shelf.new_list("ada", "Kept"), Place(trained.name, live.index, trained.weights_hash))
    shelf.note("ada", Place(trained.name, live.index, trained.weights_hash), HOSTILE)
    save_list(settings, web.study, "ada", "Kept", out)
    assert "&lt;script&gt;alert(1)" in out.read_text("utf-8")
    with pytest.raises(NotFound, match="ada has no list “None”; there are Kept"):
        save_list(settings, web.study, "ada", "None", out)
    with pytest.raises(NotFound, match="the nearest is 0"):
        save_named(settings, trained.name, ["-7"], out)
    with pytest.raises(UserError, match="cannot be written"):
        save_named(settings, trained.name, ["0"], tmp_path / "no" / "folder.html")
