"""Token rows escape whatever a text holds; pages and fragments; numbers; vendored files; contrast of both themes."""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader, UndefinedError
from markupsafe import Markup
from starlette.requests import Request

from app import render as r
from app.errors import DartboardError

HOSTILE = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "<script>",
            "</span>",
            '" onmouseover="x',
            "'",
            "&amp;",
            "&#60;",
            "\x00",
            "\ud800",
            "\u202e\u05d0\u05d1",
            "\n",
            "\t",
            "{{ 7*7 }}",
        ]
    ),
)
ROWS = st.lists(st.tuples(HOSTILE, st.integers(0, 4)), max_size=12)


class Reader(HTMLParser):
    """What a browser would make of a row: its tags and its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def read(markup: Markup) -> Reader:
    reader = Reader()
    reader.feed(str(markup))  # Markup would escape what the parser takes apart
    reader.close()
    return reader


def signed(token: str) -> str:
    """A marked token of nothing but spaces shows them."""
    return token if token.strip(" ") else "␣" * len(token)


@given(rows=ROWS, peak=st.integers(-1, 12), title=HOSTILE)
def test_a_token_row_shows_every_token_and_nothing_else(rows, peak, title):
    tokens, levels = [token for token, _ in rows], [level for _, level in rows]
    active = [n for n, level in enumerate(levels) if level or n == peak]
    markup = r.token_row(tokens, levels, peak, dict.fromkeys(active, title))
    markup.encode("utf-8")  # a response can carry it
    reader = read(markup)
    assert reader.text == r.shown("".join(signed(token) if n in active else token for n, token in enumerate(tokens)))
    assert [tag for tag, _ in reader.tags] == ["span"] * len(active)
    for n, (_, attributes) in zip(active, reader.tags, strict=True):
        assert set(attributes) == {"class", "title"}
        assert attributes["class"] == f"hl-{levels[n]}" + (" peak" if n == peak else "")
        assert attributes["title"] == r.shown(title)


def test_what_shows_nothing_or_turns_the_order_of_others_gets_a_sign():
    assert r.shown("a\x00b\x1b[31m\r\x7f\x85") == "a␀b␛[31m␍␡⟨0085⟩"
    assert r.shown("one\n\ttwo") == "one↵\n⇥\ttwo"
    assert r.shown("\u202ereversed\u2069\u200b\ufeff\U000e0041") == "⟨202E⟩reversed⟨2069⟩⟨200B⟩⟨FEFF⟩⟨E0041⟩"
    assert r.shown("\ud800") == "\ufffd"
    assert (
        r.shown("שלום 👩‍🔬 a\xa0b") == "שלום 👩‍🔬 a\xa0b"
    )  # letters of any script, joined emoji, a no-break space stay


def test_a_span_holds_its_own_token_alone():
    markup = r.token_row(["a", "<b>", " c", "d"], [0, 2, 0, 4], 3)
    assert markup == 'a<span class="hl-2">&lt;b&gt;</span> c<span class="hl-4 peak">d</span>'


def test_the_space_before_a_marked_word_is_not_coloured_but_a_marked_space_is_shown():
    markup = r.token_row(["a", " word", "  ", "b"], [0, 2, 3, 0], 2)
    assert markup == 'a <span class="hl-2">word</span><span class="hl-3 peak">␣␣</span>b'


def test_a_message_s_commands_are_code_and_everything_is_escaped():
    assert r.commands("run `dartboard <x>` & see") == "run <code>dartboard &lt;x&gt;</code> &amp; see"


def test_a_peak_that_does_not_fire_is_still_marked():
    assert r.token_row(["a", "b"], [0, 0], 1) == 'a<span class="hl-0 peak">b</span>'


@pytest.mark.parametrize("levels", [[0], [0, 0, 0], [0, 5], [-1, 0]])
def test_a_row_that_does_not_add_up_is_refused(levels):
    with pytest.raises(ValueError, match="level"):
        r.token_row(["a", "b"], levels)


@dataclass(frozen=True)
class Context:
    name: str


PAGE = (
    "{% block title %}whole {% endblock %}{% block fragment %}part {{ name }}{% if is_htmx %}!{% endif %}{% endblock %}"
)


@pytest.fixture
def templates(monkeypatch):
    environment = r.environment().overlay(
        loader=DictLoader({"page.html": PAGE, "whole.html": "whole {{ name }}", "text.jinja": "{{ name }}{{ other }}"})
    )
    monkeypatch.setattr(r, "environment", lambda: environment)


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "query_string": b""})


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"whole part &lt;i&gt;"),
        ({"HX_Request": "true"}, b"part &lt;i&gt;!"),
        ({"HX_Request": "true", "HX_Boosted": "true"}, b"whole part &lt;i&gt;"),
        ({"HX_Request": "true", "HX_History_Restore_Request": "true"}, b"whole part &lt;i&gt;"),
    ],
)
def test_htmx_gets_the_fragment_and_everyone_else_the_page(templates, headers, body):
    response = r.render(request(**headers), "page.html", Context("<i>"), status=418, headers={"X-Kept": "1"})
    assert response.body == body
    assert response.status_code == 418
    assert response.headers["Vary"] == "HX-Request"
    assert response.headers["X-Kept"] == "1"


def test_a_template_without_a_fragment_is_rendered_whole(templates):
    assert r.render(request(HX_Request="true"), "whole.html", Context("x")).body == b"whole x"


def test_a_name_that_the_context_does_not_declare_is_an_error(templates):
    with pytest.raises(UndefinedError, match="other"):
        r.render(request(), "text.jinja", Context("x"))


class Hostile(StrEnum):
    TEXT = "<i>%(text)s\"'&"


def test_what_is_put_into_a_mould_is_escaped_unless_it_is_markup(monkeypatch):
    page = (
        '<p title="{{ name }} 100%">{{ slot("text") }}, {{ slot("text") }}</p>{{ slot("html") }}%s{{ slot("number") }}'
    )
    environment = r.environment().overlay(loader=DictLoader({"page.html": page}))
    monkeypatch.setattr(r, "environment", lambda: environment)
    hostile, safe = Hostile.TEXT.value, "&lt;i&gt;%(text)s&#34;&#39;&amp;"
    filled = r.mould("page.html", Context(hostile)).fill({"text": hostile, "html": Markup("<b>%s</b>"), "number": 5})
    assert filled.decode() == f'<p title="{safe} 100%">{safe}, {safe}</p><b>%s</b>%s5'
    filled = r.mould("page.html", Context("")).fill({"text": Hostile.TEXT, "html": b"<b>", "number": "<5>"})
    assert filled.decode() == f'<p title=" 100%">{safe}, {safe}</p><b>%s&lt;5&gt;'


def test_a_slot_without_a_text_is_an_error(templates):
    with pytest.raises(KeyError, match="missing"):
        r.Mould((b"", b""), ("missing",)).fill({"name": "x"})


@pytest.mark.parametrize("context", [{"name": "x"}, Context])
def test_only_an_instance_of_a_dataclass_is_a_context(templates, context):
    with pytest.raises(TypeError, match="dataclass"):
        r.render(request(), "whole.html", context)


@given(st.lists(st.floats(allow_nan=False, width=32)), st.integers(1, 4))
def test_figures_are_each_as_by_itself(values, digits):
    assert r.figures(values, digits) == [r.figure(value, digits) for value in values]


def test_an_asset_has_a_digest_of_its_content_in_its_address():
    content = (r.static_directory() / "css/base.css").read_bytes()
    assert r.asset("css/base.css") == f"/static/css/base.css?v={hashlib.sha256(content).hexdigest()[:10]}"


def test_style_sheets_and_scripts_are_joined_in_order():
    for kind, names in (("css", ("base", "contexts")), ("js", ("keys", "errors"))):
        texts = [(r.static_directory() / kind / f"{name}.{kind}").read_bytes() for name in names]
        digest = hashlib.sha256(b"\n".join(texts)).hexdigest()[:10]
        address = {"css": r.styles, "js": r.scripts}[kind](*names)
        assert address == f"/static/{kind}/{'+'.join(names)}.{kind}?v={digest}"
        assert r.joined_files(kind, "+".join(names)) == b"\n".join(texts)


def test_fonts_have_the_address_that_pages_fetch_before_the_style_sheet_asks_for_them():
    head = r.environment().get_template("_head.html").render()
    preloaded = re.findall(r'<link rel="preload" href="([^"]+)"', head)
    asked = re.findall(r'url\("([^"]+)"\)', r.joined_files("css", "tokens").decode())
    assert sorted(preloaded) == sorted(asked) != []
    assert all("?v=" in address for address in asked)


def test_assets_are_looked_up_in_the_package_first_then_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(r, "APP", tmp_path / "app")
    with pytest.raises(DartboardError, match="no static folder"):
        r.static_directory()
    (tmp_path / "static").mkdir()
    assert r.static_directory() == tmp_path / "static"
    (tmp_path / "app/static").mkdir(parents=True)
    assert r.static_directory() == tmp_path / "app/static"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r.figure(0), "0"),
        (r.figure(52.04), "52.0"),
        (r.figure(-0.5, 2), "−0.50"),
        (r.figure(123.4), "123"),
        (r.figure(123456), "1.23×10⁵"),
        (r.figure(0.0000123), "1.23×10⁻⁵"),
        (r.share(0), "0.0%"),
        (r.share(0.000012), "0.0012%"),
        (r.share(0.0341), "3.4%"),
        (r.share(0.25), "25.0%"),
        (r.percent(0.7412), "74.1%"),
        (r.whole(204800), "204\u202f800"),
    ],
)
def test_numbers(text, expected):
    assert text == expected


def vendored() -> list[dict[str, str]]:
    return tomllib.loads((r.static_directory() / "vendor/VENDOR.toml").read_text())["file"]


def test_vendored_files_are_those_that_the_list_names():
    folder = r.static_directory() / "vendor"
    listed = {name for entry in vendored() for name in (entry["path"], entry["licence_file"])}
    assert listed | {"VENDOR.toml"} == {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("entry", vendored(), ids=lambda entry: entry["path"])
def test_a_vendored_file_is_unchanged(entry):
    content = (r.static_directory() / "vendor" / entry["path"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    if entry["name"] == "htmx":
        assert f'version:"{entry["version"]}"'.encode() in content


def themes() -> dict[str, dict[str, str]]:
    """The colour tokens of each theme; the dark one changes some of the light one's."""
    css = (r.static_directory() / "css/tokens.css").read_text()
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in css.split("@media"))
    return {"light": light, "dark": light | dark}


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio of two colours, 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


