"""Pages from templates: the Jinja environment, page or fragment, moulds for pages that must be fast, static addresses, token rows.

A route builds a frozen dataclass and calls `render(request, "browse/feature.html", context)`. The fields of that
dataclass are all that the template can see, beside the environment's own helpers: `asset`, `styles`, `scripts`, `slot`, `token_row`
and the filters. A template that has a block named `fragment` answers an htmx request with that block alone.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.errors import DartboardError

APP = Path(__file__).resolve().parent
SPACE_SIGN = "␣"
NONE = "—"  # a figure that there is not
NOTHING = Markup("")  # a part of a page that is not there
SIGNS = {  # what shows nothing, or turns the order of what follows it
    **{code: chr(0x2400 + code) for code in range(32)},
    0x7F: "␡",
    **{
        code: f"⟨{code:04X}⟩"
        for some in (
            range(0x80, 0xA0),
            range(0x200E, 0x2010),
            range(0x2028, 0x202F),
            range(0x2060, 0x2070),
            range(0xE0000, 0xE0080),
        )
        for code in some
    },
    **{code: f"⟨{code:04X}⟩" for code in (0xAD, 0x61C, 0x180E, 0x200B, 0xFEFF)},
    **str.maketrans({"\n": "↵\n", "\t": "⇥\t"}),
}
SLOT = secrets.token_hex(8)  # stands around a slot's name; no text can hold it, by chance or on purpose
DIGITS = [f"#.{digits}g" for digits in range(16)]  # formats of `figure`
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def render(
    request: Request,
    template: str,
    context: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The page, or its block `fragment` where htmx asks for a part of a page."""
    page = environment().get_template(template)
    variables = {**template_variables(context), "is_htmx": wants_fragment(request)}
    if wants_fragment(request) and "fragment" in page.blocks:
        body = "".join(page.blocks["fragment"](page.new_context(variables)))
    else:
        body = page.render(variables)
    response = HTMLResponse(body, status, dict(headers or {}))
    response.headers["Vary"] = "HX-Request"
    return response


def render_blocks(template: str, context: object, *names: str) -> tuple[Markup, ...]:
    """Some blocks of a template, each by itself, for pages that are put together of parts."""
    found = environment().get_template(template)
    variables = template_variables(context)
    return tuple(Markup("".join(found.blocks[name](found.new_context(variables)))) for name in names)


def part(template: str, context: object) -> Markup:
    """A template for a slot of a mould."""
    return Markup(render_text(template, context))


@dataclass(frozen=True, slots=True)
class Mould:
    """A page rendered once with slots in it, for pages that differ in a few texts: a thousand a second are filled, not rendered.

    Bytes, as they are sent: a page whose one arrow took every letter twice the room would be copied three times at that.
    """

    pieces: tuple[bytes, ...]  # what stands before each slot, and after the last
    slots: tuple[str, ...]

    def fill(self, texts: Mapping[str, object]) -> bytes:
        """The page with a text in each slot; bytes and markup are HTML already.

        Everything else is escaped, all at once, since that takes no longer than one.
        """
        made: dict[str, bytes] = {}
        unsafe: dict[str, str] = {}
        for name, text in texts.items():
            if isinstance(text, bytes):
                made[name] = text
            elif isinstance(text, Markup | int):
                made[name] = str(text).encode()
            else:
                unsafe[name] = str(text)
        safe = str(escape(SLOT.join(unsafe.values()))).encode().split(SLOT.encode())
        made.update(zip(unsafe, safe, strict=bool(unsafe)))
        parts = [self.pieces[0]]
        for name, piece in zip(self.slots, self.pieces[1:], strict=True):
            parts += made[name], piece
        return b"".join(parts)


def mould(template: str, context: object, block: str | None = None) -> Mould:
    """The mould of a template, or of a block of it; `{{ slot("name") }}` is where a text will stand.

    The template sees the context alone, so whatever it decides on belongs there; what only stands in the page is a slot's.
    """
    found = environment().get_template(template)
    parts = found.root_render_func if block is None else found.blocks[block]
    html = "".join(parts(found.new_context(template_variables(context))))
    pieces = re.split(f"{SLOT}(\\w+){SLOT}", html)
    return Mould(tuple(map(str.encode, pieces[::2])), tuple(pieces[1::2]))


def slot(name: str) -> Markup:
    return Markup(f"{SLOT}{name}{SLOT}")


def render_text(template: str, context: object) -> str:
    """A template for a file, not for an answer."""
    return environment().get_template(template).render(template_variables(context))


@lru_cache
def inside(*paths: str) -> Markup:
    """Style sheets and scripts as elements of a file that is to hold all it needs; fonts are left to the reader's system."""
    texts = [(static_directory() / path).read_text("utf-8") for path in paths]
    return Markup("\n").join(
        Markup("<script>{}</script>" if path.endswith(".js") else "<style>{}</style>").format(
            Markup(re.sub(r"@font-face \{.*?\}\n*", "", text, flags=re.DOTALL))
        )
        for path, text in zip(paths, texts, strict=True)
    )


def template_variables(context: object) -> dict[str, Any]:
    """The fields of a dataclass instance, not copied. Raises TypeError for anything else."""
    if not is_dataclass(context) or isinstance(context, type):
        raise TypeError(f"a template's context is an instance of a dataclass, not {type(context).__name__}")
    return {field.name: getattr(context, field.name) for field in fields(context)}


