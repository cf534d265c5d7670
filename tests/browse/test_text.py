"""The text page, over a worker that is there, one that is not, and one that is still at its beginning."""

import re
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.browse.text_code import MAX_CHARACTERS, decode, encode, text_url
from app.errors import NotFound, Unprocessable
from app.live import Limits, Live
from app.store.features import Dictionary, Feature, FeatureFilter, FeatureStore
from tests.browse.conftest import text as words_of
from tests.browse.conftest import visitor
from tests.conftest import copy_store
from tests.web import serve

HOSTILE = "<script>alert(1)</script> & \x00\x1b[31m \u202eevil\u2066 שלום\n\ttab \U0001f642"
# Cuts a text at spaces, and lets feature 1 of every dictionary fire on every second token: as the worker answers, without a model.
# "wait" is read until it is called off.
WORKER = """
import json, re, sys
say = lambda answer: print(json.dumps(answer), flush=True)
say({"ready": True})
for line in sys.stdin:
    asked = json.loads(line)
    if "cancel" in asked:
        continue
    if asked["text"] == "wait":
        say({"id": asked["id"], "cancelled": json.loads(sys.stdin.readline()) == {"cancel": asked["id"]}})
        continue
    tokens = re.findall(r" *[^ ]+", asked["text"])
    first, last = asked["first"] or 0, len(tokens) - 1 if asked["last"] is None else asked["last"]
    fires = [place for place in range(1, len(tokens), 2)]
    here = [place for place in fires if first <= place <= last]
    strong = [[1, float(max(here) + 1), max(here), len(here)]] if here else []
    traces = [{"dictionary": name, "feature": index, "positions": fires if index == 1 else [],
               "values": [float(place + 1) for place in fires] if index == 1 else []} for name, index in asked["features"]]
    say({"id": asked["id"], "answer": {"site": asked["site"], "tokens": tokens, "special": [], "sinks": [0],
         "begins": [0], "strongest": dict.fromkeys(NAMES, strong), "traces": traces, "differences": []}})
"""


