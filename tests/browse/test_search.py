"""Search: what is found is there, best first, marked; every state is in the address; whatever is typed is text."""

import re
import sys
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.browse.search import EACH, PAGE_SIZE, WAYS, Query
from app.live import Live
from app.store.features import FeatureFilter
from app.store.search import contexts_like, contexts_with, features_by_output, features_by_peak, features_in
from tests.browse.conftest import HTMX, text, visitor
from tests.conftest import copy_store


@pytest.fixture(scope="module")
def word(store, trained):
    """A word that a live feature peaks on, found in several contexts."""
    for feature in store.features(trained.id, sort="max", descending=True):
        word = feature.top_token.strip()
        if word.isalpha() and len(word) > 2 and contexts_with(store, word).total > 4:
            return word
    raise AssertionError


def test_contexts_found_are_those_that_have_the_words(store, word):
    (site,) = store.sites()
    found = contexts_with(store, word)
    pool = {one.id: "".join(one.tokens).lower() for one in store.pool(site.id)}
    having = {number for number, words in pool.items() if re.search(rf"(?<!\w){word.lower()}(?!\w)", words)}
    assert having
    assert having <= set(found.ids.tolist())
    for number, context in store.contexts(found.ids.tolist()).items():
        marked = "".join(context.tokens[place] for place in sorted(found.positions(number)))
        assert word.lower() in marked.lower()
        assert len(found.positions(number)) < len(context.tokens) / 2


def test_features_of_the_words_come_first_and_are_those_with_a_hit_there(store, trained, word):
    found = contexts_with(store, word)
    ranked = features_in(store, trained.id, found)
    assert list(ranked.at) == sorted(ranked.at, reverse=True)
    assert 0 < ranked.at.sum() <= len(ranked)
    for feature, context, at in zip(
        *(c[:40].tolist() for c in (ranked.feature, ranked.context, ranked.at)), strict=True
    ):
        hit = store.hit_in(trained.id, feature, context)
        assert (hit.peak in found.positions(context)) is at
    listed = set(ranked.feature.tolist())
    assert len(listed) == len(ranked)
    for feature in store.features(trained.id, limit=100):
        hits = {
            hit.context for group in ("top", "q1", "q3", "q5") for hit in store.hits(trained.id, feature.index, group)
        }
        assert feature.index in listed or not hits & set(found.ids.tolist())


def test_the_page_shows_the_best_of_each_dictionary_and_pages_through_one(client, store, trained, word):
    page = client.get("/search", params={"q": word})
    assert page.status_code == 200
    assert page.text.count('class="result"') <= EACH * len(store.dictionaries())
    assert "<mark>" in page.text
    ranked = features_in(store, trained.id, contexts_with(store, word))
    address, seen = f"/search?q={quote(word)}&dictionary={trained.name}", []
    while address:
        page = client.get(address).text
        seen += re.findall(r'<p class="result-head"><a href="/dictionaries/[^/]+/features/(\d+)"', page)
        address = next(iter(re.findall(r'id="step-j" href="([^"#]+)', page)), "").replace("&amp;", "&")
        if len(seen) > 3 * PAGE_SIZE:
            break
    assert seen == [str(one) for one in ranked.feature[: len(seen)].tolist()]
    beyond = client.get(f"/search?q={quote(word)}&dictionary={trained.name}&page=999999")
    assert beyond.status_code == 404
    assert "the last is" in beyond.text


def test_the_overview_says_how_many_pages_of_one_dictionary_there_are(client, word):
    groups = client.get("/api/search", params={"q": word}).json()["dictionaries"]
    assert any(group["next"] for group in groups)
    for group in groups:
        if group["next"]:
            [alone] = client.get(group["next"]).json()["dictionaries"]
            assert (alone["page"], alone["pages"]) == (1, group["pages"])


def test_htmx_gets_the_results_alone(client, word):
    part = client.get(f"/search?q={quote(word)}", headers=HTMX).text
    assert part.lstrip().startswith("<title>")
    assert "masthead" not in part


