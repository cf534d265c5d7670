"""Scoring a whole store: stopped and gone on with to the same bytes, bound to its store, and beside the store's own figures."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from app.errors import UserError
from app.store.features import FeatureStore
from app.store.scores import Scores
from pipeline.progress import Advance, Stages
from pipeline.scores.read import read_scored
from pipeline.scores.run import Options, score_store
from pipeline.scores.store import Source
from tests.conftest import copy_store
from tests.serving import dartboard

OPTIONS = Options(features=600, embedder=False)  # 576 of each dictionary: two blocks


class Stopped(Stages):
    """Stopped by hand as soon as the first block is done."""

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "", done: int = 0) -> Iterator[Advance]:
        with super().stage(name, total, unit, done) as advance:

            def stop(units: int = 1, note: str = "") -> None:
                advance(units, note)
                raise KeyboardInterrupt

            yield stop


def score(data: Path, stages: type[Stages] = Stages, options: Options = OPTIONS) -> bool:
    with stages(Console(quiet=True)) as shown:
        return score_store(Source(data / "features.sqlite"), options, shown, "dartboard scores")


@pytest.fixture(scope="module")
def scored(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = copy_store(small_store, tmp_path_factory.mktemp("scored") / "data")
    assert score(data)
    return data


def test_stopped_and_gone_on_with_it_gives_the_same_bytes(scored: Path, data_folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        score(data_folder, Stopped)
    assert not (data_folder / "scores.sqlite").exists()
    assert len(list((data_folder / "scores-work").glob("*/*.npz"))) == 1
    assert score(data_folder)
    made = (data_folder / "scores.sqlite").read_bytes()
    assert made == (scored / "scores.sqlite").read_bytes()
    assert not (data_folder / "scores-work").exists()
    assert not score(data_folder)


def test_scores_of_other_features_are_refused_and_replaced(scored: Path, data_folder: Path) -> None:
    (data_folder / "scores.sqlite").write_bytes((scored / "scores.sqlite").read_bytes())
    connection = sqlite3.connect(data_folder / "features.sqlite")
    connection.execute("UPDATE provenance SET value = '\"another\"' WHERE key = 'build_key'")
    connection.commit()
    connection.close()
    store = FeatureStore(data_folder / "features.sqlite")
    with pytest.raises(UserError, match="another feature store"):
        Scores.beside(store)
    assert score(data_folder)
    assert Scores.beside(store) is not None
    (data_folder / "scores.sqlite").write_text("something else")
    with pytest.raises(UserError, match="not a file of dartboard's scores"):
        Scores.beside(store)


def test_scores_agree_with_the_store_and_nulls_with_chance(scored: Path) -> None:
    found = read_scored(scored / "features.sqlite")
    store = FeatureStore(scored / "features.sqlite")
    for one in found.dictionaries:
        features = store.some(store.dictionary(one.name).id, one.index.tolist())
        own = np.array([features[index].peak_entropy for index in one.index.tolist()])
        assert np.mean(np.abs(one.value["peak_entropy"] - own) < 1e-9) > 0.98  # all but those with joined tokens
        single = np.array([features[index].single_token for index in one.index.tolist()])
        assert (one.single_token == single).all() and (one.value["top_token_share"][single] == 1).all()
        slope = np.array([features[index].decile_slope for index in one.index.tolist()], float)
        assert np.array_equal(one.value["decile_slope"], slope, equal_nan=True)
        for name, chance in (("token_auroc", 0.5), ("window_auroc", 0.5), ("abstractness", 0), ("decile_slope", 0)):
            null = one.null[name][np.isfinite(one.null[name])]
            assert abs(null.mean() - chance) < 4 * null.std() / len(null) ** 0.5 + 1e-3
        assert one.null["peak_entropy"].mean() > 2.8  # of twenty random tokens; ln 20 = 3.0
        assert one.value["token_auroc"].mean() > one.null["token_auroc"].mean() + 0.05


def test_scores_of_a_feature_and_of_none(scored: Path) -> None:
    scores = Scores.beside(FeatureStore(scored / "features.sqlite"))
    assert scores is not None
    order = [measure.name for measure in scores.measures()]
    every = scores.some(0)
    index = next(iter(every))
    assert scores.of(0, index) == every[index]
    assert [score.measure for score in every[index]] == [
        name for name in order if name in {s.measure for s in every[index]}
    ]
    assert scores.of(0, 10**6) == () and scores.explanation(0, index) is None
    mean = next(mean for mean in scores.means() if (mean.dictionary_id, mean.measure) == (0, order[0]))
    assert mean.features == len(every)
    assert mean.mean == pytest.approx(np.mean([some[0].value for some in every.values()]))


@pytest.mark.slow
def test_the_command_scores_with_the_embedder(data_folder: Path) -> None:
    dartboard("scores", "--data", data_folder, "--features", "10")
    scores = Scores.beside(FeatureStore(data_folder / "features.sqlite"))
    assert scores is not None
    means = {mean.measure: mean for mean in scores.means() if mean.dictionary_id == 1}
    assert means["embedder_auroc"].mean > 0.6
    assert means["embedder_auroc"].null == pytest.approx(0.5, abs=0.1)
    assert scores.provenance()["contexts"]["embedder"]["name"] == "all-MiniLM-L6-v2"
