"""What the documents say is so: commands, targets, settings, links, versions, digests of what is vendored."""

import hashlib
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

import app
from app.settings import Settings
from docs import commands
from pipeline import config, entries
from pipeline.sections import Section
from tests.serving import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
VENDOR = ROOT / "static" / "vendor"


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def shown_commands() -> Iterator[tuple[str, str]]:
    """Each command of a code block or in backticks, with the document that shows it."""
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    yield from ((named(path), part.strip()) for part in line[2:].split("&&"))
        yield from ((named(path), part) for part in re.findall(r"`((?:make|dartboard) [^`]+)`", text))


def shown(program: str) -> list[tuple[str, list[str]]]:
    found = []
    for document, line in shown_commands():
        words = [word for word in shlex.split(line, comments=True) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
        if words and words[0] == program:
            found.append((document, words[1:]))
    return found


def test_docs_commands_is_what_the_commands_say() -> None:
    """Made by `make docs`: so every command and every option is documented."""
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == commands.reference()


def test_every_command_has_help_and_an_example() -> None:
    assert [command.path for command in commands.walk() if not command.help or not command.example] == []


def test_every_option_and_argument_has_help() -> None:
    found = [f"{command.path} {p.name}" for command in commands.walk() for p in command.parameters if not p.help]
    assert found == []


@pytest.mark.parametrize(("document", "words"), shown("dartboard"), ids=lambda value: "-".join(value) if value else "")
def test_a_command_that_is_shown_exists_with_its_options(document: str, words: list[str]) -> None:
    known = {command.path: command for command in commands.walk()}
    path = next((name for n in (2, 1) if (name := " ".join(["dartboard", *words[:n]])) in known), None)
    assert path is not None, f"{document} shows `dartboard {' '.join(words)}`"
    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    allowed = {option for parameter in known[path].parameters for option in parameter.names} | {"--help"}
    assert options <= allowed, document


@pytest.mark.parametrize(("document", "words"), shown("make"), ids=lambda value: "-".join(value) if value else "")
def test_a_target_that_is_shown_exists(document: str, words: list[str]) -> None:
    assert set(words) <= TARGETS, document


def test_every_target_is_listed_by_make_help() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"make ([a-z-]+)", listed)) == TARGETS


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "install.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(DARTBOARD_\w+)`", text, re.MULTILINE))
    assert documented == {f"DARTBOARD_{name.upper()}" for name in Settings.model_fields}


def test_every_key_of_a_build_file_is_documented() -> None:
    """As a cell of a table, in backticks."""
    cells = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "build-file.md").read_text("utf-8"), re.MULTILINE)
    documented = {"seed", *(key for cell in cells for key in re.findall(r"`(\w+)`", cell))}
    models = {**vars(config), **vars(entries)}
    sections = [value for value in models.values() if isinstance(value, type) and issubclass(value, Section)]
    assert documented == {
        key for section in sections if section is not config.Build for key in section.model_fields
    } | {"seed"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text("utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    inside = [target.partition("#")[0] for target in targets if not re.match(r"https?:|#", target)]
    assert [target for target in inside if not (path.parent / target).exists()] == []


def test_every_document_is_reached_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"docs/{path.name}" not in text] == []


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", text, re.MULTILINE)
    assert released[0][0] == app.__version__
    days = [date.fromisoformat(day) for _, day in released]
    assert days == sorted(days, reverse=True)


def test_what_is_vendored_is_what_was_checked_in() -> None:
    entries = tomllib.loads((VENDOR / "VENDOR.toml").read_text("utf-8"))["file"]
    digests = {entry["path"]: hashlib.sha256((VENDOR / entry["path"]).read_bytes()).hexdigest() for entry in entries}
    assert digests == {entry["path"]: entry["sha256"] for entry in entries}
    listed = {"VENDOR.toml", *digests, *(entry["licence_file"] for entry in entries)}
    assert {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()} == listed


def test_the_image_copies_what_exists_and_drops_privileges() -> None:
    stages = (ROOT / "Dockerfile").read_text("utf-8").split("\nFROM ")[1:]
    named_files = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert [name for name in named_files if not (ROOT / name).exists()] == []
    assert all(f"{needed}" in stages[0] for needed in ("VOLUME", "HEALTHCHECK", "/healthz"))
    for stage in stages[1:]:
        assert re.findall(r"^USER (\S+)$", stage, re.MULTILINE)[-1:] == ["dartboard"]
