"""The demo's journey on the small store: from `dartboard study new` to the CSV, through real processes."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext

from tests import journey, rating
from tests.serving import ROOT, dartboard, serving

STUDY = ROOT / "tests" / "small-study.toml"


def test_from_a_store_to_a_csv(data_folder: Path, watched: Callable[..., BrowserContext], tmp_path: Path) -> None:
    dartboard("study", "new", STUDY, "--data", data_folder)
    with serving(data_folder, "--links") as base:
        links = journey.printed_links(next(data_folder.glob("server-*.log")).read_text("utf-8"))
        assert links is not None
        staff = watched().new_page()
        journey.browse(staff, links.browser)
        given = journey.rate(watched().new_page(), links.invite, pairs=10)
        again = watched().new_page()
        again.goto(links.invite)
        assert rating.task(again) is not None
        assert f"{len(given)} of" in again.locator("#screen").inner_text()
        study = f"{base}/admin/studies/small"
        journey.close_and_reveal(staff, study)
        path = journey.download(staff, study, tmp_path)
    journey.check_ratings(path, given)
    exported = tmp_path / "exported.csv"
    dartboard("export", "small", "--out", exported, "--data", data_folder)
    assert exported.read_bytes() == path.read_bytes()