TEXT = [(ink, ground) for ink in ("ink", "ink-2", "ink-3", "accent") for ground in ("paper", "surface", "sunken")]
TEXT += [("on-hl", "hl-1"), ("on-hl", "hl-2"), ("on-hl", "hl-3"), ("on-hl-4", "hl-4"), ("on-accent", "accent")]
TEXT += [("on-accent", "accent-strong"), ("ink", "accent-wash")]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(theme):
    colours = themes()[theme]
    poor = {pair: contrast(*(colours[name] for name in pair)) for pair in TEXT}
    assert not {pair: ratio for pair, ratio in poor.items() if ratio < 4.5}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_borders_of_controls_and_bars_of_charts_can_be_told_from_their_ground(theme):
    colours = themes()[theme]
    pairs = [("line-strong", ground) for ground in ("paper", "surface", "sunken")]
    pairs += [("data", "surface"), ("data", "paper")]
    assert all(contrast(colours[name], colours[ground]) >= 3 for name, ground in pairs)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_highlights_grow_evenly_away_from_the_paper(theme):
    colours = themes()[theme]
    ratios = [contrast(colours[name], colours["paper"]) for name in ("paper", "hl-1", "hl-2", "hl-3", "hl-4")]
    assert all(later > 1.1 * earlier for earlier, later in pairwise(ratios))
