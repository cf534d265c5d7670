"""Charts as pictures, without a browser: SVG for a page of either theme, SVG and PNG on white to be kept.

Vega-Lite draws them in vl-convert, which comes with `pip install 'dartboard[analysis]'`. It escapes what a chart's data holds.
"""

import base64
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from app.errors import UserError
from app.results.light import light_tokens, replaced
from app.results.records import Chart

VERSION = "6.4"  # of Vega-Lite, as static/vendor has it
WIDTH = 760
SCALE = 2  # pixels of a PNG for one of the drawing


class Properties(dict[str, str]):
    """Each token as the custom property that a page's theme sets."""

    def __missing__(self, name: str) -> str:
        return f"var(--{name})"


@dataclass(frozen=True, slots=True)
class Picture:
    """`themed` is for the report's own page, which sets the colours; `svg` and `png` have the light theme's."""

    themed: Markup
    svg: str
    png: bytes


def picture(chart: Chart, base: str) -> Picture:
    """A chart as pictures, whose points lead to the features' pages under `base`. Raises UserError without the library."""
    try:
        import vl_convert
    except ModuleNotFoundError as error:
        raise UserError("Pictures need a library: pip install 'dartboard[analysis]'.") from error

    def svg(tokens: Mapping[str, str]) -> str:
        return str(vl_convert.vegalite_to_svg(_fixed(chart, base, tokens), vl_version=VERSION))

    png = vl_convert.vegalite_to_png(_fixed(chart, base, light_tokens()), vl_version=VERSION, scale=SCALE)
    return Picture(Markup(svg(Properties())), svg(light_tokens()), bytes(png))


def data_address(kind: str, content: bytes) -> str:
    """A data: address, for what a file is to hold in itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _fixed(chart: Chart, base: str, tokens: Mapping[str, str]) -> dict[str, Any]:
    """The specification with a width of its own, colours in place of tokens and whole addresses."""
    spec = copy.deepcopy(replaced(chart.spec, tokens))
    for layer in (spec, *spec.get("layer", ())):
        for row in layer.get("data", {}).get("values", ()):
            if "url" in row:
                row["url"] = base + row["url"]
    return {**spec, "width": WIDTH, "autosize": {"type": "pad"}}
