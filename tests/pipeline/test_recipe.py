"""The recipe of the shipped dictionaries: a build file that anyone can run, and text that it finds where the script puts it."""

import re
import subprocess
from pathlib import Path

from pipeline.config import load_build
from tests.serving import ROOT

FOLDER = ROOT / "demo" / "sae"


def test_the_build_file_trains_topk_on_the_demos_site() -> None:
    built, demo = load_build(FOLDER / "BUILD.toml"), load_build(ROOT / "demo" / "BUILD.toml")
    [site], [own] = built.sites, demo.sites
    assert (built.models, site.layer, site.context_length) == (demo.models, own.layer, own.context_length)
    assert {one.name: one.size(576) for one in built.dictionaries} == {"topk-8n": 4608, "topk-32n": 18_432}
    assert {(one.kind, one.k) for one in built.dictionaries} == {("topk-sae", 32)}
    assert all(one.model_dump()["tokens"] >= 10_000_000 for one in built.dictionaries)
    assert site.activations is None  # made anew, not a computer's own


def test_make_sae_puts_the_text_where_the_build_file_reads_it() -> None:
    [corpus] = load_build(FOLDER / "BUILD.toml").corpora
    dry = subprocess.run(["make", "--dry-run", "sae"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    fetched = re.search(r"demo/sae/text\.sh (\S+)", dry)
    assert fetched is not None
    assert fetched[1] == corpus.source
    names = " ".join(dictionary.name for dictionary in load_build(FOLDER / "BUILD.toml").dictionaries)
    assert f"for name in {names}; do" in dry
    assert "score data/sae/dictionaries/$name --card" in dry
    assert "--data data/sae " in dry


def test_a_folder_that_has_the_text_is_left_alone(tmp_path: Path) -> None:
    """Without a package index in reach: nothing is fetched where both files stand."""
    for name in ("enwik8.xml.gz", "wikitext-2-train.raw.gz"):
        (tmp_path / name).write_bytes(b"here")
    subprocess.run(
        [FOLDER / "text.sh", tmp_path], cwd=ROOT, env={"PATH": "/usr/bin:/bin", "PYTHON": "false"}, check=True
    )
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"here"}


def test_the_script_needs_a_folder(tmp_path: Path) -> None:
    ended = subprocess.run([FOLDER / "text.sh"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert list(tmp_path.iterdir()) == []
