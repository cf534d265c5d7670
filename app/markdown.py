"""Markdown of people who are trusted with words, not with markup: study texts, cards of dictionaries."""

from functools import lru_cache

from markdown_it import MarkdownIt
from markupsafe import Markup


@lru_cache(maxsize=256)
def markdown(text: str) -> Markup:
    """Markdown as HTML. HTML in it is shown as text, an image as a link: pages load nothing from elsewhere."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    return Markup(renderer.render(text))
