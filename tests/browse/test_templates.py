"""What a page declares is what its template uses; pages and fragments; nothing that the content policy forbids."""

import re
from dataclasses import fields

import pytest
from jinja2 import meta, nodes
from markupsafe import Markup

from app import render as r
from app.browse import (
    compare,
    dictionaries,
    feature_body,
    features,
    home,
    lacking,
    lists,
    ratings,
    saved,
    scored,
    search,
    shelved,
    text,
)
from app.browse.rows import GROUPS
from tests.browse.conftest import HTMX, addresses

PAGES = {
    "browse/home.html": home.HomePage,
    "browse/dictionary.html": dictionaries.DictionaryPage,
    "browse/feature.html": feature_body.FeatureCase,
    "browse/group.html": features.GroupCase,
    "browse/compare.html": compare.ComparePage,
    "browse/lacking.html": lacking.LackingPage,
    "browse/search.html": search.SearchPage,
    "browse/text.html": text.TextPage,
    "browse/lists.html": lists.ListsPage,
    "browse/list.html": lists.ListPage,
    "browse/list-delete.html": lists.DeleteListPage,
    "browse/saved.html": saved.SavedPage,
}
PARTS = {
    "browse/_kept.html": shelved.ShelvedPart,
    "browse/_ratings.html": ratings.RatingPart,
    "browse/_scores.html": scored.ScoreTable,
}


def test_every_page_template_is_listed_here():
    folder = r.asset_directory("templates") / "browse"
    assert {f"browse/{path.name}" for path in folder.glob("[!_]*.html")} == set(PAGES)


@pytest.mark.parametrize("template", PAGES | PARTS)
def test_a_template_uses_exactly_what_its_context_declares(template):
    environment = r.environment()
    source, _, _ = environment.loader.get_source(environment, template)
    tree = environment.parse(source)
    used = meta.find_undeclared_variables(tree) - {"is_htmx", "self", *environment.globals}
    own = {name for node in tree.find_all(nodes.FromImport) for name in node.names}
    own |= {node.target.name for node in tree.find_all(nodes.Assign)}
    assert used - own == {field.name for field in fields((PAGES | PARTS)[template])}


def test_each_text_of_a_feature_page_has_its_slot(store, live, trained, monkeypatch):
    seen = []
    fill = r.Mould.fill
    monkeypatch.setattr(r.Mould, "fill", lambda mould, texts: [seen.append(texts), fill(mould, texts)][1])
    parts = dict.fromkeys(("kept", "ratings", "scores"), Markup(""))
    feature_body.feature_html(store, trained, live, numbers=False, starred=None, parts=parts)
    source, _, _ = r.environment().loader.get_source(r.environment(), "browse/feature.html")
    named = set(re.findall(r'slot\("(\w+)"\)', source)) | set(GROUPS)
    assert set(seen[-1]) | {"top"} == named | {"top"}


def test_htmx_gets_the_list_alone(client, trained):
    address = f"/dictionaries/{trained.name}?sort=entropy"
    page, part = client.get(address), client.get(address, headers=HTMX)
    assert "<!doctype html>" in page.text
    assert part.text.lstrip().startswith('<section id="features"')
    assert part.text.strip() in page.text
    assert page.headers["Vary"] == part.headers["Vary"] == "HX-Request"


def test_a_group_is_a_page_and_a_fragment(client, trained, live):
    address = f"/dictionaries/{trained.name}/features/{live.index}/groups/q2"
    page, part = client.get(address), client.get(address, headers=HTMX)
    assert f"<h1>{GROUPS['q2']}</h1>" in page.text
    assert part.text.lstrip().startswith('<ol class="hits">')
    assert part.text.strip() in page.text


def test_a_fragment_of_the_comparison_brings_its_title(client, store):
    one, other = store.dictionaries()[:2]
    address = f"/compare?d={one.name}&d={other.name}"
    assert f"<title>{one.title} beside {other.title} · dartboard</title>" in client.get(address, headers=HTMX).text
    assert client.get(address).text.count("· dartboard</title>") == 1


def test_no_page_needs_a_script_or_a_style_of_its_own(client, store, trained, live):
    for address in addresses(store, trained, live):
        page = client.get(address)
        assert page.status_code == 200, address
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page.text), address
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page.text)), address
        assert "{{" not in page.text


def test_what_htmx_loads_is_also_a_link(client, store, trained, live):
    for address in addresses(store, trained, live):
        page = client.get(address).text
        links = {link.partition("#")[0] for link in re.findall(r'(?:href|action)="([^"]+)"', page)}
        assert set(re.findall(r'hx-get="([^"]+)"', page)) <= links, address