def test_by_peak_token_and_by_output_token(client, store, trained):
    feature = next(
        one for one in store.features(trained.id, sort="max", descending=True) if one.top_token.strip().isalpha()
    )
    token = feature.top_token.strip()
    found = features_by_peak(store, trained.id, token.upper())
    exact = [store.feature(trained, one).top_token.strip().lower() == token.lower() for one in found]
    assert feature.index in found
    assert exact == sorted(exact, reverse=True)
    assert f"Feature {found[0]}" in text(client.get("/search", params={"q": token, "by": "token"}).text)
    assert feature.outputs
    for side, words in (("top", "raises"), ("bottom", "lowers")):
        name, _ = feature.outputs[side][0]
        if name.strip():
            mine = [one for one in features_by_output(store, trained.id, name) if one.feature == feature.index]
            assert (words, 1, name) in {(one.side, one.place, one.token) for one in mine}
            page = client.get("/search", params={"q": name, "by": "output", "dictionary": trained.name})
            assert f"{words} “" in page.text


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/search", 200, "one after the other"),
        ("/search?q=zzzzqqq", 200, "Nothing found. Try fewer words"),
        ("/search?q=%7B%7D", 200, "look for punctuation among the peak tokens"),
        ("/search?q=cat&by=notes", 200, "Notes belong to whoever is logged in"),
        ("/search?q=cat&by=meaning", 200, "dartboard serve --live"),
        ("/search?q=cat&by=magic", 422, "“by” in the address is text or token"),
        ("/search?q=cat&page=x", 422, "“page” in the address is a whole number"),
        ("/search?q=cat&dictionary=nothing", 404, "the nearest name is"),
    ],
)
def test_every_other_state_says_so(client, address, status, words):
    page = client.get(address)
    assert page.status_code == status
    assert words in text(page.text)


EMBEDDER = """
import json, sys
say = lambda answer: print(json.dumps(answer), flush=True)
say({"ready": True})
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("text") == "none":
        say({"id": asked["id"], "error": "No embeddings; run `dartboard embed`.", "status": 404})
    elif "do" in asked:
        say({"id": asked["id"], "answer": {"contexts": CONTEXTS, "cosines": [0.9, 0.5, 0.1]}})
"""


def test_by_meaning_the_features_of_the_nearest_contexts_are_found(small_store, store, trained, tmp_path):
    """The worker is a real process that speaks the worker's lines and loads no model."""
    data = copy_store(small_store, tmp_path / "data")
    near = [
        hit.context
        for feature in store.features(trained.id, where=FeatureFilter(state="live"), limit=3)
        for hit in store.hits(trained.id, feature.index)[:1]
    ]
    script = tmp_path / "worker.py"
    script.write_text(EMBEDDER.replace("CONTEXTS", repr(near)), "utf-8")
    with visitor(data) as client:
        live = client.app.state.live = Live(data / "features.sqlite", [sys.executable, str(script)])
        live.start()
        try:
            page = client.get(
                "/search", params={"q": "trains that are late", "by": "meaning", "dictionary": trained.name}
            )
            lacking = client.get("/search", params={"q": "none", "by": "meaning"})
        finally:
            live.stop()
    ranked = features_in(store, trained.id, contexts_like(list(zip(near, (0.9, 0.5, 0.1), strict=True))))
    assert "the 3 contexts nearest in meaning" in text(page.text)
    found = re.findall(r'<p class="result-head"><a href="/dictionaries/[^/]+/features/(\d+)"', page.text)
    assert found == [str(one) for one in ranked.feature[:PAGE_SIZE].tolist()]
    assert lacking.status_code == 200
    assert "No embeddings; run" in text(lacking.text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@example('"><script>alert(1)</script>', "text")
@example("the NEAR(cat, 3) OR *:^\x00\ud800\u202e", "text")
@example("%_/\\", "token")
@example("<b>'", "output")
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60), st.sampled_from(list(WAYS)))
def test_whatever_is_typed_is_text(client, typed, by):
    page = client.get("/search", params={"q": typed.encode("utf-8", "replace").decode(), "by": by})
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert Query.parse({"q": typed, "by": by}).url().startswith("/search")
