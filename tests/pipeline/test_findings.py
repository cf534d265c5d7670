"""The figures of a first answer: means and intervals of known truths, and a page that never says what its numbers don't."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.errors import UserError
from pipeline.config import load_build
from pipeline.lab.findings import arms, kept, less, undiluted
from pipeline.lab.findings_page import MEASURES, OTHERS, THIRDS, page
from pipeline.lab.findings_run import PARTS, smaller
from pipeline.lab.findings_write import BEGIN, save, summarise
from pipeline.scores.read import Scored, ScoredDictionary
from tests.serving import ROOT

NAMES = [name for name, _, _ in MEASURES] + [name for name, _ in OTHERS] + list(THIRDS)


def scored(
    family: str, mean: float, seed: int = 0, features: int = 60, spread: float = 0.1, m: int = 64
) -> ScoredDictionary:
    random = np.random.default_rng([seed, len(family), m])
    return ScoredDictionary(
        name=f"{family}-{seed}",
        title=f"{family}, seed {seed}",
        family=family,
        kind=family,
        trained="sae" in family,
        site="site",
        width=8,
        m=m,
        k=4,
        seed=seed,
        fve=0.5,
        states={"live": m - 4, "rare": 4},
        index=np.arange(features),
        frequency=random.uniform(0.01, 0.1, features),
        single_token=np.arange(features) % 4 == 0,
        value={name: random.normal(mean, spread, features) for name in NAMES},
        null={name: random.normal(0.5, spread, features) for name in NAMES},
    )


def whole(trained: float = 0.8) -> dict[str, Scored]:
    some = [scored("random-sign", 0.7, seed) for seed in range(6)] + [scored("data-points", 0.9)]
    some += [scored("topk-sae", trained, seed) for seed in range(2)] + [scored("random-sign-1n", 0.6, m=8)]
    record = {"seconds": {"all": 7.0}}
    provenance = {"contexts": {"embedder": {"name": "MiniLM"}, "versions": {"numpy": "2"}}}
    return {part: Scored(tuple(some), (), {"site": (1000, 500)}, record, provenance) for part in PARTS}


def test_means_and_intervals_are_those_of_the_features() -> None:
    (one,) = arms([scored("topk-sae", 0.8, features=400)], seed=0)
    found = one.of("token_auroc")
    values = one.dictionaries[0].value["token_auroc"]
    assert (found.value, found.features) == (pytest.approx(values.mean()), 400)
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)
    assert arms([scored("topk-sae", 0.8, features=400)], seed=0)[0].of("token_auroc") == found


def test_from_five_dictionaries_on_an_interval_speaks_for_others() -> None:
    """Dictionaries that differ by .1, features by nothing: four make a certain figure, eight an honest one."""
    means = np.random.default_rng(0).normal(0.7, 0.1, 8)
    some = [scored("random-sign", mean, seed, spread=1e-6) for seed, mean in enumerate(means)]
    few, many = arms(some[:4], 0)[0].of("token_auroc"), arms(some, 0)[0].of("token_auroc")
    assert few.high - few.low < 1e-4
    half = 1.96 * means.std() / 8**0.5
    assert many.high - many.low == pytest.approx(2 * half, rel=0.15)


def test_shares_and_differences_of_what_was_put_in() -> None:
    random, trained = arms([*(scored("random-sign", 0.7, s) for s in range(6)), scored("topk-sae", 0.9)], 0)
    share, gap = kept(random, [trained], "token_auroc"), less(random, trained, "token_auroc")
    assert share.low < 0.5 < share.high and gap.low < -0.2 < gap.high
    nothing = arms([scored("topk-sae", 0.5)], 0)[0]
    assert not kept(random, [nothing], "token_auroc").known
    few = arms([scored("topk-sae", 0.9, features=9)], 0)[0]
    assert not few.of("token_auroc").known and not kept(few, [trained], "token_auroc").known


def test_what_is_diluted_is_undone() -> None:
    random = np.random.default_rng(0)
    hits, others = random.normal(1, 1, 4000), random.normal(0, 1, 4000)
    places = np.where(random.random(4000) < 0.3, random.permutation(hits), others)
    pure, mixed = (float((hits[:, None] > some).mean()) for some in (others, places))
    assert abs(mixed - pure) > 0.05
    assert undiluted(np.array(mixed), 0.3) == pytest.approx(pure, abs=0.01)


@pytest.mark.parametrize(
    ("trained", "says"), [(0.71, "keep more than 80%"), (0.95, "keep less than 80%"), (0.75, "may or may not")]
)
def test_the_page_says_what_the_figures_say(trained: float, says: str) -> None:
    text = "\n".join(page(summarise(whole(trained), 0, "dartboard lab findings", "60")))
    first = next(line for line in text.splitlines() if line.startswith("- **Peak-token AUROC**"))
    assert "above their own random contexts" in first and says in first
    assert "nan" not in text.lower() and "inf" not in text
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({row.count("|") for row in table.splitlines()}) == 1


@pytest.mark.slow
def test_a_measure_that_no_feature_has_is_a_dash_and_the_text_around_stays(tmp_path: Path) -> None:
    stores = whole()
    empty = {**stores["trained"].dictionaries[0].value, "embedder_auroc": np.full(60, np.nan)}
    some = tuple(replace(one, value=empty) for one in stores["trained"].dictionaries)
    stores["trained"] = replace(stores["trained"], dictionaries=some)
    found = summarise(stores, 0, "dartboard lab findings --quick", "60")
    text = "\n".join(page(found))
    assert "too few features to say" in text and "A rehearsal" in text and "nan" not in text.lower()
    (tmp_path / "findings.md").write_text("nothing to be filled in", "utf-8")
    with pytest.raises(UserError, match="has not the lines"):
        save(found, tmp_path)
    around = (ROOT / "docs" / "findings.md").read_text("utf-8")
    (tmp_path / "findings.md").write_text(around, "utf-8")
    made = save(found, tmp_path)
    assert [path.name for path in made] == ["findings.md", "arms.svg", "sweep.svg"]
    after = (tmp_path / "findings.md").read_text("utf-8")
    assert after.partition(BEGIN)[0] == around.partition(BEGIN)[0] and after.endswith(around[-400:])
    save(found, tmp_path)
    assert (tmp_path / "findings.md").read_text("utf-8") == after


@pytest.mark.parametrize("part", PARTS)
def test_the_files_hold_every_arm_at_five_hundred_features_and_more(part: str) -> None:
    config = load_build(ROOT / "demo" / "findings" / f"{part}.toml")
    families = {one.family for one in config.dictionaries}
    wanted = {
        "random-sign",
        "gaussian",
        "covariance-gaussian",
        "data-points",
        "pca",
        "neurons",
        "topk-sae",
        "soft-frozen",
    }
    assert wanted <= families
    assert sum(one.family == "random-sign" for one in config.dictionaries) == 20
    assert sum(one.family == "topk-sae" for one in config.dictionaries) == 2
    assert all(one.kind == "file" or one.size(576) >= 576 for one in config.dictionaries)
    assert config.models[0].weights == {"trained": "trained", "rerandomised": "re-randomised"}[part]
    if part == "trained":
        sizes = {
            kind: {one.size(576) for one in config.dictionaries if one.kind == kind}
            for kind in ("random-sign", "data-points")
        }
        assert sizes["random-sign"] == sizes["data-points"] == {576 * 2**step for step in range(6)}
    assert {one.family for one in smaller(config).dictionaries} >= wanted
