"""The `dartboard` command: what it prints, and the one sentence and exit code 2 for each mistake."""

import csv
import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.store.study import StudyStore
from tests.serving import ROOT, serving
from tests.studies import answer_all
from tests.test_protocol import DEMO

STUDY = """\
name = "tiny"
title = "Which is clearer?"
raters_per_item = 2
[[arm]]
name = "trained"
dictionaries = ["topk-sae"]
[[arm]]
name = "untrained"
dictionaries = ["random-sign"]
[layout]
contexts = 2
[tasks.page]
features = 2
[tasks.pair]
pairs = 2
contrasts = [["trained", "untrained"]]
mix = { between = 1.0, same = 0.0, control = 0.0 }
"""


def run(*arguments: str | Path, **environment: str):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def ok(*arguments: str | Path, **environment: str) -> str:
    result = run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str | Path, **environment: str) -> str:
    """The one line that a mistake is answered with."""
    result = run(*arguments, **environment)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.endswith((".", "first one."))
    return line


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "STUDY.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def frozen(data_folder: Path, study_file: Path) -> Path:
    ok("study", "new", study_file, "--data", data_folder)
    return data_folder


def test_a_study_from_file_to_csv(data_folder: Path, study_file: Path, tmp_path: Path) -> None:
    made = ok("study", "new", study_file, "--data", data_folder)
    assert made.startswith("Froze “tiny”: 6 items; protocol SHA-256 ")
    assert "topk-sae: " in made
    assert "too rare, and are not shown" in made
    link = ok(
        "study", "invite", "tiny", "--label", "Ada", "--data", data_folder, DARTBOARD_BASE_URL="https://x.org"
    ).strip()
    assert link.startswith("https://x.org/invite/")

    store = StudyStore.open(f"sqlite:///{data_folder / 'study.sqlite'}")
    session = store.session(store.redeem_invite(link.rpartition("/")[2], None))
    assert session is not None
    assert session.rater is not None
    assert session.rater.label == "Ada"
    assert len(list(answer_all(store, session.rater))) == 6
    store.dispose()

    assert ok("study", "list", "--data", data_folder) == "tiny: open; items 6, raters 1, answers 6\n"
    assert "study reveal tiny" in ok("study", "close", "tiny", "--data", data_folder)
    assert "dartboard export tiny" in ok("study", "reveal", "tiny", "--data", data_folder)
    printed = run("export", "tiny", "--data", data_folder).stdout_bytes.decode()
    out = tmp_path / "ratings.csv"
    ok("export", "tiny", "--out", out, "--data", data_folder)
    assert out.read_bytes().decode() == printed
    rows = list(csv.DictReader(io.StringIO(printed, newline="")))
    assert len(rows) == 4 + 3 * 2
    assert {row["arm"] for row in rows} == {"trained", "untrained"}
    assert {row["dictionary"] for row in rows} == {"topk-sae", "random-sign"}
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_if_missing(frozen: Path, study_file: Path) -> None:
    assert "already, and none changes once frozen" in refused("study", "new", study_file, "--data", frozen)
    assert ok("study", "new", study_file, "--if-missing", "--data", frozen) == "The study “tiny” is there already.\n"
    assert ok("study", "list", "--data", frozen).count("\n") == 1


def test_login_prints_a_link_that_works_once(data_folder: Path) -> None:
    link = ok("login", "--role", "analyst", "--name", "Eve", "--data", data_folder).strip()
    assert link.startswith("http://127.0.0.1:8000/login/")
    store = StudyStore.open(f"sqlite:///{data_folder / 'study.sqlite'}")
    session = store.session(store.redeem_login(link.rpartition("/")[2], None))
    assert session is not None
    assert (session.role, session.name) == ("analyst", "Eve")
    store.dispose()
    assert "no role 'king'" in refused("login", "--role", "king", "--data", data_folder)


def test_info(data_folder: Path) -> None:
    text = ok("info", "--data", data_folder)
    for expected in ("random-sign", "data-points", "topk-sae", "FVE", "tokens/s", "smollm2-135m-layer-15"):
        assert expected in text
    digest = ok("info", "--digest", "--data", data_folder).strip()
    assert len(bytes.fromhex(digest)) == 32
    assert ok("info", "--digest", DARTBOARD_DATA=str(data_folder)).strip() == digest


