"""requirements/ and pyproject.toml agree: what is declared is pinned, exactly, and for any machine."""

import re
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture import PACKAGES, imports, sources
from tests.serving import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
LOCKED_EXTRAS = ("pipeline", "analysis", "parquet", "wiki", "postgresql", "ray", "lab")
DECLARED = [
    *PROJECT["dependencies"],
    *(text for extra in LOCKED_EXTRAS for text in PROJECT["optional-dependencies"][extra]),
    *PYPROJECT["dependency-groups"]["dev"],
]


def lines(name: str) -> list[str]:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return [line for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]


LOCK = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in lines("lock.txt")}


@pytest.mark.parametrize("declared", DECLARED)
def test_what_is_declared_is_locked_at_a_version_that_fits(declared: str) -> None:
    requirement = Requirement(declared)
    assert requirement.specifier.contains(LOCK[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("name", ["lock.txt", "demo.txt"])
def test_every_line_is_one_exact_public_version(name: str) -> None:
    assert [line for line in lines(name) if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)] == []


def test_the_lock_is_for_any_machine() -> None:
    """What torch brings along depends on the machine, so it is left to torch; the build itself is pinned."""
    assert LOCK["torch"] == "2.13.0"
    assert [name for name in LOCK if name.startswith(("nvidia", "cuda", "triton"))] == []


def test_the_demo_packages_stay_out_of_the_lock() -> None:
    """They are installed with --no-deps: with theirs they would bring libraries that dartboard does not use."""
    assert set(LOCK).isdisjoint(line.partition("==")[0] for line in lines("demo.txt"))


# Scripts that run in environments of their own, and what is measured with a browser, which comes with development.
ELSEWHERE = (Path("pipeline/bench/others"), Path("pipeline/bench/pages.py"))


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("app", ("parquet", "analysis", "crossed")),
        ("pipeline", ("pipeline", "parquet", "wiki", "datasets", "ray", "lab")),
    ],
)
def test_what_is_imported_is_declared(package: str, extras: tuple[str, ...]) -> None:
    """Directly, or by something declared: starlette comes with fastapi, filelock with torch."""
    declared = {
        *PROJECT["dependencies"],
        *(text for extra in extras for text in PROJECT["optional-dependencies"][extra]),
    }
    names = {canonicalize_name(Requirement(text).name) for text in declared}
    brought = {canonicalize_name(Requirement(text).name) for name in names & LOCK.keys() for text in requires(name)}
    home = packages_distributions()
    tops = {
        name.partition(".")[0]
        for path, tree in sources(ROOT, package)
        if not any(path == place or place in path.parents for place in ELSEWHERE)
        for _, name in imports(path, tree)
    }
    foreign = tops - sys.stdlib_module_names - set(PACKAGES)
    providers = {top: {canonicalize_name(name) for name in home.get(top, [top])} for top in foreign}
    assert {top for top, found in providers.items() if found.isdisjoint(names | brought)} == set()


def requires(name: str) -> list[str]:
    return [text for text in distribution(name).requires or [] if "extra ==" not in text]