@pytest.fixture(scope="module")
def reader(small_store: Path, store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Someone whose server has a worker."""
    folder = copy_store(small_store, tmp_path_factory.mktemp("text") / "data")
    script = folder / "worker.py"
    script.write_text(WORKER.replace("NAMES", repr([one.name for one in store.dictionaries()])), "utf-8")
    client = visitor(folder)
    client.app.state.live = Live(folder / "features.sqlite", [sys.executable, str(script)], Limits(patience_seconds=20))
    with client:
        settle(client)
        yield client


def settle(client: TestClient) -> None:
    """Until the worker has started, or failed to: a page that comes sooner says that the model is being loaded."""
    give_up = time.monotonic() + 60
    while client.app.state.live.status.state == "starting" and time.monotonic() < give_up:
        time.sleep(0.01)


def links(page: str, kind: str) -> list[str]:
    return [unescape(href) for href in re.findall(rf'href="([^"]+)" class="t[^"]*\b{kind}\b', page)]


def test_a_text_is_sent_to_an_address_of_its_own(reader: TestClient) -> None:
    sent = reader.post("/text", data={"text": "one two\r\nthree"})
    assert (sent.status_code, sent.headers["location"]) == (303, text_url("one two\nthree"))
    page = reader.get(sent.headers["location"]).text
    assert "one two\nthree</textarea>" in page
    assert "<title>one two↵ three · Text · dartboard</title>" in re.sub(r"\s+", " ", page)


def test_every_token_has_its_colour_and_its_number(reader: TestClient, trained: Dictionary) -> None:
    page = reader.get(text_url("a b c d e f") + f"?feature={trained.name}:1").text
    tokens = re.findall(r'<a id="t(\d+)" href="([^"]+)" class="t([^"]*)" title="([^"]+)">([^<]*)</a>', page)
    assert [token[0] for token in tokens] == list("123456")
    assert "".join(unescape(token[4]) for token in tokens) == "a b c d e f"
    assert [("hl-" in kind) for _, _, kind, _, _ in tokens] == [False, True] * 3
    assert "masked" in tokens[0][2]
    assert tokens[0][3] == "Token 1: attention sink: no feature may fire here"
    assert tokens[3][3] == "Token 4: activation 4.00"
    assert f"feature={trained.name}%3A1" in unescape(tokens[3][1])


def test_a_selection_of_tokens_has_its_strongest_features_in_each_dictionary(
    reader: TestClient, store: FeatureStore
) -> None:
    address = text_url("a b c d e f")
    page = reader.get(f"{address}?from=3&to=5").text
    assert "on tokens 3–5" in words_of(page)
    assert len(re.findall(r'class="t[^"]*chosen', page)) == 3
    for dictionary in store.dictionaries():
        feature = store.feature(dictionary, 1)
        assert f'href="/dictionaries/{dictionary.name}/features/1"' in page
        share = f"{100 * 4 / feature.max:.0f}% of its maximum" if feature.max else "never fired in the corpus"
        assert share in words_of(page)
        colour = f"?from=3&amp;to=5&amp;feature={dictionary.name}%3A1"
        assert reader.get(address + unescape(colour)).status_code == 200
        assert colour in page
    alone = reader.get(f"{address}?from=3&to=3").text
    assert "None of its features fires here" in alone
    assert "Try again" not in page + alone


def test_a_feature_is_chosen_where_none_is_named(reader: TestClient, trained: Dictionary) -> None:
    page = words_of(reader.get(text_url("a b c d")).text)
    assert f"coloured by feature 1 of {trained.title}" in page
    assert "It fires on 2 of these tokens, most at 4.00" in page


def test_what_the_address_asks_wrongly_is_said(reader: TestClient, trained: Dictionary) -> None:
    address = text_url("a b c d")
    for query, status, said in [
        ("from=5&to=4", 422, "counted from 1"),
        ("from=0", 422, "counted from 1"),
        ("from=x", 422, "“from” in the address is a whole number"),
        ("from=5", 404, "There is no token 5 in this text; it has 4."),
        ("feature=other:1", 404, "There is no dictionary “other”"),
        (f"feature={trained.name}:999999", 404, "has no feature 999999"),
        (f"feature={trained.name}", 404, "There is no dictionary “”"),
        ("site=other", 404, "There is no site “other”"),
    ]:
        answer = reader.get(f"{address}?{query}")
        assert (answer.status_code, said in words_of(answer.text)) == (status, True), query
    assert reader.get("/text/no-such-text").status_code == 404
    assert "cut off when it was copied" in reader.get(f"{address[:-3]}").text


def test_text_that_is_none_or_too_long_is_refused_in_a_sentence(reader: TestClient) -> None:
    for text, status, said in [
        (" \n", 422, "There is no text to read; type or paste one."),
        ("x" * (MAX_CHARACTERS + 1), 422, "That text has 4,001 characters, and 4,000 are read at a time"),
        ("x" * 1_000_000, 413, "That is more than a form here may hold; shorten it and send it again."),
    ]:
        answer = reader.post("/text", data={"text": text})
        assert (answer.status_code, said in words_of(answer.text)) == (status, True), said
    longest = "\U0001f642" * MAX_CHARACTERS
    sent = reader.post("/text", data={"text": longest})
    assert sent.status_code == 303
    assert len(sent.headers["location"]) < 1000
    random = "".join(chr(0x4E00 + place * 7919 % 20000) for place in range(MAX_CHARACTERS))
    assert len(text_url(random)) < 32_000, "what the longest address takes of the server's 64 KB"


def test_hostile_text_is_escaped_and_has_no_power_over_the_page(reader: TestClient) -> None:
    page = reader.get(text_url(HOSTILE)).text
    assert "<script>alert" not in page
    outside = page.replace(page[page.index("<textarea") : page.index("</textarea>")], "")
    assert not set("\x00\x1b\u202e\u2066") & set(outside)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in outside


def test_without_a_worker_the_page_says_how_to_turn_it_on(client: TestClient) -> None:
    for address, status in [("/text", 200), (text_url("a b"), 503)]:
        page = client.get(address)
        assert page.status_code == status
        assert "start the server with <code>dartboard serve --live</code>" in page.text
    assert "a b</textarea>" in page.text, "what was typed is still there"


def test_a_worker_that_can_not_answer_leaves_the_text_and_a_way_to_try_again(small_store: Path, tmp_path: Path) -> None:
    client = visitor(copy_store(small_store, tmp_path / "data"))
    client.app.state.live = Live(
        tmp_path / "data" / "features.sqlite",
        [sys.executable, "-c", """print('{"failed": "It lacks its weights."}')"""],
    )
    with client:
        settle(client)
        page = client.get(text_url("a b"))
        assert page.status_code == 503
        assert "Texts can’t be read here. It lacks its weights." in page.text.replace("&#39;", "’")
        assert "Try again" in page.text
        assert "a b</textarea>" in page.text


def test_a_hasty_reader_is_asked_to_wait(small_store: Path, tmp_path: Path) -> None:
    client = visitor(copy_store(small_store, tmp_path / "data"))
    client.app.state.live = Live(tmp_path / "data" / "features.sqlite", [sys.executable, "-c", ""])
    with client:
        settle(client)
        answers = [client.get(text_url("a b")).status_code for _ in range(61)]
    assert answers == [503] * 60 + [429]


def test_no_rater_reads_a_text(small_store: Path, tmp_path: Path) -> None:
    with serve(small_store, tmp_path / "web") as web:
        rater = web.rater()
        assert rater.get("/text").status_code == 403
        assert rater.get(text_url("a b")).status_code == 403
        assert rater.post("/text", data={"text": "a b"}).status_code == 403
        assert web.visitor().get("/text").status_code == 401
        assert web.staff("analyst").get("/text").status_code == 200


@pytest.mark.parametrize("text", ["plain", HOSTILE, "é\u0301", ".", "../..", "a/b?c#d", "\ud800 lone"])
def test_any_text_travels_in_an_address(text: str) -> None:
    code = encode(text)
    assert re.fullmatch("[A-Za-z0-9_-]+", code)
    assert decode(code) == text.replace("\ud800", "?")


def test_an_address_can_not_hold_more_than_a_text(reader: TestClient) -> None:
    import base64
    import zlib

    bomb = base64.urlsafe_b64encode(zlib.compress(b"x" * 10_000_000)).decode().rstrip("=")
    for code in (bomb, encode("x" * MAX_CHARACTERS)[:-4], "!", ""):
        with pytest.raises(NotFound):
            decode(code)
    with pytest.raises(Unprocessable):
        encode("")


def test_a_feature_that_never_fired_is_coloured_by_this_text_alone(
    reader: TestClient, store: FeatureStore, trained: Dictionary
) -> None:
    never: list[Feature] = store.features(trained.id, where=FeatureFilter(state="never"), limit=1)
    page = words_of(reader.get(text_url("a b") + f"?feature={trained.name}:{never[0].index}").text)
    assert "It fires on none of these tokens" in page
