"""The visual language: colours are named in one place, have contrast enough in both themes, and are documented as they are."""

import re
from itertools import pairwise

import pytest

from tests.serving import ROOT

CSS = ROOT / "static" / "css"
HEX = re.compile(r"#[0-9a-f]{3,8}\b", re.IGNORECASE)
DARK = "@media (prefers-color-scheme: dark)"


def declared(text: str) -> dict[str, str]:
    """Custom properties that are colours, by name."""
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6});", text))


@pytest.fixture(scope="module")
def themes() -> dict[str, dict[str, str]]:
    light, _, dark = (CSS / "tokens.css").read_text("utf-8").partition(DARK)
    return {"light": declared(light), "dark": declared(dark)}


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 has it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_rules_take_their_colours_from_tokens():
    found = []
    for path in sorted(CSS.glob("*.css")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if (
                HEX.search(line) and not re.match(r"\s*--", line) and "linear-gradient(to" not in line
            ):  # a mask's is no colour
                found.append(f"{path.name}:{number}: {line.strip()}")
    assert found == []


def test_every_token_that_is_used_is_declared():
    sheets = {path.name: path.read_text("utf-8") for path in CSS.glob("*.css")}
    known = {name for text in sheets.values() for name in re.findall(r"--([\w-]+):", text)}
    used = {name for text in sheets.values() for name in re.findall(r"var\(--([\w-]+)", text)}
    assert used - known == set()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_controls_have_contrast(themes, theme):
    colour = themes[theme]
    for ground in ("paper", "surface", "sunken"):
        for text in ("ink", "ink-2", "ink-3", "accent", "accent-strong"):
            assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
        assert contrast(colour["line-strong"], colour[ground]) >= 3, ground
    for ground in ("paper", "surface"):  # where charts stand
        assert contrast(colour["data"], colour[ground]) >= 3, ground
    assert contrast(colour["on-accent"], colour["accent"]) >= 4.5
    assert contrast(colour["accent"], colour["accent-wash"]) >= 4.5
    for level in (1, 2, 3):
        assert contrast(colour["on-hl"], colour[f"hl-{level}"]) >= 4.5, level
    assert contrast(colour["on-hl-4"], colour["hl-4"]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_stronger_token_stands_out_more_in_either_theme(themes, theme):
    colour = themes[theme]
    steps = [contrast(colour[f"hl-{level}"], colour["paper"]) for level in (1, 2, 3, 4)]
    assert steps == sorted(steps)
    assert all(after / before > 1.1 for before, after in pairwise(steps))


def test_the_document_has_the_colours_that_there_are(themes):
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    rows = re.findall(r"^\| (`--[^|]+) \|[^|]+\|([^|]+)\|([^|]+)\|$", text, re.MULTILINE)
    assert len(rows) == 6
    for names, *cells in rows:
        wanted = re.findall(r"--([\w-]+)", names)
        if "…" in names:
            wanted = [f"hl-{level}" for level in (1, 2, 3, 4)]
        for theme, cell in zip(("light", "dark"), cells, strict=True):
            assert re.findall(r"#\w+", cell) == [themes[theme][name] for name in wanted if name in themes[theme]], names
    sizes = dict(re.findall(r"\| `--(text-\w+)` \| (\d+) px", text))
    tokens = dict(re.findall(r"--(text-\w+): ([\d.]+)rem", (CSS / "tokens.css").read_text("utf-8")))
    assert {name: int(size) for name, size in sizes.items()} == {n: round(float(rem) * 16) for n, rem in tokens.items()}
