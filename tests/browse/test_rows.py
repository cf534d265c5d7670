"""Rows of contexts: they say what the store says, whatever the text holds; what stands above is faded; sizes and draws."""

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import render as r
from app.browse.rows import FIFTHS, GROUPS, Laid, Look, _rows, random_rows, row, rows, shown_above, within
from app.store.feature_rows import ShownContext
from app.store.features import Context, FeatureFilter
from app.store.packing import UNIT, HitArrays, PackedHit
from app.study.content import level
from tests.browse.conftest import HTMX

LEVELS = {("i", None): 1, ("b", None): 1} | {(tag, f"l{n}"): n for tag in "ib" for n in (0, 2, 3, 4)}


class Reader(HTMLParser):
    """What a browser makes of a row: halves, marks (text, level, whether the peak), text about it, attributes of the item."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.item: dict[str, str | None] = {}
        self.open: list[str] = []
        self.marks: list[list] = []
        self.halves = ["", ""]
        self.about = self.number = ""
        self.half = -1

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "li":
            self.item = attributes
        if tag == "span" and len([one for one in self.open if one == "span"]) == 0:
            self.half += 1
        if tag in "ib":
            self.marks.append(["", LEVELS[tag, attributes.get("class")], tag == "b", self.half])
        if tag == "br":
            self.handle_data("\n")
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] == "li":
            assert not data.strip()
        elif "small" in self.open:
            self.about += data
        elif "a" in self.open:
            self.number += data
        else:
            self.halves[self.half] += data
            if {"i", "b"} & set(self.open):
                self.marks[-1][0] += data


def read(html) -> Reader:
    reader = Reader()
    reader.feed(str(html))
    reader.close()
    assert reader.open == []
    return reader


def activations(reader: Reader) -> list[tuple[int, float]]:
    """As rows.js works them out."""
    wide = "data-w" in reader.item
    text = reader.item["data-w" if wide else "data-a"]
    data = b64decode(text + "=" * (-len(text) % 4))
    count = len(data) // (4 if wide else 3)
    positions = np.frombuffer(data, "<u2" if wide else "<u1", count)
    shares = np.frombuffer(data, "<u2", count, positions.nbytes) / UNIT
    return [(int(p), float(s) * float(reader.item["data-v"])) for p, s in zip(positions, shares, strict=True)]


def shown(token: str) -> str:
    return r.shown(token).replace("⇥\t", "⇥")


def test_rows_say_what_the_store_says(store, trained, live):
    for group in GROUPS:
        hits = store.hits(trained.id, live.index, group)
        found = rows(store, live, group)
        assert [one.context for one in found] == [hit.context for hit in hits]
        contexts = store.contexts(hit.context for hit in hits)
        for hit, one in zip(hits, found, strict=True):
            reader, tokens = read(one.html), contexts[hit.context].tokens
            assert "".join(reader.halves).replace("␣", " ") == "".join(map(shown, tokens))
            assert reader.number == r.figure(hit.value)
            assert contexts[hit.context].document in reader.about
            assert f"token {hit.peak + 1} of {len(tokens)} · context {hit.context}" in reader.about
            lit = {p: v for p, v in zip(hit.positions, hit.values, strict=True) if v > 0}
            assert [mark[1] for mark in reader.marks] == [level(value, live.max) for value in lit.values()]
            assert [mark[0] for mark in reader.marks] == [shown(tokens[p].lstrip(" ")) or "␣" for p in lit]
            assert [mark[2] for mark in reader.marks] == [p == hit.peak for p in lit]
            assert [mark[3] for mark in reader.marks] == [int(p >= hit.peak) for p in lit]
            assert reader.halves[1].startswith(next(mark[0] for mark in reader.marks if mark[2]))
            told = activations(reader)
            assert [position for position, _ in told] == list(lit)
            assert [value for _, value in told] == pytest.approx(list(lit.values()), rel=1e-3, abs=hit.value / 1e4)


def test_the_anchors_of_a_page_are_its_own(store, trained, live):
    groups = [rows(store, live, group) for group in ("top", *FIFTHS)] + [random_rows(store, live, 0)]
    ids = [read(one.html).item["id"] for group in groups for one in group]
    assert len(ids) == len(set(ids))
    assert all(f"<a href=#{read(one.html).item['id']}>" in one.html for group in groups for one in group)


def test_what_stands_above_is_faded_and_said(store, trained):
    again = 0
    for feature in store.features(trained.id, where=FeatureFilter(state="live"), limit=40):
        above = shown_above(store, feature)
        for one in rows(store, feature, "q1", look=Look(above=above)):
            assert one.again or one.context not in above
            assert ("shown above" in one.html) == (one.context in above)
            assert ("class=again" in one.html) == one.again
            again += one.context in above
    assert again, "no feature of the small store shows a context twice"


def hit_of(tokens: list[str], peak: int, **others: float) -> tuple[PackedHit, Context]:
    values = {peak: 2.0, **{int(name[1:]): value for name, value in others.items()}}
    hit = PackedHit(7, peak, tuple(sorted(values)), tuple(values[p] for p in sorted(values)))
    return hit, Context(7, 0, 0, "a <document>", False, False, tokens, [])


def test_the_same_text_again_is_faded(live):
    one = Laid.of(ShownContext(["a", " b"], "first", False))
    hits = HitArrays(
        *(np.array(part) for part in ([3, 4], [2.0, 1.0], [1, 1], [1, 1])),
        np.array([1, 1], "<u1"),
        np.array([2.0, 1.0]),
        np.array([UNIT, UNIT], "<u2"),
    )
    found = _rows(live, "top", hits, {3: one, 4: one}, Look())
    assert [one.again for one in found] == [False, True]
    assert "the same text again" in found[1].html


@given(
    tokens=st.lists(
        st.one_of(
            st.text(max_size=6),
            st.sampled_from(
                ["<script>", "</p>", "'\"><img src=x onerror=alert(1)>", "&amp;", "\x00", "\ud800", "\u202e", "¤"]
            ),
        ),
        min_size=1,
        max_size=9,
    ),
    data=st.data(),
)
def test_whatever_a_text_holds_stays_text(live, tokens, data):
    lit = [n for n, token in enumerate(tokens) if token] or [0]
    peak = data.draw(st.sampled_from(lit))
    hit, context = hit_of(tokens, peak)
    html = row(live, hit, context).html
    html.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", html)
    reader = read(html)
    text = "".join(shown(token) for token in tokens)
    assert "".join(reader.halves).replace("␣", " ") == text.replace("␣", " ")
    assert reader.about.startswith("a <document> · token")


def test_the_negative_tail_has_a_scale_of_its_own(live):
    both = replace(live, min=-4.0, max=0.5)
    _, context = hit_of(["It", " was", " not", " so"], 2, p1=0.5, p3=-0.9)
    below = read(row(both, PackedHit(7, 2, (1, 2, 3), (0.5, -4.0, -0.9)), context).html)
    assert [(mark[0], mark[1]) for mark in below.marks] == [("not", 4), ("so", 1)]
    assert activations(below) == [(2, -4.0), (3, pytest.approx(-0.9, rel=1e-3))]
    above = read(row(both, PackedHit(7, 1, (1, 2), (0.5, -4.0)), context).html)
    assert [(mark[0], mark[1]) for mark in above.marks] == [("was", 4)]


def test_a_search_s_words_are_marked_whether_they_fire_or_not(live):
    hit, context = hit_of(["It", " was", " not", " so"], 2)
    html = row(live, hit, context, found={1, 2}).html
    assert " <mark>was</mark>" in html
    assert re.search(r"<b class=l\d><mark>not</mark></b>|<b><mark>not</mark></b>", html)
    assert [mark[0] for mark in read(html).marks] == ["not"]


def test_long_contexts_take_two_bytes_a_position(live):
    hit, context = hit_of(["x"] * 300, 280, p3=1.0)
    reader = read(row(live, hit, context).html)
    assert activations(reader) == [(3, pytest.approx(1.0, rel=1e-3)), (280, 2.0)]


def test_numbers_stand_behind_the_tokens_where_they_are_asked_for(client, store, trained, live):
    address = f"/dictionaries/{trained.name}/features/{live.index}"
    page = client.get(f"{address}?numbers=yes").text
    top = store.hits(trained.id, live.index)[0]
    assert f"<sub>{r.figure(top.value)}</sub>" in page
    assert "<sub>" not in client.get(address).text
    assert f'{address}/groups/q1?numbers=yes"' in page
    assert "<sub>" in client.get(f"{address}/groups/q1?numbers=yes").text
    assert client.get(f"{address}?numbers=maybe").status_code == 422


def test_random_contexts_come_from_every_fifth_and_follow_from_the_seed(client, store, trained, live):
    fifths = {hit.context for group in FIFTHS for hit in store.hits(trained.id, live.index, group)}
    drawn = random_rows(store, live, 3)
    assert {one.context for one in drawn} <= fifths
    assert [one.value for one in drawn] == sorted((one.value for one in drawn), reverse=True)
    for group in FIFTHS:
        own = {hit.context for hit in store.hits(trained.id, live.index, group)}
        assert sum(one.context in own for one in drawn) >= min(2, len(own))
    assert drawn == random_rows(store, live, 3) != random_rows(store, live, 4)
    part = client.get(f"/dictionaries/{trained.name}/features/{live.index}/groups/random?seed=3", headers=HTMX).text
    assert all(str(one.context) in part for one in drawn)
    assert 'groups/random?seed=4"' in part


def test_what_does_not_fit_in_the_page_loads_later(client, store, trained, live, monkeypatch):
    found = rows(store, live, "top")
    whole = [one.html.encode() for one in found]
    assert within(found, len(b"".join(whole))) == whole
    assert within(found, len(whole[0])) == whole[:1] == within(found, 1)
    part = client.get(f"/dictionaries/{trained.name}/features/{live.index}/groups/top?from=15", headers=HTMX).text
    assert [int(n) for n in re.findall(r"· context (\d+)", part)] == [one.context for one in found[15:]]


def test_feature_pages_stay_small(client, store):
    for dictionary in store.dictionaries():
        for feature in store.features(dictionary.id, sort="frequency", descending=True, limit=8):
            page = client.get(f"/dictionaries/{dictionary.name}/features/{feature.index}")
            assert len(page.content) <= 40_000, (dictionary.name, feature.index)
