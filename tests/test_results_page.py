"""The results page: nothing of an effect before the reveal, whoever asks for whatever; after it what the export gives."""

import csv
import io
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import pytest
from httpx import Response
from scipy.stats import spearmanr
from starlette.testclient import TestClient

from app.errors import Conflict
from app.exported import read_export
from app.results.compute import compute, read
from app.results.words import cells
from app.store.study import StudyStore
from app.study.analysis.run import analyse
from app.study.answers import PageAnswer, PairAnswer
from app.study.frozen import FrozenStudy
from app.study.protocol import Protocol
from app.tables import write_folder
from tests.serving import ROOT
from tests.studies import answer, frozen_study, with_key_swapped
from tests.test_cli import ok, refused
from tests.test_results_report import page as page_of
from tests.web import Web, message, serve_frozen

PARTS = ("charts/arms.json", "charts/criteria.json?light=true", "data/arms.csv", "data/pages.csv", "tables/pages")
FILES = ("report.html", "report.zip")
MOVES = (StudyStore.pause, StudyStore.resume, StudyStore.close, StudyStore.open_guessing)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with serve_frozen(rated_quickly(), tmp_path / "data") as web:
        yield web
        web.app.state.computing.close()


def rated_quickly() -> FrozenStudy:
    """A study that leaves nobody out for being fast: the clock of the tests stands still."""
    return frozen_study(pages=6, pairs=4, guess=1, exclusions={"median_seconds": 0.0})


def rate(store: StudyStore, score: int | None = None) -> None:
    """Two raters answer all; with `score`, that everywhere."""
    for label in ("one", "two"):
        rater = store.add_rater("small", label, "ada")
        store.consent(rater)
        store.start(rater)
        number = 0
        while (screen := store.screen(rater)) is not None:
            if score is None:
                answer(store, rater, number)
            else:
                given = PageAnswer(score) if screen.task == "page" else PairAnswer(score, score, "tie")
                store.submit(rater, screen.public_id, 1, given, 1500, False)
            number += 1


def test_before_the_reveal_every_part_is_refused_and_nothing_is_computed(web: Web) -> None:
    """In every state that there is before it."""
    rate(web.study)
    staff = web.staff()
    for move in (None, *MOVES):
        if move:
            move(web.study, "small", "ada")
        page = staff.get("/results/small")
        assert page.status_code == 200
        assert "20 of 20 ratings" in page.text
        assert "canary" not in page.text
        for part in (*PARTS, *FILES):
            refused = staff.get(f"/results/small/{part}")
            assert refused.status_code == 409, part
            assert "after the reveal" in message(refused)
        assert not web.app.state.computing._outcomes
        url = web.app.state.settings.study_database_url
        with pytest.raises(Conflict, match="until then nobody sees an effect"):
            compute(lambda doing, share: None, url, "small", web.data / "features.sqlite")
    assert "Rating has closed" in page.text


def test_before_the_reveal_the_page_is_blind_to_what_was_said_and_of_what(tmp_path: Path) -> None:
    """Other scores, and the key swapped: not a byte changes."""
    frozen = frozen_study(pages=2, pairs=2)
    pages = [
        progress(study, tmp_path / str(number), score)
        for number, (study, score) in enumerate([(frozen, 1), (with_key_swapped(frozen), 5)])
    ]
    assert pages[0] == pages[1]


def progress(study: FrozenStudy, folder: Path, score: int) -> str:
    with serve_frozen(study, folder) as web:
        rate(web.study, score)
        web.study.close("small", "ada")
        return web.staff().get("/results/small").text


def test_results_are_for_staff(web: Web) -> None:
    nobody, rater = web.visitor(), web.rater()
    for address in ("", *(f"/{part}" for part in (*PARTS, *FILES))):
        assert nobody.get(f"/results/small{address}").status_code == 401
        assert rater.get(f"/results/small{address}").status_code == 403
    analyst, admin = web.staff("analyst"), web.staff()
    assert 'href="/results"' in analyst.get("/results/small").text
    assert 'href="/admin/studies/small"' in admin.get("/results/small").text
    assert 'href="/results/small"' in analyst.get("/results").text
    assert (nobody.get("/results").status_code, rater.get("/results").status_code) == (401, 403)
    assert admin.get("/results/smal").status_code == 404


