"""Whole builds with a tiny model: resumed after kill -9, with any number of workers, published whole or not at all."""

import io
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

import pipeline.build
from app.errors import Conflict, UserError
from app.store.features import Feature, FeatureStore
from pipeline.build import Workers
from pipeline.config import load_build
from pipeline.export import Export
from pipeline.make import check_size
from pipeline.plan import make_plan
from pipeline.training import train
from tests.pipeline.conftest import write_build_file
from tests.pipeline.format_rules import CASES
from tests.serving import ROOT, command_line


def start(build_file: Path, data: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*command_line(), "build", str(build_file), "--data", str(data), *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def build(build_file: Path, data: Path, *options: str, limit: int | None = None) -> tuple[int, str]:
    process = start(build_file, data, *options)
    if limit is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    _, errors = process.communicate(timeout=240)
    return process.returncode, errors


def build_here(build_file: Path, data: Path, keep_work: bool = False, console: Console | None = None) -> None:
    """The same in this process, where PyTorch is loaded already."""
    pipeline.build.build(
        make_plan(build_file, "test"), data, Workers(1), keep_work, console or Console(file=io.StringIO())
    )


def digest(data: Path) -> str:
    store = FeatureStore(data / "features.sqlite")
    try:
        return store.digest()
    finally:
        store.close()


def seconds(data: Path) -> dict[str, float]:
    """By stage, as the store tells."""
    store = FeatureStore(data / "features.sqlite")
    try:
        found: dict[str, float] = store.provenance()["seconds"]
        return found
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
    "activations": "build/tiny-*/activations/shard-000001.safetensors",
    "training": "build/tiny-*/sae-*/checkpoint.pt",
    "hits": "build/tiny-*/pass-*/0000001.done",
    "tables": "build/tiny-*/tables-*/signs.signs.neighbours.pickle",
    "publishing": ".features.sqlite.part",
}
QUICK = ("hits", "publishing")  # the others with the slow tests


@pytest.mark.parametrize(
    "moment", [moment if moment in QUICK else pytest.param(moment, marks=pytest.mark.slow) for moment in MOMENTS]
)
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
    assert {path.name for path in tmp_path.iterdir()} == {"features.sqlite", "weights"}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_with_two_workers_it_leaves_nothing_but_its_folder(
    how: signal.Signals, uninterrupted: Path, module_build_file: Path, tmp_path: Path
) -> None:
    """Ctrl-C, as a terminal sends it to all processes, brings no traceback; a resumed build clears up after a killed one."""
    process = start(module_build_file, tmp_path, "--workers", "2", "--keep-work")
    while not list(tmp_path.glob(MOMENTS["hits"])):
        assert process.poll() is None, "the build ended before hits"
        time.sleep(0.0005)
    (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
    _, errors = process.communicate()
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in errors
    left = list((tmp_path / "build").glob("dartboard-*"))
    assert bool(left) == (how == signal.SIGKILL)
    assert {path.name for path in tmp_path.iterdir()} == {"build"}
    code, errors = build(module_build_file, tmp_path, "--workers", "2", "--keep-work")
    assert code == 0, errors
    assert digest(tmp_path) == digest(uninterrupted)
    assert not list((tmp_path / "build").glob("dartboard-*"))


@pytest.mark.slow
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


def write(path: Path, source: Path, *changes: tuple[str, str]) -> Path:
    """The build file `source` with its text changed, each time in the first place found."""
    text = source.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, "utf-8")
    return path


NO_TRAINING = ('[[dictionary]]\nname = "sae"\nkind = "topk-sae"\ntokens = 40_000\nbatch = 64\nthreads = 1\n', "")


def pages(data: Path, name: str) -> list[tuple[Feature, object]]:
    """Every feature of a dictionary and the hits it shows, by text: what must not depend on what else is built."""
    store = FeatureStore(data / "features.sqlite")
    try:
        (own,) = (d for d in store.dictionaries() if d.name == name)
        rows = []
        for feature in store.features(own.id):
            hits = store.hits(own.id, feature.index)
            contexts = store.contexts(hit.context for hit in hits)
            shown = [(contexts[hit.context].tokens, hit.peak, hit.positions, hit.values) for hit in hits]
            rows.append((replace(feature, dictionary_id=0), shown))
        return rows
    finally:
        store.close()


