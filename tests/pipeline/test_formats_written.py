"""What dartboard writes for other libraries it reads back as the same, and what a format can't express is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.errors import UserError
from pipeline.dictionaries import Dictionary
from pipeline.formats import read, write_saelens, write_sparsify
from tests.pipeline import format_rules as rules
from tests.pipeline.format_rules import CASES, D, K, M

X = torch.from_numpy(rules.Numbers(9)(200, D, scale=2.0, shift=0.5))


def made(**changes: Any) -> Dictionary:
    """A dictionary as the pipeline makes them: a decoder by least squares, whose rows have any length."""
    r = rules.Numbers(5)
    numbers = {
        name: torch.from_numpy(r(*shape)) for name, shape in {"e": (M, D), "b": (M,), "d": (M, D), "x": (D,)}.items()
    }
    plain = Dictionary("random-sign", "topk", numbers["e"], numbers["b"], 3 * numbers["d"], numbers["x"], k=K)
    return replace(plain, **{"provenance": {"seed": 11}, **changes})


def same(one: Dictionary, other: Dictionary) -> None:
    codes, again = one.encode(X), other.encode(X)
    torch.testing.assert_close(
        torch.from_numpy(again.csr(M).toarray()), torch.from_numpy(codes.csr(M).toarray()), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(other.decode(again, X), one.decode(codes, X), atol=1e-4, rtol=1e-5)


THRESHOLD = torch.linspace(-0.5, 2, M)
GATED = {"rule": "gated", "k": None, "b_gate": -THRESHOLD, "r_mag": THRESHOLD / 4}
EXPRESSED: dict[str, dict[str, Any]] = {
    "topk": {},
    "raw": {"centred": False},
    "relu": {"rule": "relu", "k": None},
    "jumprelu": {"rule": "jumprelu", "k": None, "threshold": THRESHOLD},
    "batch-topk": {"rule": "batch-topk", "threshold": torch.tensor(1.2)},
    "gated": GATED,
    "constant norm": {"normalisation": "constant-norm"},
    "layer norm": {"normalisation": "layer-norm"},
}


@pytest.mark.parametrize("name", EXPRESSED)
def test_a_round_trip_through_sae_lens_changes_nothing(name: str, tmp_path: Path) -> None:
    one = made(**EXPRESSED[name])
    write_saelens(one, tmp_path)
    again = read(tmp_path)
    same(one, again)
    assert (again.kind, again.rule, again.k, again.centred) == (one.kind, one.rule, one.k, one.centred)
    assert again.provenance["seed"] == 11
    assert again.provenance["dartboard"]["centring"] == ("centred" if one.centred else "raw")
    write_saelens(again, tmp_path / "again")
    assert read(tmp_path / "again").hash() == again.hash()


def test_the_decoder_of_a_written_topk_is_not_taken_for_unit_norm(tmp_path: Path) -> None:
    write_saelens(made(), tmp_path)
    config = json.loads((tmp_path / "cfg.json").read_text("utf-8"))
    assert config["rescale_acts_by_decoder_norm"] is False
    assert config["metadata"]["sae_lens_version"] == "6.0.0"


def test_metadata_of_others_survives(tmp_path: Path) -> None:
    folder = CASES["saelens topk"].write(tmp_path / "theirs")
    config = json.loads((folder / "cfg.json").read_text("utf-8"))
    config["metadata"] |= {"neuronpedia_id": "gpt2-small/3-mine", "anything": {"nested": [1, None]}}
    rules.write_json(folder / "cfg.json", config)
    write_saelens(read(folder), tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "cfg.json").read_text("utf-8"))["metadata"]
    expected = {**config["metadata"], "sae_lens_version": "6.0.0", "dartboard": written["dartboard"]}
    assert written == expected
    found = read(tmp_path / "ours").provenance
    assert (found["model_name"], found["layer"], found["context_size"]) == ("gpt2-small", 2, 128)


@pytest.mark.parametrize("changes", [{}, {"centred": False}, {"rule": "groupmax", "k": 6}], ids=str)
def test_a_round_trip_through_sparsify_changes_nothing(changes: dict[str, Any], tmp_path: Path) -> None:
    one = made(**changes)
    write_sparsify(one, tmp_path)
    again = read(tmp_path)
    same(one, again)
    assert (again.kind, again.rule, again.k) == (one.kind, one.rule, one.k)
    assert again.provenance["seed"] == 11
    assert again.provenance["dartboard"]["centring"] == ("centred" if one.centred else "raw")


NEITHER: list[tuple[dict[str, Any], str]] = [
    ({"decoder": None}, "dictionaries without a decoder"),
    ({"reconstructs": False}, "transcoders"),
    ({"rule": "absolute-topk"}, "the rule absolute-topk"),
    ({"postact": "identity"}, "a topk that keeps values below 0"),
]


@pytest.mark.parametrize(("changes", "said"), [*NEITHER, ({"rule": "groupmax"}, "the rule groupmax")])
def test_what_sae_lens_cannot_express(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{said} can't be written for sae-lens"):
        write_saelens(made(**changes), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *NEITHER,
        (EXPRESSED["relu"], "the rule relu"),
        (EXPRESSED["jumprelu"], "the rule jumprelu"),
        (EXPRESSED["batch-topk"], "the rule batch-topk"),
        (GATED, "the rule gated"),
        (EXPRESSED["layer norm"], "the normalisation layer-norm"),
    ],
)
def test_what_sparsify_cannot_express(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{said} can't be written for sparsify"):
        write_sparsify(made(**changes), tmp_path)
    assert list(tmp_path.iterdir()) == []
