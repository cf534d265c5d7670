"""Whole builds with a tiny model: resumed after kill -9, with any number of workers, published whole or not at all."""

import io
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

import pipeline.build
from app.errors import Conflict, UserError
from app.store.features import FeatureStore
from pipeline.plan import make_plan
from tests.pipeline.conftest import write_build_file
from tests.serving import ROOT, command_line


def start(build_file: Path, data: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*command_line(), "build", str(build_file), "--data", str(data), *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def build(build_file: Path, data: Path, *options: str, limit: int | None = None) -> tuple[int, str]:
    process = start(build_file, data, *options)
    if limit is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    _, errors = process.communicate(timeout=240)
    return process.returncode, errors


def build_here(build_file: Path, data: Path) -> None:
    """The same in this process, where PyTorch is loaded already."""
    pipeline.build.build(make_plan(build_file, "test"), data, 1, False, Console(file=io.StringIO()))


def digest(data: Path) -> str:
    store = FeatureStore(data / "features.sqlite")
    try:
        return store.digest()
    finally:
        store.close()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, module_build_file: Path) -> Path:
    data = tmp_path_factory.mktemp("whole")
    code, errors = build(module_build_file, data, "--workers", "1")
    assert code == 0, errors
    return data


@pytest.fixture(scope="module")
def module_build_file(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, text_file: Path) -> Path:
    return write_build_file(tmp_path_factory.mktemp("file") / "BUILD.toml", tiny_model, text_file)


def test_the_store_holds_what_the_build_file_asks_for(uninterrupted: Path) -> None:
    store = FeatureStore(uninterrupted / "features.sqlite")
    assert [d.name for d in store.dictionaries()] == ["signs", "points", "sae"]
    (site,) = store.sites()
    assert (site.contexts, site.tokens, site.layer, site.d) == (200, 6400, 1, 32)
    provenance = store.provenance()
    assert provenance["config"]["seed"] == 3
    assert provenance["versions"]["torch"]
    assert "seconds" in provenance
    for dictionary in store.dictionaries():
        assert (dictionary.m, dictionary.k) == (64, 4)
        assert 0 < dictionary.fve < 1
        assert 0 < dictionary.l0 <= 4
        features = store.features(dictionary.id)
        assert dictionary.alive == sum(f.state not in ("never", "dead") for f in features) / 64
        for feature in features[:10]:
            top = store.hits(dictionary.id, feature.index)
            assert len(top) == feature.contexts
            contexts = store.contexts(hit.context for hit in top)
            assert len({contexts[hit.context].document_id for hit in top}) == len(top)
            assert [hit.value for hit in top] == sorted((hit.value for hit in top), reverse=True)
            if top:
                assert top[0].value == feature.max
                assert all(hit.peak not in contexts[hit.context].masked for hit in top)
    assert not (uninterrupted / "build").exists()


def test_a_finished_store_is_left_alone(uninterrupted: Path, module_build_file: Path) -> None:
    before = (uninterrupted / "features.sqlite").stat()
    code, errors = build(module_build_file, uninterrupted)
    assert code == 0
    assert "up to date" in errors
    assert (uninterrupted / "features.sqlite").stat().st_mtime_ns == before.st_mtime_ns


MOMENTS = {
    "activations": "build/tiny-1-*/activations/shard-000001.safetensors",
    "training": "build/tiny-1-*/sae-*/checkpoint.pt",
    "hits": "build/tiny-1-*/signs-*/summary-000001.npz",
    "publishing": ".features.sqlite.part",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_run_again_it_gives_the_same_store(
    moment: str, uninterrupted: Path, module_build_file: Path, tmp_path: Path
) -> None:
    process = start(module_build_file, tmp_path, "--workers", "1")
    while not list(tmp_path.glob(MOMENTS[moment])):
        assert process.poll() is None, f"the build ended before {moment}"
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "features.sqlite").exists()
    code, errors = build(module_build_file, tmp_path, "--workers", "2")
    assert code == 0, errors
    assert digest(tmp_path) == digest(uninterrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["features.sqlite"]


def test_another_seed_gives_another_store_in_the_same_place(
    uninterrupted: Path, module_build_file: Path, tmp_path: Path
) -> None:
    shutil.copy(uninterrupted / "features.sqlite", tmp_path)
    other = tmp_path / "OTHER.toml"
    other.write_text(module_build_file.read_text("utf-8").replace("seed = 3", "seed = 4"), "utf-8")
    code, errors = build(other, tmp_path, "--workers", "1")
    assert code == 0, errors
    assert digest(tmp_path) != digest(uninterrupted)


def test_a_full_disk_is_one_sentence_and_leaves_the_old_store(
    uninterrupted: Path, module_build_file: Path, tmp_path: Path
) -> None:
    shutil.copy(uninterrupted / "features.sqlite", tmp_path)
    before = digest(tmp_path)
    other = tmp_path / "OTHER.toml"
    other.write_text(module_build_file.read_text("utf-8").replace("seed = 3", "seed = 5"), "utf-8")
    code, errors = build(other, tmp_path, "--workers", "1", limit=120_000)
    assert code == 2, errors
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].count(".") >= 1
    assert digest(tmp_path) == before
    code, errors = build(other, tmp_path, "--workers", "1")
    assert code == 0, errors
    assert digest(tmp_path) != before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layer = 1", "layer = 9", "layer = 9 is out of range"),
        ("k = 4", "k = 400", "k = 400 is more than its m = 64 features"),
        ("contexts = 200", "contexts = 2_000_000", "lower `contexts`"),
        ("expansion = 2", "expansion = 900", "data points were asked for"),
        ('documents = "wikitext"', 'documents = "file"', "documents are too few to hold out"),
    ],
)
def test_a_mistake_is_one_sentence(old: str, new: str, message: str, module_build_file: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "WRONG.toml"
    wrong.write_text(module_build_file.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        build_here(wrong, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data" / "features.sqlite").exists()


def test_places_that_cannot_be_written(module_build_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for place in (tmp_path / "file", Path("/sys/dartboard")):
        code, errors = build(module_build_file, place)
        assert code == 2, errors
        assert "Traceback" not in errors
        assert place.name in errors


def test_a_database_that_is_no_feature_store_is_not_overwritten(module_build_file: Path, tmp_path: Path) -> None:
    (tmp_path / "features.sqlite").write_bytes(b"something precious")
    code, errors = build(module_build_file, tmp_path)
    assert code == 2
    assert "not a dartboard feature store" in " ".join(errors.split())
    assert (tmp_path / "features.sqlite").read_bytes() == b"something precious"


def test_two_builds_in_one_place(module_build_file: Path, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    with FileLock(tmp_path / "build" / "lock"), pytest.raises(Conflict, match="Another build is at work"):
        build_here(module_build_file, tmp_path)
