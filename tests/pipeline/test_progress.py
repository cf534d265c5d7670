"""Stages' seconds are kept beside the work, so that a build that was interrupted tells what all its runs took."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipeline import progress
from pipeline.progress import Stages


def stages(kept: Path, key: str = "a") -> Stages:
    return Stages(Console(file=io.StringIO()), kept, key)


def test_runs_of_one_work_add_up_and_another_works_time_is_its_own(tmp_path: Path) -> None:
    kept = tmp_path / "seconds.json"
    kept.write_text('{"key": "a", "seconds": {"model": 100.0, "hits": 7.5}}')
    run = stages(kept)
    with run.stage("model"):
        pass
    assert 100 <= run.seconds["model"] < 107
    assert stages(kept).seconds == run.seconds
    assert run.seconds["hits"] == 7.5
    assert stages(kept, "b").seconds == {}


def test_a_stage_that_fails_counts(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), stages(tmp_path / "seconds.json").stage("model"):
        1 / 0  # noqa: B018
    assert list(stages(tmp_path / "seconds.json").seconds) == ["model"]


def test_a_stage_that_is_killed_counts_as_far_as_it_was_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "NOTED_SECONDS", 0.0)
    with stages(tmp_path / "seconds.json").stage("hits", 10, "tokens") as advance:
        advance(3)
        assert list(stages(tmp_path / "seconds.json").seconds) == ["hits"]


@pytest.mark.parametrize("text", ["", "{", "null", '{"other": 1}'])
def test_notes_that_cannot_be_read_are_of_no_consequence(text: str, tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text(text)
    assert stages(tmp_path / "seconds.json").seconds == {}
