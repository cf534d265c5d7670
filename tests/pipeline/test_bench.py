"""The bench measures what it says: a small build on the real path, and marks that follow from the bars."""

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.bench.__main__ import MEMORY
from pipeline.bench.builds import measure_build
from pipeline.bench.report import Row, table
from pipeline.bench.shapes import CHARACTERS_A_TOKEN, S, make_ground
from pipeline.bench.tables import measure_tables

SMALL = dataclasses.replace(S, layers=2, depth=1, d=32, heads=2, m=256, contexts=128, k=8, top=5, per_quantile=2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_small_build_is_timed_against_its_parts(tmp_path: Path) -> None:
    ground = make_ground(SMALL, tmp_path / "ground")
    found = measure_build(ground, tmp_path, 1, "float32", further=1)
    assert found.forward > 0
    assert found.product > 0
    assert found.ratio == found.build / (found.forward + found.product)
    assert found.build > 0
    assert {"site: hits", "feature store"} <= found.counted.keys()
    assert not [name for name in found.counted if name.endswith(("directions", "decoders"))]
    assert found.bytes.features == 256
    assert 0 < found.bytes.full_features <= 256


def test_tables_are_timed_against_their_products() -> None:
    found = list(measure_tables(SMALL, 1, fit=True))
    assert [one.name for one in found] == ["output tokens", "neighbours", "decoder"]
    assert all(one.table > 0 and one.alone > 0 for one in found)


def test_a_row_passes_at_its_bar_and_misses_above_it() -> None:
    rows = [
        Row("g", "at the bar", 1.15, 1.15),
        Row("g", "above", 1.1501, 1.15),
        Row("g", "growth", 0.031, 0.1, unit="%"),
        Row("g", "bytes", 1234.5, 2048, unit="B"),
        Row("g", "no bar", 3.0),
    ]
    assert [row.mark for row in rows] == ["pass", "miss", "pass", "pass", ""]
    assert [row.shown for row in rows] == ["1.15", "1.15", "+3.1%", "1,234 B", "3.00"]
    out = io.StringIO()
    Console(file=out, width=120).print(table(rows, "Reached"))
    assert "miss" in out.getvalue()
    assert "≤ 2,048 B" in out.getvalue()


def test_there_is_text_enough_for_the_longest_build(tmp_path: Path) -> None:
    ground = make_ground(SMALL, tmp_path, max(MEMORY))
    written = (ground.folder / "text.txt").stat().st_size
    assert written >= max(MEMORY) * S.length * CHARACTERS_A_TOKEN
