"""Read a MediaWiki export (`.xml`, as Wikipedia's dumps are) as plain prose: one document an article.

mwparserfromhell parses the markup. Templates, tables, references, files and categories go; links leave their words,
headings and lists their lines. A dump that is cut off, as enwik8 is, gives the articles before the cut.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import IO
from xml.etree import ElementTree
from xml.parsers.expat import errors

import mwparserfromhell
from mwparserfromhell.nodes import Node, Tag, Wikilink

CUT_OFF = (errors.codes[errors.XML_ERROR_NO_ELEMENTS], errors.codes[errors.XML_ERROR_UNCLOSED_TOKEN])
DROPPED_TAGS = frozenset(
    {"ref", "references", "table", "gallery", "math", "timeline", "imagemap", "div", "code", "pre"}
)
LANGUAGE = re.compile(r"^:?([a-z]{2,3}(-[a-z]+)*|simple)$")  # of a link to the same article elsewhere
REDIRECT = re.compile(r"^\s*#redirect", re.IGNORECASE)


def articles(file: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Title and prose of each page of the main namespace that is no redirect. Raises ElementTree.ParseError."""
    others: set[str] = set()
    root: ElementTree.Element | None = None
    try:
        for event, element in ElementTree.iterparse(file, ("start", "end")):
            root = element if root is None else root
            name = element.tag.rpartition("}")[2]
            if event == "end" and name == "namespace" and element.text:
                others.add(element.text)
            elif event == "end" and name == "page":
                title = element.findtext("{*}title") or ""
                text = element.findtext("{*}revision/{*}text") or ""
                if title.partition(":")[0] not in others and not REDIRECT.match(text):
                    yield title, prose(text, others)
                root.clear()
    except ElementTree.ParseError as error:
        if error.code not in CUT_OFF:
            raise


def prose(markup: str, namespaces: set[str] | frozenset[str] = frozenset()) -> str:
    """The words of a page; links into `namespaces` (files, categories) and to other languages go."""
    code = mwparserfromhell.parse(markup, skip_style_tags=True)
    for node in code.filter(recursive=True, matches=lambda node: _dropped(node, namespaces)):
        with contextlib.suppress(ValueError):  # it went with a node around it
            code.remove(node)
    text = code.strip_code(normalize=True, collapse=True)
    text = re.sub(r"'{2,}", "", text)
    text = re.sub(r"^[*#:;]+ *|^-{4,}|^\s*\|.*$", "", text, flags=re.MULTILINE)
    lines = (re.sub(r"\( *[,;]? *\)", "", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _dropped(node: Node, namespaces: set[str] | frozenset[str]) -> bool:
    if isinstance(node, Wikilink):
        prefix, colon, _ = str(node.title).strip().partition(":")
        return bool(colon) and (prefix in namespaces or bool(LANGUAGE.match(prefix)))
    return isinstance(node, Tag) and str(node.tag).lower().strip() in DROPPED_TAGS
