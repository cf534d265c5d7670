"""Home, dictionary and feature pages against the store's own rows."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from app import render as r
from app.browse.charts import activation_chart
from app.browse.rows import FIFTHS, GROUPS, rows
from app.render import figure
from app.store.features import FeatureFilter, FeatureStore
from tests.browse.conftest import text, visitor


def test_home_names_every_dictionary_with_its_figures(client, store):
    page = client.get("/")
    for dictionary in store.dictionaries():
        assert f'href="/dictionaries/{dictionary.name}"' in page.text
        assert r.percent(dictionary.fve) in page.text
        assert r.percent(dictionary.alive) in page.text


def test_a_dictionary_page_counts_its_states_and_says_where_it_came_from(client, store, trained):
    page = text(client.get(f"/dictionaries/{trained.name}").text)
    states = [feature.state for feature in store.features(trained.id)]
    for name in ("live", "rare"):
        assert f"{name.title()} {r.whole(states.count(name))}" in page
    assert f"Never fired {r.whole(states.count('never'))}" in page
    assert f"Dead {r.whole(states.count('dead'))}" in page
    site = next(site for site in store.sites() if site.id == trained.site_id)
    for fact in (
        trained.weights_hash,
        site.model_hash,
        site.corpus_hash,
        trained.kind,
        site.corpus,
        *store.provenance(),
    ):
        assert fact in page
    markup = client.get(f"/dictionaries/{trained.name}").text
    told = [key for key in trained.provenance if key not in ("curve", "card")]  # which are shown by themselves
    for key in [*told, *(f"build: {key}" for key in store.provenance())]:
        assert f"<dt>{key}</dt>" in markup


def test_a_feature_page_shows_its_rows_and_figures(client, store, trained, live):
    page = client.get(f"/dictionaries/{trained.name}/features/{live.index}").text
    for row in rows(store, live, "top"):
        assert row.html in page
    assert f"<dd>{figure(live.max)}" in page
    assert page.count("<li id=top-") == live.contexts
    for group in FIFTHS:
        assert f'<a href="/dictionaries/{trained.name}/features/{live.index}/groups/{group}">' in page


def test_groups_show_the_hits_of_their_fifth(client, store, trained, live):
    for group in GROUPS:
        page = client.get(f"/dictionaries/{trained.name}/features/{live.index}/groups/{group}").text
        shown = [int(context) for context in re.findall(r"· context (\d+)", page)]
        assert shown == [hit.context for hit in store.hits(trained.id, live.index, group)]


def test_the_histogram_of_one_token_is_a_bar_and_not_a_wall(live):
    once = replace(live, count=1, histogram={"first": 16, "counts": [1]})
    chart = activation_chart(once)
    assert chart is not None
    assert [bar.title for bar in chart.bars] == ["4.00 to 4.36: 1 token"]
    assert chart.bars[0].width < chart.width / 4
    assert "1 token from 4.00 to 4.36" in chart.summary


def test_a_negative_tail_has_a_histogram_of_its_own(live):
    both = replace(live, histogram={"first": 16, "counts": [1], "below": {"first": 8, "counts": [2, 3]}})
    chart = activation_chart(both, below=True)
    assert chart is not None
    assert [bar.title for bar in chart.bars] == ["−2.00 to −2.18: 2 tokens", "−2.18 to −2.38: 3 tokens"]
    assert all(tick.startswith("−") for tick in chart.ticks)
    assert activation_chart(live, below=True) is None
    assert len(activation_chart(both).bars) == 1


def test_the_histogram_of_a_feature_counts_its_tokens(live):
    chart = activation_chart(live)
    assert chart is not None
    assert sum(int(re.sub(r"\D", "", bar.title.partition(": ")[2])) for bar in chart.bars) == live.count
    assert r.whole(live.count) in chart.summary


@pytest.mark.parametrize(
    ("state", "words"),
    [("live", "top contexts"), ("rare", "too few contexts for a full page"), ("never", "never fired on the")],
)
def test_each_state_is_explained(client, store, trained, state, words, small_store):
    candidates = [
        (dictionary, feature)
        for dictionary in store.dictionaries()
        for feature in store.features(dictionary.id, where=FeatureFilter(state=state), limit=1)
    ]
    if not candidates:
        pytest.fail(f"the small store has no {state} feature to look at")
    for dictionary, feature in candidates:
        page = text(client.get(f"/dictionaries/{dictionary.name}/features/{feature.index}").text)
        assert words.lower() in page.lower()
        assert ("Top contexts" in page) == (state != "never")
        assert ("By strength" in page) == (state == "live")


def test_the_first_and_the_last_feature_have_one_neighbour(client, trained):
    def steps(index: int) -> list[str]:
        page = client.get(f"/dictionaries/{trained.name}/features/{index}").text
        return re.findall(r'id="step-([jk])" href="[^"]*/features/(\d+)"', page)

    assert steps(0) == [("j", "1")]
    assert steps(trained.m - 1) == [("k", str(trained.m - 2))]
    assert steps(1) == [("k", "0"), ("j", "2")]


def test_a_random_feature_is_a_live_one_of_that_dictionary(client, store, trained):
    drawn = set()
    for _ in range(12):
        answer = client.get(f"/dictionaries/{trained.name}/random")
        assert answer.status_code == 303
        index = int(answer.headers["Location"].removeprefix(f"/dictionaries/{trained.name}/features/"))
        assert store.feature(trained, index).state == "live"
        drawn.add(index)
    assert len(drawn) > 1


def test_a_dictionarys_own_card_is_shown_below_its_figures_and_nothing_of_it_is_markup(data_folder):
    words = "---\nlicense: mit\n---\n# Its card\n\n| a | b |\n|---|---|\n| **1** | <script>alert(1)</script> |\n"
    words += "\n![x](//e.example/x.png)\n"
    with closing(sqlite3.connect(data_folder / "features.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE dictionary SET provenance = json_set(provenance, '$.card', ?) WHERE id = 0", (words,)
        )
    with visitor(data_folder) as client:
        names = [one.name for one in FeatureStore(data_folder / "features.sqlite").dictionaries()]
        page, without = (client.get(f"/dictionaries/{name}").text for name in names[:2])
    shown = page.partition('<details class="card provenance" id="card">')[2].partition("</details>")[0]
    assert "<h3>Its card</h3>" in shown
    assert "<strong>1</strong>" in shown
    assert "license" not in shown
    assert "<script" not in shown
    assert "<img" not in shown
    assert 'id="card"' not in without


def test_a_feature_page_waits_for_one_style_sheet(client, trained, live):
    page = client.get(f"/dictionaries/{trained.name}/features/{live.index}").text
    (address,) = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
    sheet = client.get(address)
    assert sheet.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in sheet.headers["cache-control"]
    assert ".hits" in sheet.text and ".feature-head" in sheet.text and "--paper" in sheet.text
    assert client.get("/static/css/tokens+none.css").status_code == 404
    assert client.get("/static/css/tokens+../../app/main.css").status_code == 404
