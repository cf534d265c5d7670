"""docs/headline.ipynb and docs/headline.R reach the figures of `dartboard analyse` from an export alone."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.codebook import TABLES
from app.export import csv_lines
from app.exported import read_export
from app.simulate import DIGEST, simulated_tables
from app.study.analysis.report import Analysis
from app.study.analysis.run import analyse
from app.study.protocol import Protocol
from app.study.simulated.truth import Truth
from tests.serving import ROOT
from tests.simulation.test_generator import DESIGN

NOTEBOOK, SCRIPT = ROOT / "docs" / "headline.ipynb", ROOT / "docs" / "headline.R"
NOISE = 0.008  # of a bound, by 4,000 bootstrap draws on either side
FIGURES = ("gate", "retention", "difference", "equivalence")
# Three raters and ten; a stratum with one feature; one who does not read; an arm of which no page counts.
CASES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "panel": (3, 57, {"shares": {"trained": 0.6, "random": 0.5, "null-pages": 0.12}, "rarity_effect": 1.0}),
    "crowd": (11, 30, {"shares": {"trained": 0.6, "random": 0.5, "null-pages": 0.12}, "careless": 0.1}),
    "none": (3, 31, {"shares": {"trained": 0.9, "random": 0.8, "null-pages": 1e-9}}),
}


@pytest.fixture(scope="module", params=CASES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Analysis]:
    """An export's folder, and what `dartboard analyse` says of it."""
    raters, features, truth = CASES[request.param]
    tasks = {"page": {"features": features}}
    protocol = Protocol.model_validate({**DESIGN, "raters_per_item": raters, "tasks": tasks})
    tables = simulated_tables(protocol, Truth(**{**truth, "skips": {"random": 0.05}}), raters, 3)
    folder: Path = tmp_path_factory.mktemp("export")
    for name in ("ratings", "items", "raters"):
        lines = csv_lines(getattr(tables, name), [column.name for column in TABLES[name]])
        (folder / f"{name}.csv").write_text("".join(lines), "utf-8", newline="")
    assert tables.protocol is not None
    (folder / "protocol.json").write_text(tables.protocol.canonical(DIGEST), "utf-8")
    return folder, analyse(read_export(folder))


def agrees(found: dict[str, dict[str, float | None]], code: str, analysis: Analysis, digits: float) -> None:
    assert analysis.headline.gate.figure.value is not None
    for name in FIGURES:
        ours = getattr(analysis.headline, name).figure
        assert found[name]["value"] == pytest.approx(ours.value, abs=digits), name
        for bound in ("low", "high"):
            if getattr(ours, bound) is not None:
                assert found[name][bound] == pytest.approx(getattr(ours, bound), abs=NOISE), (name, bound)
    assert code == analysis.verdict.code


@pytest.mark.slow
def test_the_notebooks_cells_reach_the_headline(
    exported: tuple[Path, Analysis], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cells, run in order."""
    folder, analysis = exported
    monkeypatch.setitem(os.environ, "EXPORT", str(folder))
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    space: dict[str, Any] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for cell in cells:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), space)
    agrees(space["headline"], space["code"], analysis, 1e-12)
    assert "These raters are simulated" in said.getvalue()
    assert {arm.name: arm.interpretable.value for arm in analysis.arms} == pytest.approx(space["pi"], abs=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed (Debian: apt install r-base-core)")
def test_the_script_reaches_the_headline(exported: tuple[Path, Analysis]) -> None:
    folder, analysis = exported
    done = subprocess.run(["Rscript", "--vanilla", SCRIPT, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    number = r"(-?\d+\.\d+|NA)"
    found = {
        name: dict(zip(("value", "low", "high"), (float(v) if v != "NA" else None for v in values), strict=True))
        for name, *values in re.findall(rf"^(\w+)\s+{number}\s+{number}\s+{number}$", done.stdout, re.MULTILINE)
    }
    [code] = re.findall(r"^([a-z-]+): for", done.stdout, re.MULTILINE)
    agrees(found, code, analysis, 1e-4)


def test_the_notebook_is_one_and_holds_no_output() -> None:
    """What it prints belongs to somebody's study."""
    book = json.loads(NOTEBOOK.read_text("utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    for cell in code:
        compile("".join(cell["source"]), cell["id"], "exec")
    assert "dartboard" not in "".join(line for cell in code for line in cell["source"])