def test_no_activation_is_written_unless_asked(module_build_file: Path, tmp_path: Path) -> None:
    plain = write(tmp_path / "PLAIN.toml", module_build_file, NO_TRAINING)
    build_here(plain, tmp_path / "plain", keep_work=True)
    written = [path for path in (tmp_path / "plain").rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if path.name.startswith("shard-")]


def test_a_build_that_goes_on_tells_the_seconds_of_all_its_runs(module_build_file: Path, tmp_path: Path) -> None:
    plain = write(tmp_path / "PLAIN.toml", module_build_file, NO_TRAINING)
    build_here(plain, tmp_path, keep_work=True)
    first = seconds(tmp_path)
    (tmp_path / "features.sqlite").unlink()
    console = io.StringIO()
    build_here(plain, tmp_path, console=Console(file=console, width=200))
    assert ": hits:" not in console.getvalue()  # the pass was done
    assert seconds(tmp_path)["tiny-1: hits"] == first["tiny-1: hits"]
    assert seconds(tmp_path).keys() >= first.keys()


def test_what_an_interrupted_build_has_left_is_damaged(module_build_file: Path, tmp_path: Path) -> None:
    """As a disk does it that loses what it had: one sentence, and without that folder all is well."""
    plain = write(tmp_path / "PLAIN.toml", module_build_file, NO_TRAINING)
    build_here(plain, tmp_path / "data", keep_work=True)
    whole = digest(tmp_path / "data")
    (tmp_path / "data" / "features.sqlite").unlink()
    for pattern in ("plan.json", "*/statistics-*.json", "*/pass-*/0000001.done", "*/pass-*/0000001.signs.hits"):
        (path,) = (tmp_path / "data" / "build").glob(pattern)
        before = path.read_bytes()
        path.write_bytes(before[:50])
        with pytest.raises(UserError, match=r"A file in .*build is damaged \(.+\); delete the folder, and run again"):
            build_here(plain, tmp_path / "data")
        path.write_bytes(before)
    build_here(plain, tmp_path / "data")
    assert digest(tmp_path / "data") == whole


def test_kept_activations_stand_in_for_the_model(module_build_file: Path, tmp_path: Path) -> None:
    keeping = write(
        tmp_path / "K.toml", module_build_file, NO_TRAINING, ("layer = 1", "layer = 1\nkeep_activations = true")
    )
    build_here(keeping, tmp_path / "first")
    (kept,) = (tmp_path / "first" / "activations").iterdir()
    using = write(
        tmp_path / "U.toml", module_build_file, NO_TRAINING, ("layer = 1", f'layer = 1\nactivations = "{kept}"')
    )
    build_here(using, tmp_path / "second")
    for name in ("signs", "points"):
        assert pages(tmp_path / "first", name) == pages(tmp_path / "second", name)
    other = write(tmp_path / "O.toml", using, ("layer = 1", "layer = 2"))
    with pytest.raises(UserError, match="keeps layers 1, but the build asks for layer 2"):
        build_here(other, tmp_path / "third")
    lines = write(tmp_path / "L.toml", using, ('documents = "wikitext"', 'documents = "line"'))
    with pytest.raises(UserError, match="another corpus \\(or another reading of it\\)"):
        build_here(lines, tmp_path / "fourth")


def test_sites_read_in_one_pass_are_as_if_read_alone(module_build_file: Path, tmp_path: Path) -> None:
    alone = write(tmp_path / "A.toml", module_build_file, NO_TRAINING)
    both = write(
        tmp_path / "B.toml",
        alone,
        (
            "[defaults]",
            """[[site]]
name = "tiny-3"
model = "tiny"
corpus = "wiki"
layer = 3
contexts = 200
context_length = 32
[defaults]""",
        ),
        ('kind = "random-sign"', 'kind = "random-sign"\nsite = "tiny-1"'),
        ('kind = "data-points"', 'kind = "data-points"\nsite = "tiny-3"'),
    )
    build_here(alone, tmp_path / "alone")
    console = io.StringIO()
    build_here(both, tmp_path / "both", console=Console(file=console, width=200))
    assert pages(tmp_path / "alone", "signs") == pages(tmp_path / "both", "signs")
    assert pages(tmp_path / "alone", "points") != pages(tmp_path / "both", "points")
    assert console.getvalue().count(": hits:") == 1  # one pass for both layers


