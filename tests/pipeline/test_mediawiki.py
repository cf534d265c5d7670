"""A MediaWiki export as a corpus: articles alone, as prose, and as far as the file goes."""

import gzip
from pathlib import Path

import pytest

from app.errors import UserError
from pipeline.config import CorpusConfig
from pipeline.documents import read_documents

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.3/">
<siteinfo><namespaces><namespace key="1">Talk</namespace><namespace key="6">Image</namespace><namespace key="0" />
</namespaces></siteinfo>"""
ARTICLE = """'''Anarchism''' is a [[political philosophy|philosophy]] ({{IPA|x}}) of [[self-governance]].<ref>A book</ref>
[[Image:Flag.png|thumb|A [[black]] flag]]
== History ==
{| class="wikitable"
| cell
|}
* First, ''a list''
* Then [http://example.org more]
[[de:Anarchismus]]
[[Talk:Anarchism]]"""


def page(title: str, text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f"<page><title>{title}</title><revision><text>{escaped}</text></revision></page>\n"


def corpus(path: Path) -> CorpusConfig:
    return CorpusConfig(name="wiki", source=str(path))


def test_an_article_is_its_prose(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    path.write_text(HEAD + page("Anarchism", ARTICLE) + "</mediawiki>", "utf-8")
    (document,) = read_documents(corpus(path))
    assert document.title == "Anarchism"
    assert document.text.split("\n") == [
        "Anarchism is a philosophy  of self-governance.",
        "History",
        "First, a list",
        "Then more",
    ]


def test_redirects_and_other_namespaces_are_no_documents(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml.gz"
    pages = page("Old", "#REDIRECT [[New]]") + page("Talk:New", "Chatter") + page("New: a title", "Text")
    path.write_bytes(gzip.compress((HEAD + pages + "</mediawiki>").encode()))
    assert [document.title for document in read_documents(corpus(path))] == ["New: a title"]


@pytest.mark.parametrize("cut", [5, 30, 70])
def test_a_dump_that_is_cut_off_gives_what_comes_before(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "dump.xml"
    path.write_text((HEAD + page("First", "Text") + page("Second", "More text"))[:-cut], "utf-8")
    assert [document.title for document in read_documents(corpus(path))] == ["First"]


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    path.write_text(HEAD + "</page>", "utf-8")
    with pytest.raises(UserError, match=r"corpus 'wiki': .*dump\.xml is not a valid MediaWiki export"):
        list(read_documents(corpus(path)))
