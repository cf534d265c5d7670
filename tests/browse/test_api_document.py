"""The OpenAPI document says what the API does: every answer is of the shape that it names, whatever is asked."""

from dataclasses import fields
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.api import router
from app.api_docs import document
from app.api_models import Problem
from app.api_parameters import LISTING, SEARCH
from app.browse.listing import Listing
from app.browse.search import Query
from tests.web import Web, serve

MODELS = {route.path: route.response_model for route in router.routes if isinstance(route, APIRoute)}
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.one_of(st.integers(-3, 5000).map(str), TEXT)


def as_documented(client: Any, path: str, **values: str) -> Any:
    """The answer to an address of a path, which has the fields that the document names, no more and no fewer."""
    query = values.pop("query", "")
    address = path.format(**{name: quote(value, safe="") for name, value in values.items()}) + query
    answer = client.get(address)
    assert answer.status_code in {200, 404, 422}, address
    shape = TypeAdapter(MODELS[path] if answer.status_code == 200 else Problem)
    found = shape.dump_python(shape.validate_json(answer.content), mode="json")
    assert found == (answer.json() if answer.status_code == 200 else {"nearest": None, **answer.json()})
    return answer


def test_every_route_is_described(client):
    assert set(document()["paths"]) == set(MODELS)
    for operations in document()["paths"].values():
        assert operations["get"]["summary"]
        assert "$ref" in operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert client.get("/api/openapi.json").json() == document()
    assert {one["name"] for one in LISTING} == {field.name for field in fields(Listing)}
    assert {one["name"] for one in SEARCH} == {field.name for field in fields(Query)}


def test_the_page_lists_the_calls_without_a_script(client):
    page = client.get("/api/docs")
    assert all(f"GET {path}" in page.text for path in MODELS)
    assert all(f"<code>{one['name']}</code>" in page.text for one in [*LISTING, *SEARCH])
    assert "vendor/swagger-ui-bundle.js" in client.get("/api/docs/try").text


def test_only_staff_sees_the_document(small_store, tmp_path):
    with serve(small_store, tmp_path) as web:
        assert isinstance(web, Web)
        for address in ("/api/docs", "/api/docs/try", "/api/openapi.json", "/api/search?q=the", "/api/contexts/0"):
            assert web.rater().get(address).status_code == 403
            assert web.visitor(base="https://rate.example.org").get(address).status_code == 401
            assert web.staff().get(address).status_code in {200, 404}


def test_a_context_names_the_features_that_fire_in_it(client, store, trained, live):
    hit = store.hits(trained.id, live.index)[0]
    found = client.get(f"/api/contexts/{hit.context}").json()
    assert found["tokens"] == store.contexts([hit.context])[hit.context].tokens
    mine = [one for one in found["features"][trained.name] if one[0] == live.index]
    assert mine == [[live.index, hit.peak, 1.0]]


def test_following_next_finds_every_feature_of_a_search_once(client, store, trained):
    address, found = "/api/search?" + urlencode({"q": "war", "dictionary": trained.name}), []
    total = client.get(address).json()["dictionaries"][0]["total"]
    while address and len(found) < 200:
        (group,) = client.get(address).json()["dictionaries"]
        found += [one["feature"] for one in group["features"]]
        address = group["next"]
    assert len(set(found)) == len(found) >= min(total, 200)


@pytest.mark.parametrize("path", MODELS)
def test_an_answer_that_a_client_has_is_not_sent_again(client, trained, path):
    address = path.format(name=trained.name, index=0, number=0)
    first = client.get(address)
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]}) if "ETag" in first.headers else first
    assert (again.status_code, again.content) == (304, b"") or first.status_code == 404


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@example(name=None, index="0", number="0", listing={"sort": "max", "order": "asc"}, search={"q": "the"})
@example(name=None, index="-1", number="99999999999999", listing={"page": "2"}, search={"q": "a", "page": "3"})
@given(
    name=st.one_of(st.none(), TEXT.filter(lambda text: text not in {"", ".", ".."})),
    index=NUMBER.filter(lambda text: text not in {"", ".", ".."}),
    number=NUMBER.filter(lambda text: text not in {"", ".", ".."}),
    listing=st.dictionaries(
        st.sampled_from([one["name"] for one in LISTING if one["name"] not in {"stars", "score"}]), NUMBER
    ),
    search=st.dictionaries(st.sampled_from([one["name"] for one in SEARCH]), NUMBER),
)
def test_every_answer_is_as_documented(client, trained, name, index, number, listing, search):
    name = name or trained.name
    for path in MODELS:
        query = listing if path.endswith("/features") else search if path.endswith("/search") else {}
        text = f"?{urlencode(query)}" if query else ""
        as_documented(client, path, name=name, index=index, number=number, query=text)