def test_every_kind_rule_encoding_and_decoder_builds(module_build_file: Path, tmp_path: Path) -> None:
    entries = [("neurons", "neurons", "", "tied"), ("pca", "pca", "", "least-squares"), ("ica", "ica", "", "none")]
    entries += [(kind, kind, "", "tied") for kind in ("gaussian", "covariance-gaussian", "k-means", "embedding")]
    entries += [("unembedding", "unembedding", 'encoding = "raw"', "least-squares")]
    entries += [("absolute", "random-sign", 'rule = "absolute-topk"', "least-squares")]
    entries += [("batch", "random-sign", 'rule = "batch-topk"', "least-squares")]
    entries += [("relu", "random-sign", 'rule = "relu"\nm = 40', "least-squares")]
    entries += [("white", "random-sign", 'encoding = "whitened"', "tied")]
    added = "".join(
        f'[[dictionary]]\nname = "{name}"\nkind = "{kind}"\n{options}\ndecoder = "{decoder}"\n'
        for name, kind, options, decoder in entries
    )
    seeds = ("[pages]", '[[dictionary]]\nname = "family"\nkind = "random-sign"\nseeds = [1, 2]\n' + added + "[pages]")
    second = ("layer = 1", 'layer = 1\nsecond_corpus = "wiki"\nsecond_contexts = 100')
    everything = write(tmp_path / "E.toml", module_build_file, NO_TRAINING, seeds, second)
    build_here(everything, tmp_path)
    store = FeatureStore(tmp_path / "features.sqlite")
    found = {dictionary.name: dictionary for dictionary in store.dictionaries()}
    assert set(found) == {"signs", "points", "family-1", "family-2", *(name for name, *_ in entries)}
    assert {found["family-1"].family, found["family-2"].family} == {"family"}
    assert found["family-1"].weights_hash != found["family-2"].weights_hash
    for name, m, natural in (("pca", 32, True), ("neurons", 32, True), ("gaussian", 64, False), ("relu", 40, False)):
        assert (found[name].m, found[name].natural_size) == (m, natural)
    assert found["ica"].fve is None
    for name in set(found) - {"ica"}:
        assert found[name].fve is not None and found[name].fve > 0, name
        assert found[name].floor_isotropic is not None or found[name].rule == "relu"
    assert found["relu"].l0 > 10 > found["batch"].l0 > 2
    signed = store.features(found["absolute"].id)
    assert any(store.hits(found["absolute"].id, feature.index, "bottom") for feature in signed)
    assert min(feature.min for feature in signed if feature.min is not None) < 0
    store.close()


def test_a_text_that_changed_before_a_resume_is_told_and_read_anew(
    module_build_file: Path, text_file: Path, tmp_path: Path
) -> None:
    text = tmp_path / "wiki.txt"
    text.write_text(text_file.read_text("utf-8"), "utf-8")
    changing = write(tmp_path / "C.toml", module_build_file, NO_TRAINING, (str(text_file), str(text)))
    build_here(changing, tmp_path / "data", keep_work=True)
    (tmp_path / "data" / "features.sqlite").unlink()
    lines = text.read_text("utf-8").splitlines(keepends=True)
    text.write_text("".join(lines[:-500]), "utf-8")
    console = io.StringIO()
    build_here(changing, tmp_path / "data", console=Console(file=console, width=300))
    assert "The files of corpus 'wiki' have changed since the build that was interrupted" in console.getvalue()


