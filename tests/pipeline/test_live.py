"""The live worker's activations are the store's, on a whole build with a tiny model; what it refuses, and when it stops."""

import functools
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import NotFound, UserError
from app.live import Limits, Live
from app.store.features import FeatureStore
from app.store.packing import UNIT
from pipeline import cli
from pipeline.commands import embed
from pipeline.live import reading
from pipeline.live.work import Cancelled, Going
from pipeline.live.worker import Worker
from pipeline.weights import forget_other_weights
from tests.pipeline.conftest import write_build_file
from tests.pipeline.test_build import build_here
from tests.serving import ROOT

ON = Going(lambda: False)
TEXT = "The old town stands by the river . It was built in 1843 ."
MORE = """
[[dictionary]]
name = "both-tails"
kind = "random-sign"
rule = "absolute-topk"
[[dictionary]]
name = "relu"
kind = "random-sign"
rule = "relu"
[[dictionary]]
name = "groups"
kind = "random-sign"
rule = "batch-topk"
[[site]]
name = "tiny-2"
model = "tiny"
corpus = "wiki"
layer = 2
contexts = 200
context_length = 32
[[dictionary]]
name = "deeper"
kind = "gaussian"
site = "tiny-2"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, text_file: Path) -> Path:
    """A data folder: two sites of the tiny model, in bfloat16, every kind of rule that a build makes."""
    folder = tmp_path_factory.mktemp("live")
    file = write_build_file(folder / "BUILD.toml", tiny_model, text_file)
    words = file.read_text("utf-8").replace('name = "tiny"\n', 'name = "tiny"\ndtype = "bfloat16"\n', 1)
    for name in ("signs", "points", "sae"):
        words = words.replace(f'name = "{name}"\n', f'name = "{name}"\nsite = "tiny-1"\n')
    more = MORE
    for name in ("both-tails", "relu", "groups"):
        more = more.replace(f'name = "{name}"\n', f'name = "{name}"\nsite = "tiny-1"\n')
    file.write_text(words + more, "utf-8")
    build_here(file, folder)
    return folder


@pytest.fixture(scope="module")
def worker(built: Path) -> Worker:
    return Worker(built / "features.sqlite")


@pytest.fixture(scope="module")
def store(built: Path) -> Iterator[FeatureStore]:
    store = FeatureStore(built / "features.sqlite")
    yield store
    store.close()


def read(worker: Worker, text: str, **more: Any) -> dict[str, Any]:
    answer = worker.answer({"do": "read", "text": text, **more}, ON)
    json.dumps(answer, allow_nan=False)
    return answer


def random_hits(store: FeatureStore, count: int) -> Iterator[tuple[str, str, int, Any, Any]]:
    """(site, dictionary, feature, hit, context) of random hits, of all groups, all dictionaries alike."""
    draw = random.Random(6)
    sites = {site.id: site.name for site in store.sites()}
    dictionaries = store.dictionaries()
    found = 0
    while found < count:
        dictionary = draw.choice(dictionaries)
        feature = draw.randrange(dictionary.m)
        hits = store.hits(dictionary.id, feature, draw.choice(("top", "q1", "q2", "q3", "q4", "q5", "bottom")))
        if hits:
            hit = draw.choice(hits)
            yield sites[dictionary.site_id], dictionary.name, feature, hit, store.contexts([hit.context])[hit.context]
            found += 1


def check_hits(ask: Callable[..., dict[str, Any]], store: FeatureStore, count: int) -> None:
    """Every activation of random hits is as stored, of `count` at least: a context may be cut into other tokens when it is text."""
    drawn = sorted(
        random_hits(store, count + count // 5), key=lambda one: one[3].context
    )  # so that a text is read once
    checked = 0
    for site, dictionary, feature, hit, context in drawn:
        answer = ask("".join(context.tokens), site=site, features=[[dictionary, feature]])
        if answer["tokens"] != context.tokens:
            continue
        (trace,) = answer["traces"]
        found = dict(zip(trace["positions"], trace["values"], strict=True))
        stored = dict(zip(hit.positions, hit.values, strict=True))
        same_tail = {position for position, value in found.items() if value * hit.value > 0}
        assert same_tail == {position for position, value in stored.items() if value * hit.value > 0}
        assert found[hit.peak] == hit.value, "the value at the peak is stored exactly"
        step = abs(hit.value) / UNIT  # of what is stored of the others; half of it is lost in rounding
        assert all(abs(found[place] - stored[place]) <= step * 0.501 or stored[place] == step for place in same_tail)
        assert sorted([*answer["special"], *answer["sinks"]]) == context.masked
        checked += 1
    assert checked >= count, (
        f"{len(drawn) - checked} of {len(drawn)} contexts are cut into other tokens when they are text"
    )


def test_activations_of_a_typed_text_are_those_of_the_store(worker: Worker, store: FeatureStore) -> None:
    check_hits(lambda text, **more: read(worker, text, **more), store, 100)


def test_a_long_text_is_cut_as_the_build_cuts_documents(worker: Worker) -> None:
    long = " ".join([TEXT] * 40)
    whole = read(worker, long)
    assert "".join(whole["tokens"]) == long
    assert whole["begins"] == list(range(0, len(whole["tokens"]), 32))
    assert len(whole["begins"]) > 16, "more than one forward pass"
    part = "".join(whole["tokens"][32 * 17 : 32 * 18])
    alone = read(worker, part, top=5)
    if alone["tokens"] == whole["tokens"][32 * 17 : 32 * 18]:
        there = read(worker, long, first=32 * 17, last=32 * 18 - 1, top=5)
        expected = [(f, v, t - 32 * 17, n) for f, v, t, n in there["strongest"]["signs"]]
        assert [tuple(entry) for entry in alone["strongest"]["signs"]] == expected


def test_the_strongest_features_are_those_of_the_selection(worker: Worker) -> None:
    answer = read(worker, TEXT, first=3, last=5, top=64)
    for name, strongest in answer["strongest"].items():
        values = [abs(value) for _, value, _, _ in strongest]
        assert values == sorted(values, reverse=True)
        traces = read(worker, TEXT, features=[[name, feature] for feature, *_ in strongest])["traces"]
        for (_, value, token, count), trace in zip(strongest, traces, strict=True):
            there = {p: v for p, v in zip(trace["positions"], trace["values"], strict=True) if 3 <= p <= 5}
            assert len(there) == count
            assert there[token] == value == max(there.values(), key=abs)
    everything = read(worker, TEXT, top=1)["strongest"]["sae"]
    assert everything[0][1] >= answer["strongest"]["sae"][0][1]


@pytest.mark.parametrize(
    "text", ["", "\x00\x1b[31m\u202e\u2066\ufeff", "日本語 🙂🙂 שלום", "\n\t \r\n", "e\u0301" * 50]
)
def test_any_text_is_read(worker: Worker, text: str) -> None:
    answer = read(worker, text)
    assert len(answer["tokens"]) >= len(answer["begins"]) - 1
    for name, strongest in answer["strongest"].items():
        assert all(answer["tokens"][token] for _, _, token, _ in strongest), f"{name} fires where nothing is shown"
    if text and "\ufffd" not in "".join(answer["tokens"]):
        assert "".join(answer["tokens"]) == text


def test_what_there_is_not_is_said(worker: Worker) -> None:
    with pytest.raises(NotFound, match="no site 'other'; it has tiny-1, tiny-2"):
        read(worker, TEXT, site="other")
    with pytest.raises(NotFound, match="no dictionary 'deeper'"):
        read(worker, TEXT, features=[["deeper", 0]])
    with pytest.raises(NotFound, match="read and find"):
        worker.answer({"do": "sing"}, ON)
    assert read(worker, TEXT, features=[["sae", 10**9]])["traces"][0]["positions"] == []


def test_work_is_called_off_between_its_parts(worker: Worker) -> None:
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        worker.answer({"do": "read", "text": "never read before"}, Going(lambda: next(asked)))
    assert read(worker, "never read before")["tokens"]


def test_so_many_texts_are_kept_at_hand_and_no_more(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(reading.KEPT + 2):
        read(worker, f"{TEXT} {number}")
    kept = worker.reader._kept
    assert [text for _, text in kept] == [f"{TEXT} {number}" for number in range(2, reading.KEPT + 2)]
    monkeypatch.setattr(reading, "KEPT_ACTIVATIONS", 1)
    read(worker, "The last one.")
    assert [text for _, text in kept] == ["The last one."]


def test_other_weights_than_the_store_is_of_are_refused(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "data", ignore=shutil.ignore_patterns("build"))
    (folder,) = (tmp_path / "data" / "weights").iterdir()
    store = tmp_path / "data" / "features.sqlite"
    signs = (folder / "signs.safetensors").read_bytes()
    shutil.copy(folder / "points.safetensors", folder / "signs.safetensors")
    with pytest.raises(UserError, match="is not the dictionary that the feature store is of"):
        Worker(store)
    (folder / "signs.safetensors").write_bytes(signs[:-100])
    with pytest.raises(UserError, match="is not whole"):
        Worker(store)
    (folder / "signs.safetensors").unlink()
    with pytest.raises(
        NotFound, match="signs is not beside the feature store; run its `dartboard build` again, with --w"
    ):
        Worker(store)
    forget_other_weights(tmp_path / "data", None)
    assert not folder.exists()


def changed(built: Path, folder: Path, statement: str) -> Path:
    """A copy of the store with something else in it, its dictionaries and embeddings beside it."""
    shutil.copytree(built, folder, ignore=shutil.ignore_patterns("build"))
    with sqlite3.connect(folder / "features.sqlite") as connection:
        connection.execute(statement)
    connection.close()
    return folder / "features.sqlite"


def test_another_model_than_the_store_is_of_is_refused(built: Path, tmp_path: Path) -> None:
    store = changed(built, tmp_path / "data", "UPDATE site SET model_hash = 'another'")
    with pytest.raises(UserError, match="not those that the feature store was built with"):
        Worker(store)


@pytest.mark.slow
def test_the_process_speaks_lines_and_ends_with_its_input(built: Path) -> None:
    store = built / "features.sqlite"
    lines = [
        {"id": 1, "do": "read", "text": TEXT},
        {"id": 2, "do": "sing"},
        {"id": 3, "do": "nearest", "text": "", "limit": 1},
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.live", "--store", str(store)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.writelines(json.dumps(line) + "\n" for line in lines)
    process.stdin.flush()
    answers = [json.loads(process.stdout.readline()) for _ in range(4)]
    assert answers[0] == {"ready": True}
    assert answers[1]["answer"]["strongest"].keys() == {"signs", "points", "sae", "both-tails", "relu", "groups"}
    assert (answers[2]["id"], answers[2]["status"]) == (2, 404)
    assert answers[3]["error"].startswith("The contexts of this feature store have no embeddings yet")
    process.stdin.close()
    assert process.wait(20) == 0


def test_contexts_are_found_by_meaning(
    built: Path, worker: Worker, store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(built, "cpu")
    assert "400 contexts" in capsys.readouterr().out, "of both sites"
    contexts = {one.id: "".join(one.tokens) for one in store.pool(0)}
    wanted = max(contexts)
    answer = worker.answer({"do": "nearest", "text": contexts[wanted], "limit": 3}, ON)
    assert answer["contexts"][0] == wanted
    assert answer["cosines"][0] == pytest.approx(1, abs=2e-3)
    assert answer["cosines"] == sorted(answer["cosines"], reverse=True)
    embed(built, "cpu")
    assert "up to date" in capsys.readouterr().out
    other = changed(built, tmp_path / "data", """UPDATE context SET tokens = '["else"]' WHERE id = 0""")
    with pytest.raises(UserError, match="of another feature store; run `dartboard embed` again"):
        Worker(other).answer({"do": "nearest", "text": "", "limit": 1}, ON)


@pytest.mark.slow
def test_a_store_that_lacks_its_dictionaries_gets_them_when_asked(
    built: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(built, data)
    (folder,) = (data / "weights").iterdir()
    shutil.rmtree(data / "weights")
    build = functools.partial(
        cli.build, built / "BUILD.toml", data, 1, False, "cpu", cli.EngineName.local, None, 0.0, None
    )
    build(None)
    assert "--weights makes them, for serve --live" in " ".join(capfd.readouterr().err.split())
    build(True)
    assert {path.name for path in folder.iterdir()} > {"signs.safetensors", "deeper.safetensors"}
    assert read(Worker(data / "features.sqlite"), TEXT)["strongest"]
    build(True)
    assert "is up to date." in capfd.readouterr().err
    shutil.rmtree(data)
    build(False)
    assert not (data / "weights").exists()
    with pytest.raises(NotFound, match="is not beside the feature store"):
        Worker(data / "features.sqlite")


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_activations_are_those_of_a_store_of_the_demo_model(small_store: Path, tmp_path: Path) -> None:
    """In bfloat16, from a GGUF file, by a process of its own, through the client."""
    shutil.copytree(small_store, tmp_path / "data")
    store = FeatureStore(tmp_path / "data" / "features.sqlite")
    live = Live(
        tmp_path / "data" / "features.sqlite",
        limits=Limits(answer_seconds=60, patience_seconds=300, loading_seconds=300),
    )
    live.start()
    try:
        check_hits(lambda text, **more: live.wait(live.submit({"do": "read", "text": text, **more})), store, 100)
    finally:
        live.stop()
        store.close()