def test_after_the_reveal_the_page_says_what_the_export_gives(web: Web) -> None:
    rate(web.study)
    web.study.close("small", "ada")
    web.study.reveal("small", "ada")
    staff = web.staff("analyst")
    first = staff.get("/results/small")
    assert "<progress" in first.text
    assert staff.get("/results/small/data/arms.csv").status_code == 404
    page = settled(staff)
    protocol = Protocol.from_canonical(rated_quickly().protocol)
    analysis = analyse(read(web.study, "small", protocol, None))
    write_folder(web.study, "small", web.data / "out", "csv")
    assert analyse(read_export(web.data / "out")) == analysis, "the export gives every figure again"
    assert analysis.verdict.sentence in re.sub("&#34;", '"', page.text)
    assert analysis.protocol_hash in page.text
    assert [arm.name for arm in analysis.arms] == ["trained", "random"]
    arms = list(csv.DictReader(io.StringIO(staff.get("/results/small/data/arms.csv").text)))
    assert [(row["arm"], float(row["interpretable"]), float(row["interpretable_low"])) for row in arms] == [
        (arm.name, arm.interpretable.value, arm.interpretable.low) for arm in analysis.arms
    ]
    for address in re.findall(r'data-chart="([^"]+)"', page.text):
        assert "token:ink" in staff.get(address).text
        assert "token:ink" not in staff.get(f"{address}?light=true").text
    for address in re.findall(r'href="(/results/small/data/[^"]+)"', page.text):
        assert staff.get(address).headers["content-type"] == "text/csv; charset=utf-8"
    assert "/dictionaries/canary-trained/features/" in staff.get("/results/small/tables/pages").text
    assert "There is no table “x”" in message(staff.get("/results/small/data/x.csv"))
    folder = staff.get("/results/small/report.zip")
    with zipfile.ZipFile(io.BytesIO(folder.content)) as archive:
        assert {"small-report/report.html", "small-report/report.md", "small-report/data/arms.csv"} <= set(
            archive.namelist()
        )
        inside = archive.read("small-report/report.html")
    assert staff.get("/results/small/report.html").content == inside
    assert staff.get("/results/small", headers={"HX-Request": "true"}).headers["hx-refresh"] == "true"
    web.study.withdraw(web.study.raters("small")[0].rater, "ada")
    assert "<progress" in staff.get("/results/small").text, "what was erased is out of the results"


def settled(staff: TestClient) -> Response:
    """The page once the results are computed."""
    give_up = time.monotonic() + 90
    while True:
        page = staff.get("/results/small")
        assert page.status_code == 200, page.text
        if "<progress" not in page.text:
            return page
        assert time.monotonic() < give_up
        threading.Event().wait(0.1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_machine_scores_stand_beside_what_people_said(data_folder: Path, tmp_path: Path) -> None:
    """A real file of scores, a study of the same store: the page says for each arm how far they agree, and so does the export."""
    plan = tmp_path / "STUDY.toml"
    plan.write_text(
        (ROOT / "tests" / "small-study.toml").read_text("utf-8").replace("features = 3", "features = 12"), "utf-8"
    )
    ok("scores", "--no-embedder", "--data", data_folder)
    ok("study", "simulate", plan, "--data", data_folder)
    ok("study", "export", "simulated-small", "--out", tmp_path / "out", "--data", data_folder)
    url, features = f"sqlite:///{data_folder / 'study.sqlite'}", data_folder / "features.sqlite"
    report = compute(lambda doing, share: None, url, "simulated-small", features)
    [told] = [list(cells(table)) for table in report.tables() if table.name == "machine"]
    found = {(row["measure"], row["arm"]): row for row in told}
    assert len(found) == len(told)
    assert {arm for _, arm in found} == {"all", "trained", "random"}
    assert {"peak_entropy", "token_auroc", "window_auroc", "abstractness"} <= {measure for measure, _ in found}
    with (tmp_path / "out" / "features.csv").open(encoding="utf-8", newline="") as file:
        auroc = {(row["dictionary"], row["feature"]): row["score_token_auroc"] for row in csv.DictReader(file)}
    scores: dict[tuple[str, str], list[int]] = {}
    with (tmp_path / "out" / "ratings.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            first = row["task"] == "page-score" and row["purpose"] == "main" and row["repeat"] == "0"
            if first and row["arm"] == "trained" and row["value"]:
                scores.setdefault((row["dictionary"], row["feature"]), []).append(int(row["value"]))
    pairs = [(mean(own), float(auroc[feature])) for feature, own in scores.items() if auroc[feature]]
    trained = found["token_auroc", "trained"]
    assert trained["correlation"] == pytest.approx(spearmanr(*zip(*pairs, strict=True)).statistic)
    assert trained["correlation_low"] < trained["correlation"] < trained["correlation_high"]
    assert trained["correlation_n"] == len(pairs) >= 8
    section = page_of(report).partition('id="machine"')[2].partition("<section")[0]
    assert "token_auroc" in section and "/data/machine.csv" in section


@pytest.mark.slow
def test_the_command_writes_a_folder_or_says_in_a_sentence_why_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    store = StudyStore.open(f"sqlite:///{data / 'study.sqlite'}")
    store.freeze(frozen_study(pages=2, pairs=0, exclusions={"median_seconds": 0.0}), "ada")
    rate(store)
    out = tmp_path / "out"
    assert "after the reveal" in refused("report", "small", "--data", data, "--out", out)
    store.close("small", "ada")
    store.reveal("small", "ada")
    store.dispose()
    assert "there are small" in refused("report", "smal", "--data", data, "--out", out)
    printed = ok("report", "small", "--data", data, "--out", out)
    assert printed.startswith("Not assessable")
    assert {path.name for path in out.iterdir()} == {"report.html", "report.md", "figures", "data"}
    assert "out is there already; name a new folder with --out" in refused(
        "report", "small", "--data", data, "--out", out
    )
    assert "cannot be written" in refused("report", "small", "--data", data, "--out", Path("/proc/out"))
