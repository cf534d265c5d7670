"""All engines do the same; Ray on a cluster of several nodes, which are processes of this computer."""

import contextlib
import functools
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import pipeline.build
import pipeline.engines.ray
from app.errors import DartboardError, NotFound, UserError
from app.store.features import FeatureStore
from pipeline.build import Workers, build
from pipeline.engines import Engine, silent
from pipeline.engines.buffers import pack, unpack
from pipeline.engines.local import Local
from pipeline.engines.ray import RayEngine
from pipeline.engines.tree import Gathers, gathered
from pipeline.passes import Parts
from pipeline.plan import make_plan
from pipeline.sample import Layout
from pipeline.streaming import FromModel
from tests.pipeline import pieces
from tests.pipeline.clusters import ray_cluster
from tests.pipeline.searched import searched

NUMBERS = range(10)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_cluster(nodes=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def ray_engine(cluster: Any) -> Iterator[RayEngine]:
    with RayEngine(cluster.address) as engine:
        yield engine


@pytest.fixture(scope="module")
def processes() -> Iterator[Local]:
    with Local(2) as engine:
        yield engine


@pytest.fixture(params=["one process", "processes", "ray"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "one process":
        return Local(1)
    found: Engine = request.getfixturevalue({"processes": "processes", "ray": "ray_engine"}[request.param])
    return found


def test_every_piece_has_its_result_and_progress_adds_up(engine: Engine) -> None:
    told: list[int] = []
    assert sorted(engine.run(pieces.square, NUMBERS, told.append)) == [(n, n * n) for n in NUMBERS]
    assert sum(told) == sum(NUMBERS) + len(NUMBERS)
    assert list(engine.run(pieces.square, [], told.append)) == []


def test_a_shared_value_is_fetched_once_by_each_worker(engine: Engine, tmp_path: Path) -> None:
    value = pieces.Traced(tmp_path, torch.arange(30_000.0), np.ones(200_000))
    shared = engine.share(value)
    results = dict(engine.run(functools.partial(pieces.scale, shared), NUMBERS, lambda _: None))
    assert {n: total for n, (total, _) in results.items()} == {n: n * (449_985_000 + 200_000) for n in NUMBERS}
    fetches = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert len(fetches) == len(set(fetches)) <= 2
    in_place = isinstance(engine, RayEngine)
    assert {writeable for _, writeable in results.values()} == {not in_place}


def test_results_belong_to_the_caller(engine: Engine) -> None:
    for number, (array, tensor) in engine.run(pieces.arrays, [3, 4], lambda _: None):
        array[:2] = 7
        tensor[:2] = 7
        assert array.sum() == 99_998 * number + 14
        assert tensor.dtype == torch.bfloat16
        assert bool((tensor[2:] == number).all())


def test_a_worker_has_one_thread(engine: Engine) -> None:
    assert dict(engine.run(pieces.threads, [0, 1], lambda _: None)) == {0: 1, 1: 1}


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (pieces.refuse, UserError, "k = 9 is more than m = 8; lower k."),
        (pieces.lose_way, NotFound, "There is no such thing."),
        (pieces.divide, ZeroDivisionError, "division by zero"),
    ],
)
def test_an_error_comes_through_as_itself(
    work: Callable[[int], int], error: type[Exception], message: str, engine: Engine
) -> None:
    with pytest.raises(error) as caught:
        list(engine.run(work, NUMBERS, lambda _: None))
    assert type(caught.value) is error
    assert str(caught.value) == message
    if isinstance(caught.value, NotFound):
        assert caught.value.nearest is not None
    if isinstance(engine, RayEngine):
        assert any("pieces.py" in note for note in getattr(caught.value, "__notes__", [])) == (work is pieces.divide)
    assert dict(engine.run(pieces.square, [7], lambda _: None)) == {7: 49}


def test_gathered_nothing_is_missing_and_nothing_there_twice(engine: Engine, tmp_path: Path) -> None:
    told: list[int] = []
    found = list(gathered(engine, functools.partial(pieces.make, tmp_path), pieces.join, range(70), told.append))
    for some, result in found:
        assert list(result) == sorted(some)
    assert sorted(number for some, _ in found for number in some) == list(range(70))
    merged = pieces.join([result for _, result in found])  # which refuses what comes twice
    assert all(len(merged[number]) == 50_000 and set(merged[number]) == {number} for number in range(70))
    assert len(list(tmp_path.iterdir())) == 70
    # a round of two workers is 6 pieces, 3 of each
    assert isinstance(engine, Gathers) == isinstance(engine, RayEngine) == (len(found) < 70)
    assert len(found) >= 10


def test_a_killed_worker_is_a_sentence_from_processes(tmp_path: Path) -> None:
    with Local(2) as engine:
        with pytest.raises(DartboardError, match="run again, it goes on from here") as caught:
            list(engine.run(functools.partial(pieces.die_once, tmp_path), NUMBERS, lambda _: None))
        assert "\n" not in str(caught.value)
        assert dict(engine.run(pieces.square, [7], lambda _: None)) == {7: 49}


def test_a_killed_worker_changes_nothing_with_ray(
    ray_engine: RayEngine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[int] = []
    results = ray_engine.run(functools.partial(pieces.die_once, tmp_path), NUMBERS, told.append)
    assert sorted(results) == [(n, n) for n in NUMBERS]
    assert (tmp_path / "died").exists()
    assert sum(told) == 10 * len(NUMBERS)
    assert 6 in told  # the killed worker's, and not told twice
    assert capfd.readouterr() == ("", "")


def test_what_a_killed_worker_held_is_made_again(ray_engine: RayEngine, tmp_path: Path) -> None:
    """It has handed nothing over when it dies: its pieces are done again, and told once."""
    told: list[int] = []
    work = functools.partial(pieces.die_late, tmp_path)
    found = list(ray_engine.gather(work, pieces.join, range(200), told.append))
    assert (tmp_path / "died").exists()
    assert sorted(number for some, _ in found for number in some) == list(range(200))
    assert sorted(pieces.join([result for _, result in found])) == list(range(200))
    assert sum(told) == 200
    assert len(list(tmp_path.glob("made-*"))) > 200


def test_a_piece_that_kills_every_worker_ends_the_run(ray_engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.engines.ray, "ATTEMPTS", 2)
    with pytest.raises(DartboardError, match="2 workers died on the same piece of work") as caught:
        list(ray_engine.run(pieces.die, range(3)))
    assert "\n" not in str(caught.value)
    assert dict(ray_engine.run(pieces.square, [7])) == {7: 49}


def test_whoever_stops_listening_stops_the_workers(ray_engine: RayEngine, tmp_path: Path) -> None:
    run = ray_engine.run(functools.partial(pieces.wait_for, tmp_path), NUMBERS)
    (tmp_path / "go").touch()
    next(run)
    (tmp_path / "go").unlink()
    run.close()
    for path in tmp_path.glob("pid-*"):
        wait_until_gone(int(path.name.removeprefix("pid-")))
    assert not ray_engine._busy()


def test_a_cluster_that_is_full_is_waited_for_and_then_given_up(
    ray_engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list(ray_engine.run(pieces.square, NUMBERS))) == len(NUMBERS)  # its workers stay
    monkeypatch.setattr(pipeline.engines.ray, "STARVED_SECONDS", 0.6)
    with RayEngine("auto") as other, pytest.raises(DartboardError, match="no room for a worker"):
        list(other.run(pieces.square, NUMBERS))


def test_nodes_must_have_the_same_versions(ray_engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {**pipeline.engines.ray.versions(), "torch": "1.0"}
    monkeypatch.setattr(pipeline.engines.ray, "versions", lambda: ours)
    with pytest.raises(UserError, match=r"has torch .*, this computer 1\.0; install the same"):
        list(ray_engine.run(pieces.square, NUMBERS))


def test_a_worker_takes_its_share_of_a_gpu(ray_engine: RayEngine) -> None:
    ray_engine._dismiss(ray_engine._hands)  # they have all the room there is
    with RayEngine("auto", gpus=0.5) as engine:
        assert engine.workers == 1  # the node with the GPU has a single CPU
        assert dict(engine.run(pieces.visible_gpus, [0])) == {0: "0"}
    with pytest.raises(UserError, match="one CPU and 2 of a GPU"):
        RayEngine("auto", gpus=2).__enter__()


def test_a_ray_client_address_is_refused() -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match="start the build on a node of the cluster"):
        RayEngine("ray://127.0.0.1:10001")


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="dartboard"):
        RayEngine()


def test_values_are_packed_and_unpacked() -> None:
    weights = torch.nn.Parameter(torch.randn(4, 6))
    value = {
        "bfloat16": torch.randn(5, 3).bfloat16(),
        "transposed": torch.randn(7, 2).T,
        "number": torch.tensor(3),
        "none": torch.empty((0, 3)),
        "flags": torch.tensor([True, False]),
        "gradient": weights.detach(),
        "array": np.arange(12).reshape(3, 4)[:, ::2],
        "text": "ü",
    }
    for copy in (False, True):
        found = unpack(pack(value), copy=copy)
        assert list(found) == list(value)
        for name, part in value.items():
            if isinstance(part, torch.Tensor):
                assert found[name].dtype == part.dtype
                assert torch.equal(found[name], part)
            else:
                assert np.array_equal(found[name], part)
    assert sum(buffer.nbytes for buffer in pack([value["bfloat16"]] * 3).buffers) == 30


def test_any_engine_builds_the_same_store(
    ray_engine: RayEngine, processes: Local, build_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process, two, and a cluster of two nodes where a worker is killed in the middle of the pass."""

    class Deadly(RayEngine):
        def gather(self, work: Any, merge: Any, items: Any, progress: Any = silent) -> Iterator[tuple[Any, Any]]:
            return super().gather(functools.partial(pieces.killed_once, tmp_path, work), merge, items, progress)

    made, _, rest = build_file.read_text("utf-8").partition('[[dictionary]]\nname = "sae"')
    build_file.write_text(made + rest[rest.index("[pages]") :], "utf-8")  # training is no engine's work
    plan = make_plan(build_file, "test")
    ray_engine._dismiss(ray_engine._hands)  # they have all the room there is
    digests: dict[str, str] = {}
    indexes: list[dict[str, list[Any]]] = []
    with Deadly("auto", 2) as deadly:
        for name, engine in {"one": Local(1), "two": processes, "ray": deadly}.items():
            monkeypatch.setattr(pipeline.build, "_engines", lambda *_, engine=engine: (engine, Local(1)))
            build(plan, tmp_path / name, Workers(2), False, Console(file=io.StringIO()))
            store = FeatureStore(tmp_path / name / "features.sqlite")
            digests[name] = store.digest()
            store.close()
            indexes.append(searched(tmp_path / name / "features.sqlite"))
    assert (tmp_path / "died").exists()
    assert len(set(digests.values())) == 1, digests
    assert indexes[0]["context_feature"]
    assert indexes[0] == indexes[1] == indexes[2]


@pytest.mark.slow
def test_a_build_stopped_on_a_cluster_goes_on_with_any_engine(
    ray_engine: RayEngine, build_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopping(RayEngine):
        def gather(self, work: Any, merge: Any, items: Any, progress: Any = silent) -> Iterator[tuple[Any, Any]]:
            yield next(found := super().gather(work, merge, items, progress))
            found.close()
            raise KeyboardInterrupt

    made, _, rest = build_file.read_text("utf-8").partition('[[dictionary]]\nname = "sae"')
    build_file.write_text(made + rest[rest.index("[pages]") :], "utf-8")
    plan, console = make_plan(build_file, "test"), Console(file=io.StringIO())

    def built(name: str, engine: Engine) -> str:
        monkeypatch.setattr(pipeline.build, "_engines", lambda *_: (engine, Local(1)))
        build(plan, tmp_path / name, Workers(1), False, console)
        store = FeatureStore(tmp_path / name / "features.sqlite")
        try:
            return store.digest()
        finally:
            store.close()

    ray_engine._dismiss(ray_engine._hands)  # they have all the room there is
    with Stopping("auto", 2) as stopping, pytest.raises(KeyboardInterrupt):
        built("stopped", stopping)
    (part,) = (tmp_path / "stopped" / "build").glob("tiny-*/pass-*/*.done")
    assert Parts(part.parent, Layout(200)).left()
    assert built("stopped", Local(1)) == built("whole", Local(1))


@pytest.mark.slow
def test_activations_kept_by_any_engine_stand_in_for_the_model_with_any(
    ray_engine: RayEngine, build_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read from shards on the nodes of a cluster, they give the store that one process makes with the model."""
    made, _, rest = build_file.read_text("utf-8").partition('[[dictionary]]\nname = "sae"')
    text = made + rest[rest.index("[pages]") :]
    engines = {"one": Local(1), "ray": ray_engine}
    digests, shards = dict[str, str](), dict[str, dict[str, bytes]]()

    def built(name: str, engine: Engine, option: str) -> None:
        build_file.write_text(text.replace("layer = 1", f"layer = 1\n{option}"), "utf-8")
        monkeypatch.setattr(pipeline.build, "_engines", lambda *_: (engine, Local(1)))
        build(make_plan(build_file, "test"), tmp_path / name, Workers(2), False, Console(file=io.StringIO()))
        store = FeatureStore(tmp_path / name / "features.sqlite")
        digests[name] = store.digest()
        store.close()

    for name, engine in engines.items():
        built(name, engine, "keep_activations = true")
        (kept,) = (tmp_path / name / "activations").iterdir()
        shards[name] = {path.name: path.read_bytes() for path in kept.glob("shard-*.safetensors")}
    assert shards["one"] == shards["ray"]
    assert len(shards["ray"]) == 4
    monkeypatch.setattr(FromModel, "read", None)  # the model is not asked
    for name, engine in engines.items():
        (kept,) = (tmp_path / name / "activations").iterdir()
        built(f"{name} from disk", engine, f'activations = "{kept}"')
    assert len(digests) == 4
    assert len(set(digests.values())) == 1, digests


def test_a_build_asks_for_the_engine_that_it_was_told(cluster: Any, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        engine, tables = pipeline.build._engines(Workers(3, "ray", cluster.address), stack, tmp_path)
        assert isinstance(engine, RayEngine)
        assert engine.workers == 3
        assert isinstance(tables, Local)


def wait_until_gone(process: int) -> None:
    deadline = time.monotonic() + 120
    while Path(f"/proc/{process}").exists() and "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text():
        assert time.monotonic() < deadline, f"process {process} is still there"
        time.sleep(0.05)