def test_mistakes_are_answered_in_one_sentence(frozen: Path, tmp_path: Path, study_file: Path) -> None:
    at = ("--data", frozen)
    empty = ("--data", tmp_path / "empty")
    assert "There is no file" in refused("study", "new", tmp_path / "none.toml", *at)
    study_file.write_text(STUDY.replace("pairs = 2", "pears = 2"))
    assert "unknown key tasks.pair.pears; check its spelling" in refused("study", "new", study_file, *at)
    study_file.write_text(STUDY.replace("tiny", "other").replace("topk-sae", "sae"))
    assert "no dictionary “sae” in this store; it has random-sign, data-points, topk-sae" in refused(
        "study", "new", study_file, *at
    )
    study_file.write_text(STUDY.replace("tiny", "other").replace("features = 2", "features = 9999"))
    assert "can fill a page; ask for fewer" in refused("study", "new", study_file, *at)
    assert "dartboard build" in refused("study", "new", study_file, *empty)
    assert "dartboard build" in refused("info", *empty)
    assert "There is no study “none”; there are tiny" in refused("export", "none", *at)
    assert "`dartboard study new STUDY.toml` makes the first one" in refused("study", "close", "none", *empty)
    assert "close it first" in refused("study", "reveal", "tiny", *at)
    assert "cannot be written" in refused("export", "tiny", "--out", tmp_path / "no" / "where.csv", *at)
    assert "cannot be made" in refused("study", "list", "--data", "/proc/dartboard")
    assert "Settings: port: " in refused("study", "list", DARTBOARD_PORT="many")
    ok("study", "close", "tiny", *at)
    assert "closed already" in refused("study", "close", "tiny", *at)
    assert "open study only" in refused("study", "invite", "tiny", *at)


def test_a_newer_or_foreign_study_store(data_folder: Path) -> None:
    (data_folder / "study.sqlite").write_text("no database\n" * 100)
    assert "file is not a database" in refused("study", "list", "--data", data_folder)


def test_the_port_is_taken(data_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        line = refused("serve", "--port", port, "--data", data_folder)
    assert line == f"Port {port} on 127.0.0.1 is taken; stop what listens there, or choose another --port."
    assert "Cannot listen on 203.0.113.7" in refused("serve", "--host", "203.0.113.7", "--data", data_folder)


def test_serve_prints_links_that_work(frozen: Path) -> None:
    with serving(frozen, "--links") as base:
        [log] = frozen.glob("server-*.log")
        lines = dict(line.split(maxsplit=1) for line in log.read_text().splitlines()[:3])
        assert set(lines) == {"Browse", "Rate", "Admin"}
        assert lines["Admin"] == f"{base}/admin"
        store = StudyStore.open(f"sqlite:///{frozen / 'study.sqlite'}")
        assert store.redeem_login(lines["Browse"].removeprefix(f"{base}/login/"), None)
        first = store.session(store.redeem_invite(lines["Rate"].removeprefix(f"{base}/invite/"), None))
        log.unlink()
    with serving(frozen, "--links") as base:
        [log] = frozen.glob("server-*.log")
        [link] = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("Rate")]
        second = store.session(store.redeem_invite(link.removeprefix(f"{base}/invite/"), None))
        assert first is not None
        assert second is not None
        assert first.rater == second.rater, "the links of every start are one rater's"
        store.dispose()


def test_the_installed_command_without_its_heavy_parts(frozen: Path) -> None:
    """A process of its own: no torch for the study commands, and exit code 2 with one line for a mistake."""
    script = (
        "import sys; from app.cli import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'transformers', 'pipeline.plan'} & set(sys.modules)"
    )
    environment = {**os.environ, "DARTBOARD_DATA": str(frozen)}

    def process(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert process("study", "list").stdout == "tiny: open; items 6, raters 0, answers 0\n"
    wrong = process("export", "none")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "There is no study “none”; there are tiny.\n"


def test_help_lists_every_command_with_an_example() -> None:
    listed = ok("--help")
    for name in ("study", "login", "serve", "export", "info"):
        assert name in listed
    for command in (
        ["login"],
        ["serve"],
        ["export"],
        ["info"],
        *(["study", name] for name in ("new", "list", "invite")),
    ):
        assert f"Example: dartboard {' '.join(command)}" in ok(*command, "--help")


def test_the_demo_study_can_be_frozen(data_folder: Path) -> None:
    assert "78 items" in ok("study", "new", DEMO, "--data", data_folder)