def test_positions_that_are_skipped_and_another_mask_before_a_resume(
    module_build_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No feature fires on the first positions, whatever an interrupted build has left of another mask."""
    whole = write(tmp_path / "W.toml", module_build_file, NO_TRAINING, ("contexts = 200", "contexts = 100"))
    skipping = write(tmp_path / "S.toml", whole, ("layer = 1", "layer = 1\nskip_positions = 3\nsink_norm = 1.5"))
    monkeypatch.chdir(tmp_path)
    build_here(whole, Path("resumed"), keep_work=True)
    assert pages(Path("resumed"), "signs")
    build_here(skipping, Path("resumed"))
    build_here(skipping, Path("fresh"))
    assert digest(Path("resumed")) == digest(Path("fresh"))
    store = FeatureStore(Path("fresh") / "features.sqlite")
    (site,) = store.sites()
    assert site.masked["start"] == 3 * 100
    signs = store.dictionaries()[0]
    hits = [hit for feature in store.features(signs.id) for hit in store.hits(signs.id, feature.index)]
    assert hits
    assert min(hit.peak for hit in hits) >= 3
    shown = store.contexts({hit.context for hit in hits}).values()
    assert {0, 1, 2} <= set.intersection(*(set(one.masked) for one in shown))
    store.close()


def test_too_little_memory_is_one_sentence(module_build_file: Path, tmp_path: Path) -> None:
    large = write(tmp_path / "L.toml", module_build_file, NO_TRAINING, ("expansion = 2", "m = 2_000_000_000_000"))
    large.write_text(
        large.read_text("utf-8")
        .replace("m = 2_000_000_000_000\nk", "k")
        .replace('kind = "random-sign"', 'kind = "gaussian"\nm = 2_000_000_000_000'),
        "utf-8",
    )
    with pytest.raises(UserError, match="ran out of memory; lower m"):
        build_here(large, tmp_path / "data")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layer = 1", "layer = 9", "layer = 9 is out of range"),
        ("k = 4", "k = 400", "k = 400 is more than its m = 64 features"),
        ("contexts = 200", "contexts = 2_000_000", "lower `contexts`"),
        ("expansion = 2", "expansion = 900", "directions from data points need as many tokens"),
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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("k = 4", "k = 400", "dictionary 'signs': k = 400 is more than its m = 64 features; lower k or raise m."),
        (
            "tokens = 40_000",
            "m = 20\nk = 21\ntokens = 40_000",
            "dictionary 'sae': k = 21 is more than its m = 20 features",
        ),
        ('kind = "random-sign"', 'kind = "neurons"\nm = 33', "at most as many directions as the model is wide, 32"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_the_text_is_read(
    old: str, new: str, message: str, module_build_file: Path, tmp_path: Path
) -> None:
    wrong = write(tmp_path / "W.toml", module_build_file, (old, new))
    with pytest.raises(UserError, match=re.escape(message)):
        build_here(wrong, tmp_path / "data")
    if "'sae'" in message:
        plan, to = make_plan(wrong, "test"), Export(tmp_path / "out")
        with pytest.raises(UserError, match=re.escape(message)):
            train(plan, tmp_path / "data", Workers(1), False, to, Console(file=io.StringIO()))
    assert not list((tmp_path / "data").rglob("contexts.json"))


def test_k_is_no_matter_where_features_fire_by_a_threshold(module_build_file: Path, tmp_path: Path) -> None:
    """They inherit it all the same."""
    changes = ("k = 4", "k = 400"), ('kind = "random-sign"', 'kind = "random-sign"\nrule = "relu"')
    file = write(tmp_path / "T.toml", module_build_file, *changes, ('kind = "topk-sae"', 'kind = "relu-sae"'))
    signs, points, sae = load_build(file).dictionaries
    check_size(signs, 32)
    check_size(sae, 32)
    with pytest.raises(UserError, match="'points': k = 400 is more than its m = 64"):
        check_size(points, 32)


def test_a_dictionary_for_another_site_is_refused_before_the_text_is_read(
    module_build_file: Path, tmp_path: Path
) -> None:
    source = CASES["saelens topk"].write(tmp_path / "blocks.1.hook_resid_post")
    added = f'[[dictionary]]\nname = "file"\nkind = "file"\nsource = "{source}"\n[pages]'
    wrong = write(tmp_path / "W.toml", module_build_file, ("[pages]", added))
    with pytest.raises(UserError, match=r"reads activations of width \d+, but this site's have 32"):
        build_here(wrong, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("contexts.json"))


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
