"""Joined strings of a feature's page hold hostile text as text; its histogram says what the store counted."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.browse.pieces import histogram, outputs, related_list
from app.browse.related import RelatedGroup
from app.render import shown
from tests.test_render import HOSTILE, Reader


def read(html) -> Reader:
    reader = Reader()
    reader.feed(str(html))
    reader.close()
    return reader


@given(token=HOSTILE, title=HOSTILE, name=st.text(min_size=1, max_size=9).map(lambda text: text + " onclick=x '\"<>"))
def test_names_and_tokens_stay_text(trained, token, title, name):
    name = name.encode("utf-8", "replace").decode()
    other = replace(trained, name=name, title=title)
    near = (5, "live", token, 0.5)
    reader = read(related_list([RelatedGroup(other, False, [near])]) + outputs([(token, 1.5)]))
    assert {tag for tag, _ in reader.tags} <= {"dl", "div", "dt", "dd", "ol", "li", "a", "span", "small"}
    assert all(set(attributes) <= {"class", "href"} for _, attributes in reader.tags)
    assert shown(title) in reader.text
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert links[1] is not None and re.fullmatch(r"\.\./\.\./[\w.~%-]+/features/5", links[1])


def test_a_histogram_has_a_bar_for_each_count(live):
    html = histogram(live, "How <strongly>")
    counts = [count for count in live.histogram["counts"] if count]
    assert [int(re.sub(r"\D", "", said)) for said in re.findall(r"<title>[^<]*: ([^<]*) token", html)] == counts
    assert "How &lt;strongly&gt;" in html
    once = histogram(replace(live, histogram={"first": 16, "counts": [1]}), "")
    assert "<title>4.00 to 4.36: 1 token</title>" in once
    assert 'viewBox="0 0 8 64"' in once
    below = histogram(replace(live, histogram={"below": {"first": 8, "counts": [2, 3]}}), "", below=True)
    assert "<title>−2.00 to −2.18: 2 tokens</title>" in below
    assert histogram(live, "", below=True) == ""


@pytest.mark.parametrize("counts", [[], [0, 0]])
def test_a_feature_that_never_fired_has_no_histogram(live, counts):
    assert histogram(replace(live, histogram={"first": 0, "counts": counts}), "") == ""
