import re
from pathlib import Path

import pytest

from app.errors import UserError
from pipeline.config import load_build
from pipeline.entries import FileConfig


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("k = 4", 'k = "many"', r"defaults\.k: Input should be a valid integer.*'many'"),
        ("layer = 1", "layr = 1", r"unknown key site\[0\]\.layr"),
        ("seed = 3", "sed = 3", "unknown key sed"),
        ("layer = 1", "layer = 1\nskip_positions = 32", r"skip_positions = 32, which leaves nothing of windows of 32"),
        ('kind = "random-sign"', 'kind = "random-sine"', r"dictionary\[0\].*random-sine"),
        ("tokens = 40_000", "tokens = -1", r"dictionary\[2\]\.tokens: .*greater than or equal to 1"),
        ('model = "tiny"', 'model = "large"', "site 'tiny-1' has model = 'large'"),
        ('name = "points"', 'name = "signs"', r"two \[\[dictionary\]\] entries are named 'signs'"),
        ("k = 4", 'k = 4\nencoding = "raw"', r"dictionary\[2\]\.encoding: Input should be 'centred'"),
        ("[defaults]", "[defaults", "not valid TOML"),
    ],
)
def test_a_mistake_gets_one_sentence_that_names_the_key(build_file: Path, old: str, new: str, message: str) -> None:
    build_file.write_text(build_file.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(UserError) as caught:
        load_build(build_file)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(build_file))


def test_a_file_that_is_not_utf8(build_file: Path) -> None:
    build_file.write_bytes(b"seed = 3 # caf\xe9")
    with pytest.raises(UserError, match="not UTF-8"):
        load_build(build_file)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        load_build(tmp_path / "BUILD.toml")


def test_defaults_reach_each_dictionary(build_file: Path) -> None:
    config = load_build(build_file)
    signs, points, sae = config.of(config.sites[0])
    assert (signs.k, signs.expansion, signs.encoding, signs.seed, signs.title) == (4, 2, "centred", 3, "signs")
    assert (points.decoder, sae.site) == ("tied", "tiny-1")
    assert signs.size(32) == 64


def test_m_stands_in_for_expansion(build_file: Path) -> None:
    text = build_file.read_text("utf-8")
    build_file.write_text(text.replace('kind = "random-sign"', 'kind = "random-sign"\nm = 50'), "utf-8")
    assert load_build(build_file).dictionaries[0].size(32) == 50
    build_file.write_text(text.replace('kind = "random-sign"', 'kind = "random-sign"\nm = 50\nexpansion = 3'), "utf-8")
    with pytest.raises(UserError, match="has both m and expansion; give one"):
        load_build(build_file)


def test_with_two_sites_a_dictionary_says_which(build_file: Path) -> None:
    text = build_file.read_text("utf-8")
    second = text[text.index("[[site]]") : text.index("[defaults]")].replace("tiny-1", "tiny-2")
    build_file.write_text(text.replace("[defaults]", second + "[defaults]"), "utf-8")
    with pytest.raises(UserError, match=r"dictionary\[0\]\.site is missing"):
        load_build(build_file)


def test_the_demo_asks_for_what_the_readme_says() -> None:
    config = load_build(Path(__file__).parents[2] / "demo" / "BUILD.toml")
    (site,) = config.sites
    assert site.contexts * site.context_length >= 200_000
    assert (site.layer, site.context_length, config.defaults.k, config.defaults.expansion) == (15, 128, 32, 8)
    assert [entry.kind for entry in config.dictionaries] == ["random-sign", "data-points", "file"]
    (shipped,) = (entry for entry in config.dictionaries if isinstance(entry, FileConfig))
    assert (Path(__file__).parents[2] / shipped.source / "cfg.json").is_file()