def wants_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of a page; a boosted link and a restored history entry want the whole page."""
    headers = request.headers
    return "HX-Request" in headers and "HX-Boosted" not in headers and "HX-History-Restore-Request" not in headers


@lru_cache
def environment() -> Environment:
    """One environment a process: autoescape everywhere, whatever the template's name; unknown names are errors."""
    environment = Environment(
        loader=FileSystemLoader(asset_directory("templates")),
        autoescape=True,
        auto_reload=False,  # asking the disk at each page whether a template has changed takes longer than the page
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"asset": asset, "inside": inside, "scripts": scripts, "slot": slot, "styles": styles}
    environment.globals["token_row"] = token_row
    environment.filters |= {"percent": percent, "share": share, "figure": figure, "whole": whole}
    environment.filters |= {"visible": visible, "commands": commands}
    return environment


def asset_directory(name: str) -> Path:
    """Where `templates` or `static` lie: inside the package in a wheel, beside it in a clone."""
    for directory in (APP / name, APP.parent / name):
        if directory.is_dir():
            return directory
    raise DartboardError(f"This installation of dartboard has no {name} folder; install it again.")


def static_directory() -> Path:
    return asset_directory("static")


@lru_cache
def asset(path: str) -> str:
    """Address of a static file, with a digest of its content, so that a changed file is never read from a cache."""
    content = (static_directory() / path).read_bytes()
    return f"/static/{path}?v={hashlib.sha256(content).hexdigest()[:10]}"


def styles(*names: str) -> str:
    """Address of style sheets joined in this order, with a digest as `asset` gives it."""
    return joined_address("css", "+".join(names))


def scripts(*names: str) -> str:
    """As `styles`, of scripts: they run as one, so no two may declare the same name."""
    return joined_address("js", "+".join(names))


@lru_cache
def joined_address(kind: str, joined: str) -> str:
    return f"/static/{kind}/{joined}.{kind}?v={hashlib.sha256(joined_files(kind, joined)).hexdigest()[:10]}"


@lru_cache
def joined_files(kind: str, joined: str) -> bytes:
    """The text of the files named, a plus sign between them; addresses of fonts get digests. Raises FileNotFoundError."""
    texts = [(static_directory() / kind / f"{name}.{kind}").read_text("utf-8") for name in joined.split("+")]
    fonts = re.compile(r'url\("\.\./(vendor/[^"]+)"\)')
    return fonts.sub(lambda found: f'url("{asset(found[1])}")', "\n".join(texts)).encode()


def token_row(
    tokens: Sequence[str],
    levels: Sequence[int],
    peak: int | None = None,
    titles: Mapping[int, str] | None = None,
) -> Markup:
    """Tokens as HTML: plain text, with a span on each token of level 1–4 and on the peak.

    tokens: display strings; levels: as many whole numbers from 0 (does not fire) to 4; peak: position of the token to
    mark, if it is among them; titles: by position, what a pointer resting on a marked token shows. Everything is
    escaped; line breaks, tabs and marked spaces are shown as signs. Raises ValueError where tokens and levels differ in number or a
    level is out of range.
    """
    if len(tokens) != len(levels):
        raise ValueError(f"{len(tokens)} tokens cannot have {len(levels)} levels")
    parts: list[str] = []
    done = 0
    for position, level in enumerate(levels):
        if not 0 <= level <= 4:
            raise ValueError(f"a highlight level is 0 to 4, not {level}")
        if level == 0 and position != peak:
            continue
        names = f"hl-{level} peak" if position == peak else f"hl-{level}"
        title = f' title="{visible(titles[position])}"' if titles and position in titles else ""
        text = tokens[position].lstrip(" ")  # a space before a word stays outside: it would colour the end of a line
        space = tokens[position][: len(tokens[position]) - len(text)]
        before, inside = (space, text) if text else ("", SPACE_SIGN * len(space))
        parts += visible("".join(tokens[done:position]) + before), f'<span class="{names}"{title}>', visible(inside)
        parts.append("</span>")
        done = position + 1
    parts.append(visible("".join(tokens[done:])))
    return Markup("".join(parts))


def visible(text: str) -> Markup:
    """Text escaped, as `shown`; a sign stands before each line break and tab."""
    return escape(text if text.isprintable() else shown(text))


def shown(text: str) -> str:
    """Text with a sign for each character that shows nothing or that turns the order of others; U+FFFD for a lone surrogate."""
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.translate(SIGNS)


def commands(text: str) -> Markup:
    """A message escaped, with what stands between backticks set as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(visible(text))))


def percent(value: float | None, places: int = 1) -> str:
    return NONE if value is None else f"{100 * value:.{places}f}%".replace("-", "−")


def share(value: float | None) -> str:
    """A share as a percentage that keeps its significant digits: 0.0012%, 3.4%, 25.0%."""
    if value is None:
        return NONE
    return percent(value) if value >= 0.1 or value == 0 else f"{figure(100 * value, 2)}%"


def figure(value: float | None, digits: int = 3) -> str:
    """A number to `digits` significant digits, with powers of ten only where it would be long; zero is 0."""
    if value is None:
        return NONE
    text = format(value, DIGITS[digits]) if value else "0"
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        text = f"{mantissa.removesuffix('.')}×10{str(int(exponent)).translate(SUPERSCRIPT)}"
    elif text[-1] == ".":
        text = text[:-1]
    return text.replace("-", "−") if value < 0 else text


def figures(values: Sequence[float], digits: int = 3) -> list[str]:
    """`figure` of each: formatted at once where no power of ten and no zero is among them, since a page has dozens."""
    text = f"%#.{digits}g " * len(values) % tuple(values)
    if "e" in text or not all(values):
        return [figure(value, digits) for value in values]
    return text.replace(". ", " ").replace("-", "−").split()


def whole(value: int | None) -> str:
    """A whole number with thin spaces between thousands."""
    if value is None:
        return NONE
    return f"{value:,}".replace(",", "\u202f").replace("-", "−")
