"""Each way of installing serves: the wheel in an empty directory, the editable install, the clone as it is.

The virtual environments made here hold the base dependencies alone, linked from the environment that runs the tests: so
nothing is fetched, and an import that the base install could not satisfy fails.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import app
from app import render
from tests.serving import ROOT, command_line, serving
from tests.test_requirements import PROJECT

PACKAGED = ("app", "pipeline", "templates", "static", "pyproject.toml", "README.md", "LICENSE")
LINK = re.compile(r"""<(?:link|script)\b[^>]*?\b(?:href|src)=["'](/static/[^"']+)["']""")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged, so that a build writes nothing into the repository."""
    copy = tmp_path_factory.mktemp("tree")
    for name in PACKAGED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target), cwd=tree)
    (made,) = target.glob("*.whl")
    return made


def test_the_wheel_holds_the_assets_and_nothing_that_is_not_needed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"app", "pipeline", f"dartboard-{app.__version__}.dist-info"}
    assert {"app/templates/_base.html", "app/static/css/tokens.css", "app/static/vendor/htmx.min.js"} <= set(names)
    assert {name for name in names if name.endswith(".py")} == {
        path.relative_to(ROOT).as_posix() for package in ("app", "pipeline") for path in (ROOT / package).rglob("*.py")
    }
    assert f"dartboard-{app.__version__}.dist-info/licenses/LICENSE" in names


def test_the_wheel_serves_from_an_empty_directory_without_torch(wheel: Path, data_folder: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", PROJECT["dependencies"])
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    empty = tmp_path / "empty"
    empty.mkdir()
    check_it_serves([str(python.with_name("dartboard"))], data_folder, empty)
    assert list(empty.iterdir()) == []
    where = run(str(python), "-c", "import app; print(app.__file__)", cwd=empty)
    assert str(tmp_path / "venv") in where
    found = run(str(python), "-c", "from importlib.util import find_spec as f; print(f('torch'), f('transformers'))")
    assert found.split() == ["None", "None"]


def test_without_the_pipeline_extra_a_build_says_what_to_install(wheel: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", PROJECT["dependencies"])
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    for name in ("text.txt", "config.json", "model.safetensors"):  # all that is looked at before the model is loaded
        (tmp_path / name).write_text("…", "utf-8")
    (tmp_path / "BUILD.toml").write_text(
        '[[model]]\nname = "m"\nsource = "."\n[[corpus]]\nname = "c"\nsource = "text.txt"\n'
        '[[site]]\nname = "s"\nmodel = "m"\ncorpus = "c"\nlayer = 0\ncontexts = 1\n'
        '[[dictionary]]\nname = "d"\nkind = "random-sign"\n',
        "utf-8",
    )
    command = [str(python.with_name("dartboard")), "build", "BUILD.toml", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "dartboard[pipeline]" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_editable_install_serves(tree: Path, data_folder: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", [*PROJECT["dependencies"], "hatchling"])
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(tree))
    check_it_serves([str(python.with_name("dartboard"))], data_folder, tmp_path)


def test_a_clone_serves_as_it_is(data_folder: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", PROJECT["dependencies"])
    check_it_serves(command_line(str(python)), data_folder, ROOT)


@pytest.mark.parametrize("folder", ["templates", "static"])
def test_assets_are_taken_from_the_package_before_the_clone(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged, cloned = tmp_path / "app" / folder, tmp_path / folder
    monkeypatch.setattr(render, "APP", tmp_path / "app")
    with pytest.raises(render.DartboardError, match=folder):
        render.asset_directory(folder)
    cloned.mkdir(parents=True)
    assert render.asset_directory(folder) == cloned
    packaged.mkdir(parents=True)
    assert render.asset_directory(folder) == packaged


def check_it_serves(command: list[str], data: Path, cwd: Path) -> None:
    """Pages arrive, with every style, script and icon that they name."""
    with serving(data, command=command, cwd=cwd) as base:
        _, home = fetch(base)
        _, listing = fetch(f"{base}/api/dictionaries")
        assert len(json.loads(listing)) > 0
        assets = LINK.findall(home.decode())
        kinds = {fetch(f"{base}{address}")[0] for address in assets}
        assert {"text/css; charset=utf-8", "text/javascript; charset=utf-8"} <= kinds


def fetch(url: str) -> tuple[str, bytes]:
    """Content type and body of an address that must answer 200 with something."""
    with urllib.request.urlopen(url, timeout=10) as response:
        body = response.read()
        assert response.status == 200
        assert body
        return response.headers["Content-Type"], body


def environment(folder: Path, requirements: list[str]) -> Path:
    """A virtual environment that holds the named distributions and what they need, and nothing else: its Python."""
    venv.create(folder, symlinks=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    for found in closure(requirements):
        for name in {Path(file).parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            target = site / name
            if not target.exists():
                target.symlink_to(str(found.locate_file(name)))
    return Path(sysconfig.get_path("scripts", "venv", vars=scheme)) / "python"


def closure(requirements: list[str]) -> Iterator[Distribution]:
    """The named distributions and all that they require on this machine, each once."""
    todo = [Requirement(text) for text in requirements]
    seen: set[str] = set()
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            pytest.fail(f"{name} is required, and not installed in the environment that runs the tests")
        yield found
        for text in found.requires or ():
            requirement = Requirement(text)
            extras = wanted.extras or {""}
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(requirement)


def run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
