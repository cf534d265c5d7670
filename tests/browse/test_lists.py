"""The list of features, as its address says: sorted, filtered, paged."""

import re
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import render as r
from app.browse.listing import PAGE_SIZE, Listing
from app.browse.thumbs import thumbs
from app.errors import Unprocessable
from app.store.features import Feature


def indices(html: str) -> list[int]:
    """The features of a table, in order."""
    body = html.partition('<table class="features">')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    return [int(index) for index in re.findall(r'/features/(\d+)"', body)]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["index", "frequency", "max", "mean", "entropy"])
def test_a_list_is_sorted_as_its_address_says(client, store, trained, sort, order):
    page = client.get(f"/dictionaries/{trained.name}?sort={sort}&order={order}")
    name = {"entropy": "peak_entropy"}.get(sort, sort)
    sign = -1 if order == "desc" else 1
    expected = sorted(
        store.features(trained.id), key=lambda feature: (sign * getattr(feature, name), sign * feature.index)
    )
    assert indices(page.text) == [feature.index for feature in expected[:PAGE_SIZE]]
    direction = {"asc": "ascending", "desc": "descending"}[order]
    assert re.findall(r'aria-sort="(\w+)"', page.text) == [direction]


def test_the_pages_of_a_list_hold_every_feature_once(client, store, trained):
    address, seen = f"/dictionaries/{trained.name}?sort=max", []
    while address:
        page = client.get(address).text
        seen += indices(page)
        following = re.search(r'id="step-j" href="([^"#]+)#features"', page)
        address = following.group(1).replace("&amp;", "&") if following else None
    assert sorted(seen) == list(range(trained.m))
    assert [feature.index for feature in store.features(trained.id, sort="max", descending=True)] == seen


def passes(feature: Feature, listing: Listing) -> bool:
    """The filters, written out once more in plain Python."""
    return (
        (listing.state is None or feature.state == listing.state)
        and (listing.single is None or feature.single_token == (listing.single == "yes"))
        and (listing.token is None or ascii_lower(listing.token) in ascii_lower(feature.top_token))
        and (listing.min_frequency is None or feature.frequency >= listing.min_frequency)
        and (listing.max_frequency is None or feature.frequency <= listing.max_frequency)
        and (listing.min_max is None or feature.max >= listing.min_max)
        and (listing.max_max is None or feature.max <= listing.max_max)
        and (listing.min_entropy is None or feature.peak_entropy >= listing.min_entropy)
        and (listing.max_entropy is None or feature.peak_entropy <= listing.max_entropy)
    )


def ascii_lower(text: str) -> str:
    """SQLite's LIKE takes A and a for the same letter, but not É and é."""
    return "".join(c.lower() if c.isascii() else c for c in text)


maybe_share = st.none() | st.floats(0, 0.1)
listings = st.builds(
    Listing,
    sort=st.sampled_from(["index", "frequency", "max", "mean", "entropy"]),
    order=st.sampled_from(["asc", "desc"]),
    state=st.sampled_from([None, "live", "rare", "never", "dead"]),
    single=st.sampled_from([None, "yes", "no"]),
    token=st.sampled_from([None, "e", " t", "%", "_", "THE", "<", "\\", "&x=1", "é"]),
    min_frequency=maybe_share,
    max_frequency=maybe_share,
    min_max=st.none() | st.floats(0, 40),
    max_max=st.none() | st.floats(10, 80),
    min_entropy=st.none() | st.floats(0, 4),
    max_entropy=st.none() | st.floats(1, 4),
)


@given(listing=listings)
@settings(max_examples=60, deadline=None)
def test_a_list_holds_what_passes_its_filters(client, everything, trained, listing):
    page = client.get(f"/dictionaries/{trained.name}{listing.query()}")
    expected = [feature for feature in everything if passes(feature, listing)]
    assert page.status_code == 200
    assert set(indices(page.text)) <= {feature.index for feature in expected}
    assert len(indices(page.text)) == min(len(expected), PAGE_SIZE)
    assert (f"of {r.whole(len(expected))}" if expected else "None match") in page.text


@given(listing=listings, page=st.integers(1, 99))
def test_an_address_says_all_there_is_to_say_of_a_list(listing, page):
    query = listing.query(page=page)
    assert Listing.parse(dict(parse_qsl(query.removeprefix("?")))).query() == query
    assert Listing.parse({}).query() == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sort", "fame"),
        ("order", "up"),
        ("state", "LIVE"),
        ("single", "1"),
        ("page", "-1"),
        ("page", "1.5"),
        ("page", "٣"),
        ("page", "9" * 5000),
        ("min_frequency", "often"),
        ("max_frequency", "nan"),
        ("min_entropy", "inf"),
        ("max_max", "1e"),
    ],
)
def test_a_bad_value_in_the_address_is_named(client, trained, name, value):
    with pytest.raises(Unprocessable, match=f"“{name}”"):
        Listing.parse({name: value})
    page = client.get(f"/dictionaries/{trained.name}", params={name: value})
    assert page.status_code == 422
    assert f"“{name}” in the address" in page.text


def test_a_frequency_may_be_a_percentage_as_the_table_shows_it():
    assert (
        Listing.parse({"min_frequency": "2.5%"})
        == Listing(min_frequency=0.025)
        == Listing.parse({"min_frequency": "0.025"})
    )


def test_the_empty_fields_of_a_form_are_dropped_from_the_address(client, trained):
    answer = client.get(f"/dictionaries/{trained.name}?token=+t&state=&single=&min_frequency=")
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/dictionaries/{trained.name}?token=+t"


def test_a_page_after_the_last_leads_to_the_last(client, trained):
    last = -(-trained.m // PAGE_SIZE)
    answer = client.get(f"/dictionaries/{trained.name}?sort=index&page={last + 1}")
    assert answer.status_code == 404
    assert f"/dictionaries/{trained.name}?sort=index&amp;page={last}" in answer.text


def test_each_filter_that_is_set_is_said_and_can_be_dropped(client, trained):
    listing = Listing(sort="max", page=1, state="live", min_frequency=0.001, max_entropy=2.5, token="e")
    page = client.get(f"/dictionaries/{trained.name}{listing.query()}").text
    assert [one.words for one in listing.active] == [
        "peak token contains “e”",
        "live",
        "frequency from 0.10%",
        "entropy to 2.50",
    ]
    for one, dropped in zip(listing.active, ("token", "state", "min_frequency", "max_entropy"), strict=True):
        assert one.without == listing.query(**{dropped: None})
        assert f'href="/dictionaries/{trained.name}{one.without.replace("&", "&amp;")}#features"' in page
    assert Listing(sort="max").active == ()


def test_a_list_shows_the_strongest_context_of_each_feature(client, store, trained):
    page = client.get(f"/dictionaries/{trained.name}?sort=max").text
    shown = page.partition('<table class="features">')[2].partition("</table>")[0]
    rows = shown.split("<tr>")[2:]
    features = store.features(trained.id, sort="max", descending=True, limit=PAGE_SIZE)
    found = thumbs(store, trained.id, features)
    assert len(rows) == len(features) == PAGE_SIZE
    for row, feature in zip(rows, features, strict=True):
        hits = store.hits(trained.id, feature.index)
        assert (feature.index in found) == bool(hits)
        if hits:
            assert found[feature.index].left in row
            assert found[feature.index].right in row
            peak = store.contexts([hits[0].context])[hits[0].context].tokens[hits[0].peak].strip()
            assert found[feature.index].right.startswith('<span class="hl-4 peak">')
            assert r.visible(peak.partition("\n")[0]) in found[feature.index].right
